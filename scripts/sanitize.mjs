// npm run sanitize address|thread [--build-only] [jest's arguments…]: builds
// the addon and NNG under a sanitizer and runs tests against that build. Any
// report, of whatever process, is a failure.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const SANITIZERS = {
  address: {
    build: 'build-asan',
    library: 'libasan.so',
    options: {
      ASAN_OPTIONS: [
        // Node and jest keep what they have until the process ends.
        'detect_leaks=0',
        'detect_stack_use_after_return=1',
        'strict_string_checks=1'
      ],
      UBSAN_OPTIONS: ['halt_on_error=1', 'print_stacktrace=1']
    }
  },
  thread: {
    build: 'build-tsan',
    library: 'libtsan.so',
    options: {
      TSAN_OPTIONS: [
        // Node and V8 are not instrumented: what they do with memory and
        // atomics cannot be judged. Locks of theirs still count.
        'ignore_noninstrumented_modules=1',
        'second_deadlock_stack=1',
        'history_size=4'
      ]
    }
  }
}

const [kind, ...rest] = process.argv.slice(2)
const sanitizer = SANITIZERS[kind]
if (sanitizer === undefined) {
  throw new Error('usage: npm run sanitize address|thread [--build-only] …')
}
const buildOnly = rest[0] === '--build-only'
const jestArguments = rest.filter((argument) => argument !== '--build-only')
const build = path.resolve(sanitizer.build)
const reports = path.join(build, 'reports')

function compile() {
  const run = (...args) => execFileSync('cmake', args, { stdio: 'inherit' })
  execFileSync(process.execPath, ['deps/fetch.mjs'], { stdio: 'inherit' })
  run(
    ...['-S', '.', '-B', build],
    `-DNNG_PAIR_SANITIZE=${kind}`,
    '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
    // Where node-gyp-build looks when NNG_PAIR_PREBUILD names the folder.
    `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${build}/build/Release`
  )
  run('--build', build, '-j2')
}

function environment(overrides = {}) {
  const library = execFileSync(
    process.env.CC ?? 'gcc',
    [`-print-file-name=${sanitizer.library}`],
    { encoding: 'utf8' }
  ).trim()
  const options = Object.entries(sanitizer.options).map(([name, list]) => [
    name,
    [...list, `log_path=${reports}/report`, ...(overrides[name] ?? [])].join(
      ':'
    )
  ])
  return {
    ...process.env,
    ...Object.fromEntries(options),
    LD_PRELOAD: library,
    NNG_PAIR_PREBUILD: build
  }
}

/** Runs node with these arguments; returns whether it ended well. */
function node(args, env) {
  const { status, signal } = spawnSync(process.execPath, args, {
    stdio: 'inherit',
    env
  })
  if (signal !== null) console.error(`ended by ${signal}`)
  return status === 0
}

function noReports() {
  const files = readdirSync(reports).sort()
  for (const file of files) {
    console.error(`${file}:`)
    console.error(readFileSync(path.join(reports, file), 'utf8'))
  }
  if (files.length > 0) console.error(`${files.length} sanitizer reports`)
  return files.length === 0
}

compile()
if (!buildOnly) {
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports)
  const jest = [
    'node_modules/jest/bin/jest.js',
    '--config=test/sanitizers/jest.config.mjs',
    ...jestArguments
  ]
  const results = [node(jest, environment())]
  results.push(noReports())
  process.exitCode = results.every(Boolean) ? 0 : 1
}
