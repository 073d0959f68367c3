// npm run fuzz [-- --runs N] [--jobs J] [--fast] [--keep] [--coverage]
//
// Lets libFuzzer look for inputs that break the core (test/fuzz), from those
// that are kept in test/fuzz/corpus.txt on: N executions (by default 100,000)
// shared by J processes (by default one for each core). An input that breaks
// something is printed, and the command fails. --fast leaves the sanitizers
// out: twice as many inputs in the same time, and only what the program itself
// checks is found. --keep puts the smallest set of inputs that covers what all
// have covered in place of those that are kept. --coverage tells which part of
// the code the kept ones run through.
//
// Needs Clang with its runtime (Debian: clang, libclang-rt-14-dev), and for the
// coverage LLVM's tools (llvm).

import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { availableParallelism } from 'node:os'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const KEPT = 'test/fuzz/corpus.txt'
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '100000' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    fast: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false }
  }
})

const BUILD = path.resolve(values.fast ? 'build-fuzz-fast' : 'build-fuzz')
const CORPUS = path.join(BUILD, 'corpus')
const FOUND = path.join(BUILD, 'found')
// Longer inputs take longer, and say no more.
const LONGEST = 256
const FLAGS = [
  `-max_len=${LONGEST}`,
  '-timeout=30',
  '-rss_limit_mb=4096',
  // The sockets stay (test/fuzz/connection.cc).
  '-detect_leaks=0',
  `-artifact_prefix=${FOUND}/`
]
// What is freed is kept for a while: enough to find who uses it, without
// pushing everything else out of the caches.
process.env.ASAN_OPTIONS ??=
  'quarantine_size_mb=16:allocator_release_to_os_interval_ms=-1'

const run = (file, args, options) =>
  execFileSync(file, args, { stdio: 'inherit', ...options })

/** Builds the program in a folder; returns its path. */
function build(folder, options) {
  run(process.execPath, ['deps/fetch.mjs'])
  run('cmake', [
    ...['-S', '.', '-B', folder, '-DCMAKE_BUILD_TYPE=RelWithDebInfo'],
    ...['-DCMAKE_C_COMPILER=clang', '-DCMAKE_CXX_COMPILER=clang++'],
    ...options
  ])
  run('cmake', ['--build', folder, '--target', 'fuzz_connection', '-j2'])
  return path.join(folder, 'test', 'fuzz', 'fuzz_connection')
}

/** As files, which is what libFuzzer reads. */
function unpackKept(folder) {
  mkdirSync(folder, { recursive: true })
  for (const line of readFileSync(KEPT, 'utf8').split('\n')) {
    if (line === '') continue
    const input = Buffer.from(line, 'hex')
    const name = createHash('sha1').update(input).digest('hex')
    writeFileSync(path.join(folder, name), input)
  }
}

function keep(program) {
  const merged = path.join(BUILD, 'merged')
  rmSync(merged, { recursive: true, force: true })
  mkdirSync(merged)
  run(program, [...FLAGS, '-merge=1', merged, CORPUS])
  const lines = readdirSync(merged).map((name) =>
    readFileSync(path.join(merged, name)).toString('hex')
  )
  lines.sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
  writeFileSync(KEPT, lines.map((line) => `${line}\n`).join(''))
  console.log(`${lines.length} inputs are kept`)
}

/** One process of libFuzzer's; resolves to how many inputs it has tried. */
function fuzz(program, runs) {
  return new Promise((resolve, reject) => {
    const args = [...FLAGS, `-runs=${runs}`, '-print_final_stats=1', CORPUS]
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
      // The final words are at the end, and so is what went wrong.
      if (said.length > 1 << 20) said = said.slice(-(1 << 19))
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const count = /number_of_executed_units: +(\d+)/.exec(said)?.[1] ?? '0'
      const coverage = [...said.matchAll(/cov: (\d+)/g)].at(-1)?.[1]
      if (code !== 0) console.log(`${signal ?? `exit ${code}`}\n${said}`)
      resolve({ count: Number(count), coverage, failed: code !== 0 })
    })
  })
}

async function search(program) {
  rmSync(FOUND, { recursive: true, force: true })
  mkdirSync(FOUND, { recursive: true })
  const jobs = Number(values.jobs)
  const each = Math.ceil(Number(values.runs) / jobs)
  const begun = Date.now()
  const results = await Promise.all(
    Array.from({ length: jobs }, () => fuzz(program, each))
  )
  const count = results.reduce((sum, result) => sum + result.count, 0)
  const seconds = (Date.now() - begun) / 1000
  const edges = Math.max(...results.map(({ coverage }) => Number(coverage)))
  console.log(
    `${count} executions in ${seconds.toFixed(0)} s ` +
      `(${(count / seconds).toFixed(0)} a second), ` +
      `${edges} edges, ${readdirSync(CORPUS).length} inputs`
  )
  const found = readdirSync(FOUND)
  for (const name of found) {
    const input = readFileSync(path.join(FOUND, name))
    console.log(`${name}: ${input.toString('hex')}`)
    console.log(`  again: ${program} ${path.join(FOUND, name)}`)
  }
  const failed = results.filter((result) => result.failed).length
  console.log(`${jobs - failed} passed, ${failed} failed`)
  return failed === 0
}

/** Which lines the inputs that are kept run through. */
function reportCoverage() {
  const folder = path.resolve('build-fuzz-coverage')
  const flags = '-fprofile-instr-generate -fcoverage-mapping'
  const program = build(folder, [
    '-DNNG_PAIR_SANITIZE=address',
    `-DCMAKE_C_FLAGS=${flags}`,
    `-DCMAKE_CXX_FLAGS=${flags}`
  ])
  const raw = path.join(folder, 'raw')
  const data = path.join(folder, 'data')
  run(program, [KEPT], { env: { ...process.env, LLVM_PROFILE_FILE: raw } })
  run('llvm-profdata', ['merge', raw, '-o', data])
  run('llvm-cov', [
    ...['report', program, `-instr-profile=${data}`],
    ...['--show-functions=0', '--show-region-summary=0'],
    // Of NNG the two transports; nothing of this program itself.
    `--ignore-filename-regex=${[
      ...['deps/nng/src/(core|platform|supplemental)/', 'deps/nng/src/nng.c'],
      ...['test/fuzz/(connection|replay).cc', '/usr/']
    ].join('|')}`
  ])
}

if (values.coverage) {
  reportCoverage()
} else {
  const program = build(BUILD, [
    `-DNNG_PAIR_SANITIZE=${values.fast ? '' : 'address'}`,
    '-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF',
    '-DNNG_PAIR_FUZZ=ON'
  ])
  unpackKept(CORPUS)
  const well = await search(program)
  if (well && values.keep) keep(program)
  process.exitCode = well ? 0 : 1
}
