#!/usr/bin/env node
// Runs the demo, as it was built, on other runtimes and versions than this one.
// Each comes from the npm registry.
//
//   npm run runtimes [-- node@22 …]

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const KNOWN = ['node@22', 'node@24', 'node@26', 'bun@1', 'deno@2']

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const demo = [join(root, 'dist', 'cli', 'main.js'), 'demo', '--interval', '0']

function run(spec, args) {
  const [name] = spec.split('@')
  return spawnSync('npx', ['--yes', '--package', spec, name, ...args], {
    encoding: 'utf8',
    timeout: 300_000
  })
}

let failed = 0
const given = process.argv.slice(2)
const specs = given.length > 0 ? given : KNOWN
for (const spec of specs) {
  const version = run(spec, ['--version']).stdout.trim().split('\n')[0]
  const flags = spec.startsWith('deno') ? ['run', '--allow-all'] : []
  const { status, stderr } = run(spec, [...flags, ...demo])
  if (status !== 0) failed++
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${spec} (${version})`)
  if (status !== 0) console.log(stderr)
}
console.log(`${specs.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
