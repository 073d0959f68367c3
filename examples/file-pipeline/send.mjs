// Sends a file through a stream, and compares hashes.
//
//   node examples/file-pipeline/receive.mjs copy.txt
//   node examples/file-pipeline/send.mjs README.md
//
// @ts-check

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { PairSocket } from 'nng-pair'

const [, , file = 'README.md', url = 'ipc://file-pipeline.ipc'] = process.argv

const sock = new PairSocket({ recvTimeout: 10_000 })
await sock.dial(url)

const hash = createHash('sha256')

/** @param {AsyncIterable<Buffer>} chunks */
async function* hashed(chunks) {
  for await (const chunk of chunks) {
    hash.update(chunk)
    yield chunk
  }
}

// Ends when everything was sent; the socket stays open.
await pipeline(createReadStream(file), hashed, sock.duplex())
await sock.send('')
const same = String(await sock.recv()) === hash.digest('hex')
console.log(same ? 'arrived as it is' : 'arrived as something else')
await sock.close()
process.exitCode = same ? 0 : 1
