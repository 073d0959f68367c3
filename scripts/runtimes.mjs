#!/usr/bin/env node
// Runs the demo and then the tests, as they were built, on other runtimes and
// versions than this one. Each comes from the npm registry.
//
//   npm run runtimes                                       all of them
//   npm run runtimes -- node@22 bun@1                      these
//   npm run runtimes -- --test exchange --test recv deno@2 files that match
//   npm run runtimes -- --listed bun@1                     what is left out there
//   npm run runtimes -- bun-musl@1                         the binary for musl
//
// What cannot run somewhere is named in runtimes.json with the reason. A test
// that fails and is not there fails the command, and so does a name there that
// no test has. Each file has a process of its own: one that crashes takes no
// other with it.

import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installBunForMusl } from './musl.mjs'

const KNOWN = ['node@20', 'node@22', 'node@24', 'node@26', 'bun@1', 'deno@2']
// Of each runtime, what runs a program for Node. What has no loop for the
// engine takes the other driver by itself; the tests are to know it.
const FLAGS = { node: [], bun: ['--bun'], deno: ['run', '--allow-all'] }
const DRIVERS = { bun: 'thread', deno: 'thread' }
// Under Deno jest does not always end by itself, also where it has passed.
const JEST_FLAGS = { deno: ['--forceExit'] }
const FILE_LIMIT_MS = 300_000

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js')
const demo = [join(root, 'dist', 'cli', 'main.js'), 'demo', '--interval', '0']

/** What a runtime is, whatever its version and its C library. */
function nameOf(spec) {
  return spec.split(/@|-musl/)[0]
}

/** A runtime in a folder of its own. */
class Runtime {
  constructor(spec, home) {
    this.spec = spec
    this.name = nameOf(spec)
    this.home = join(home, spec)
    this.bin = join(this.home, 'node_modules', '.bin')
    this.file = join(this.bin, this.name)
    this.env = {}
  }

  async install() {
    await mkdir(this.home)
    // Of the version that scripts/musl has.
    if (this.spec.startsWith('bun-musl'))
      Object.assign(this, await installBunForMusl({ rebuild: true }))
    else await this.#installFromNpm()
    const { stdout } = this.#spawn(['--version'])
    this.version = /\d+\.\d+\.\d+/.exec(stdout)?.[0]
    if (this.version === undefined) throw new Error(`${this.spec} does not run`)
  }

  async #installFromNpm() {
    await writeFile(join(this.home, 'package.json'), '{"private":true}\n')
    const npm = spawnSync(
      'npm',
      ['install', '--no-audit', '--no-fund', this.spec],
      { cwd: this.home, encoding: 'utf8' }
    )
    if (npm.status !== 0) throw new Error(`${this.spec}: ${npm.stderr}`)
  }

  run(args) {
    return this.#spawn([...FLAGS[this.name], ...args])
  }

  #spawn(args) {
    return spawnSync(this.file, args, {
      cwd: root,
      encoding: 'utf8',
      timeout: FILE_LIMIT_MS,
      killSignal: 'SIGKILL',
      maxBuffer: 1 << 28,
      env: {
        ...process.env,
        // What a test starts by name is this runtime, too.
        PATH: [this.bin, process.env.PATH].join(delimiter),
        FORCE_COLOR: '0',
        NNG_PAIR_DRIVER:
          process.env.NNG_PAIR_DRIVER ?? DRIVERS[this.name] ?? 'loop',
        ...this.env
      }
    })
  }
}

/** The pattern of jest's that takes every test but these, or none but these. */
function patternOf(listed, onlyListed) {
  const names = listed.flatMap(({ tests }) => tests ?? ['.*'])
  // Of names as they are, but for "…", which stands for anything.
  const any = names
    .map((name) =>
      name === '.*'
        ? name
        : name.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('…', '.*')
    )
    .join('|')
  if (onlyListed) return `^(?:${any})$`
  return names.length === 0 ? '' : `^(?!(?:${any})$)`
}

