// Copies what a program needs, as Next.js does it for its standalone output.
//
//   node trace.mjs <entry> <folder>

import { nodeFileTrace } from '@vercel/nft'
import * as fs from 'node:fs'
import * as path from 'node:path'

const [entry, folder] = process.argv.slice(2)
const { fileList, warnings } = await nodeFileTrace([entry])
if (warnings.size > 0) throw new AggregateError([...warnings])
for (const file of fileList) {
  const copy = path.join(folder, file)
  fs.mkdirSync(path.dirname(copy), { recursive: true })
  fs.copyFileSync(file, copy)
}
