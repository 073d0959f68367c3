#!/usr/bin/env node
// Checks what a Linux binary asks of the system that loads it.
//
//   node scripts/check-glibc-floor.mjs [--max 2.28] file.node…

import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { readElf } from './elf.mjs'

const ENTRY_POINTS = [
  'napi_register_module_v1',
  'node_api_module_get_api_version_v1'
]
// Every system has these; a C++ library would have to be the right one.
const LIBRARIES = [
  /^libc\.so(\.6)?$/,
  /^lib(dl|m|pthread|rt)\.so\.\d$/,
  /^ld-linux-.*\.so\.\d$/
]
const STATIC_TLS = 0x10
const NODELETE = 0x8

const { values, positionals } = parseArgs({
  allowPositionals: true,
  // Official builds of Node need this one themselves.
  options: { max: { type: 'string', default: '2.28' } }
})
if (positionals.length === 0) {
  console.error('usage: check-glibc-floor.mjs [--max VERSION] FILE...')
  process.exitCode = 2
}

for (const name of positionals) {
  const elf = readElf(await readFile(name))
  const floor = elf.versions
    .flatMap((version) => /^GLIBC_(\d+(?:\.\d+)+)$/.exec(version)?.[1] ?? [])
    .sort(compareVersions)
    .at(-1)
  const faults = []
  if (floor !== undefined && compareVersions(floor, values.max) > 0) {
    faults.push(`needs glibc ${floor}, more than ${values.max}`)
  }
  const strangers = elf.needed.filter(
    (library) => !LIBRARIES.some((known) => known.test(library))
  )
  if (strangers.length > 0) faults.push(`needs ${strangers.join(', ')}`)
  if (elf.exports.join() !== ENTRY_POINTS.join()) {
    faults.push(`exports ${elf.exports.join(', ') || 'nothing'}`)
  }
  if ((elf.flags1 & NODELETE) === 0) {
    faults.push('can be unloaded under running threads (no NODELETE)')
  }
  // musl refuses to load such a library late, and glibc has room for few.
  if ((elf.flags & STATIC_TLS) !== 0) faults.push('uses static TLS')

  console.log(`${name}: ${floor === undefined ? 'no glibc' : `glibc ${floor}`}`)
  for (const fault of faults) console.error(`${name}: ${fault}`)
  if (faults.length > 0) process.exitCode = 1
}

function compareVersions(a, b) {
  const [as, bs] = [a, b].map((version) => version.split('.').map(Number))
  for (let i = 0; i < Math.max(as.length, bs.length); i++) {
    const difference = (as[i] ?? 0) - (bs[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