/** Runs the tests of one file; returns their counts and what went wrong. */
async function runFile(runtime, file, listed, onlyListed) {
  const report = join(runtime.home, 'report.json')
  await rm(report, { force: true })
  const pattern = patternOf(listed, onlyListed)
  const { status, signal, stdout, stderr } = runtime.run([
    jest,
    ...['--runInBand', '--ci', '--json', '--outputFile', report],
    ...(JEST_FLAGS[runtime.name] ?? []),
    // Also those that are the same with either driver.
    ...['--testPathIgnorePatterns', '/node_modules/'],
    ...(pattern === '' ? [] : ['--testNamePattern', pattern]),
    ...['--runTestsByPath', join(root, file)]
  ])
  const result = { passed: 0, failed: 0, leftOut: 0, skipped: 0, problems: [] }
  const json = await readFile(report, 'utf8').catch(() => undefined)
  if (json === undefined) {
    result.failed = 1
    const how = signal ?? `exit ${status}`
    result.problems.push(`${file}: ${how}, no report\n${stdout}${stderr}`)
    return result
  }
  const { testResults } = JSON.parse(json)
  const tests = testResults.flatMap((of) => of.assertionResults)
  const isListed = new RegExp(patternOf(listed, true))
  for (const { fullName, status: outcome, failureMessages } of tests) {
    if (outcome === 'passed') result.passed++
    else if (outcome === 'failed') {
      result.failed++
      result.problems.push(
        `${file}: ${fullName}\n${failureMessages.join('\n')}`
      )
    } else if (listed.length > 0 && isListed.test(fullName)) result.leftOut++
    else if (!onlyListed) result.skipped++
  }
  for (const name of listed.flatMap((entry) => entry.tests ?? [])) {
    const of = new RegExp(patternOf([{ tests: [name] }], true))
    if (tests.some(({ fullName }) => of.test(fullName))) continue
    result.failed++
    result.problems.push(
      `${file}: runtimes.json names a test that is not there: ${name}`
    )
  }
  // A file that does not even load, or a process that fails at its end.
  if (status !== 0 && result.failed === 0) {
    result.failed++
    result.problems.push(`${file}: ${signal ?? `exit ${status}`}\n${stderr}`)
  }
  return result
}

/** Prints the runtime's line; returns its counts. */
async function testOn(runtime, files, entries, onlyListed) {
  const total = { passed: 0, failed: 0, leftOut: 0, skipped: 0 }
  const begun = Date.now()
  const { status, stderr } = runtime.run(demo)
  if (status !== 0) {
    total.failed++
    console.log(`${runtime.spec}: the demo fails\n${stderr}`)
  }
  for (const file of files) {
    const listed = entries.filter(
      (entry) =>
        entry.files.includes(file) &&
        entry.runtimes.some((name) =>
          [runtime.name, runtime.spec].includes(name)
        )
    )
    if (onlyListed && listed.length === 0) continue
    const { problems, ...counts } = await runFile(
      runtime,
      file,
      listed,
      onlyListed
    )
    for (const key of Object.keys(total)) total[key] += counts[key]
    for (const problem of problems)
      console.log(`\n● ${runtime.spec} ${problem}`)
  }
  const seconds = ((Date.now() - begun) / 1000).toFixed(0)
  console.log(
    `${total.failed === 0 ? 'ok    ' : 'FAILED'} ${runtime.spec} (${runtime.version}): ` +
      `${total.passed} passed, ${total.failed} failed, ${total.leftOut} left out ` +
      `(scripts/runtimes.json), ${total.skipped} skipped as on any runtime; ${seconds} s`
  )
  return total
}

/** The files of tests that match any of the patterns. */
function testFiles(patterns) {
  const { stdout } = spawnSync(
    process.execPath,
    [jest, '--listTests', '--json', ...patterns],
    { cwd: root, encoding: 'utf8' }
  )
  return JSON.parse(stdout)
    .map((file) => relative(root, file))
    .sort()
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    test: { type: 'string', multiple: true, default: [] },
    listed: { type: 'boolean', default: false }
  }
})
const specs = positionals.length > 0 ? positionals : KNOWN
for (const spec of specs)
  if (!(nameOf(spec) in FLAGS)) throw new Error(`no runtime ${spec}`)
const files = testFiles(values.test)
if (files.length === 0) throw new Error('no file of tests matches')
const { leftOut: entries } = JSON.parse(
  await readFile(join(root, 'scripts', 'runtimes.json'), 'utf8')
)

const home = await mkdtemp(join(tmpdir(), 'nng-pair-runtimes-'))
let passed = 0
let failed = 0
try {
  for (const spec of specs) {
    const runtime = new Runtime(spec, home)
    await runtime.install()
    const counts = await testOn(runtime, files, entries, values.listed)
    passed += counts.passed
    failed += counts.failed
  }
} finally {
  await rm(home, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
