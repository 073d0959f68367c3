#!/usr/bin/env node
// Proves the faults of NNG 1.5.2 to be there, and to be mended: runs the programs of test/faults
// with our mends, where all must pass, and each without its mend, where it must fail.

import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findTarball } from '../deps/tarball.mjs'

const run = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const base = join(root, 'build-faults')
const stockTree = join(base, 'nng')

const mended = { name: 'mended', options: [] }
const stockPlatform = {
  name: 'stock-platform',
  options: ['-DNNG_PAIR_STOCK_PLATFORM=ON']
}
const stockNng = {
  name: 'stock-nng',
  options: [
    '-DNNG_PAIR_STOCK_NNG=ON',
    '-DNNG_PAIR_STOCK_PLATFORM=ON',
    `-DNNG_PAIR_NNG_DIR=${stockTree}`
  ]
}

// What each program shows, and what it is to fail without. call_from_callback needs NNG's own locks.
const faults = [
  { program: 'close_under_traffic', without: stockPlatform },
  { program: 'peer_dies_under_traffic', without: stockPlatform },
  { program: 'listener_after_hangup', without: stockPlatform },
  { program: 'dialer_after_hangup', without: stockNng },
  { program: 'absurd_length', without: mended, args: ['unlimited'] },
  {
    program: 'call_from_callback',
    mend: stockPlatform,
    without: stockPlatform,
    args: ['calls']
  },
  { program: 'message_in_pair0', without: stockNng },
  { program: 'busy_backoff', without: stockNng },
  { program: 'localhost_families', without: stockNng },
  { program: 'every_address', without: stockPlatform },
  { program: 'peer_comes_again', without: stockNng },
  { program: 'slow_name', without: stockPlatform },
  { program: 'self_connection', without: stockPlatform }
]

// What a program exits with that cannot be tried on this machine.
const SKIPPED = 77

async function main() {
  await mkdir(base, { recursive: true })
  await unpackStockNng()

  // What hangs does nothing but wait: it may do so while the next is built.
  const faulty = new Map()
  for (const build of [stockPlatform, stockNng, mended]) {
    await compile(build)
    for (const fault of faults.filter(({ without }) => without === build)) {
      faulty.set(fault, outcome(build, fault.program, fault.args))
    }
  }
  let wrong = 0
  const rows = []
  for (const fault of faults) {
    // One by one: nothing but a fault should keep these waiting.
    const healthy = await outcome(fault.mend ?? mended, fault.program)
    const without = await faulty.get(fault)
    const skipped = healthy.code === SKIPPED
    const asExpected = skipped || (healthy.code === 0 && without.code !== 0)
    if (!asExpected) wrong++
    const verdict = skipped ? 'skipped' : asExpected ? 'yes' : 'NO'
    rows.push([fault.program, healthy.text, without.text, verdict])
  }
  print([['fault', 'with the mend', 'without', 'proved'], ...rows])
  if (wrong > 0) process.exitCode = 1
}

/** NNG as it is: our patches not applied. */
async function unpackStockNng() {
  const nng = JSON.parse(await readFile(join(root, 'deps/nng.json'), 'utf8'))
  const { bytes } = await findTarball(nng, join(root, 'deps/.cache'))
  await rm(stockTree, { recursive: true, force: true })
  await mkdir(stockTree)
  const tar = spawn(
    'tar',
    ['-xzf', '-', '-C', stockTree, '--strip-components=1'],
    {
      stdio: ['pipe', 'inherit', 'inherit']
    }
  )
  tar.stdin.end(bytes)
  const code = await new Promise((resolve) => tar.on('close', resolve))
  if (code !== 0) throw new Error('tar failed')
}

async function compile({ name, options }) {
  const ninja = await run('ninja', ['--version']).then(
    () => true,
    () => false
  )
  const generator = ninja ? ['-G', 'Ninja'] : []
  const to = join(base, name)
  const common = [
    '-DNNG_PAIR_FAULT_TESTS=ON',
    // With NNG's assertions, and quick to build.
    '-DCMAKE_BUILD_TYPE=Debug',
    '-DCMAKE_C_FLAGS_DEBUG=-O0',
    '-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF'
  ]
  try {
    await run('cmake', [
      '-S',
      root,
      '-B',
      to,
      ...generator,
      ...common,
      ...options
    ])
    await run('cmake', ['--build', to, '--target', 'faults', '--parallel', '2'])
  } catch (error) {
    throw new Error(
      `the build ${name} failed:\n${error.stdout}${error.stderr}`,
      { cause: error }
    )
  }
}

function outcome({ name }, program, args = []) {
  const file = join(base, name, 'test/faults', `fault_${program}`)
  if (!existsSync(file)) throw new Error(`there is no ${file}`)
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', (chunk) => (said += chunk))
    child.on('error', reject)
    child.on('close', (code, signal) =>
      resolve({ code, text: describe(code, signal, said) })
    )
  })
}

function describe(code, signal, said) {
  if (code === 0) return 'passes'
  if (code === SKIPPED) return `skipped: ${said.trim()}`
  if (signal === 'SIGALRM') return 'hangs'
  if (signal !== null) return `dies by ${signal}`
  return `fails: ${said.trim().split('\n')[0].replace(/^.*\//, '')}`
}

function print(rows) {
  const widths = rows[0].map((_, column) =>
    Math.max(...rows.map((row) => row[column].length))
  )
  for (const row of rows) {
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd()
    )
  }
}

main().catch((error) => {
  console.error(`prove-faults: ${error.message}`)
  process.exitCode = 1
})
