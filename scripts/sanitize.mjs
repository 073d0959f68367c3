// npm run sanitize address|thread [--build-only] [jest's arguments…]: builds
// the addon and NNG under a sanitizer and runs tests against that build. Any
// report, of whatever process, is a failure. Faults that are planted for it
// (test/sanitizers/planted.c), and breaches of the order of locks (locks.c
// there), must be reported first: silence proves nothing where nobody listens.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync
} from 'node:fs'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const SANITIZERS = {
  address: {
    build: 'build-asan',
    library: 'libasan.so',
    // Where UndefinedBehaviorSanitizer has more to see: all of it on one thread.
    driver: 'loop',
    planted: {
      useAfterFree: /heap-use-after-free[^]*nni_msg_set_pipe/,
      overflow: /signed integer overflow/
    },
    fuzzed: true,
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
    driver: 'thread',
    planted: { race: /data race[^]*nni_msg_set_pipe/ },
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
  if (sanitizer.fuzzed) run('--build', build, '--target', 'fuzz_connection')
}

function environment() {
  const library = execFileSync(
    process.env.CC ?? 'gcc',
    [`-print-file-name=${sanitizer.library}`],
    { encoding: 'utf8' }
  ).trim()
  const options = Object.entries(sanitizer.options).map(([name, list]) => [
    name,
    [...list, `log_path=${reports}/report`].join(':')
  ])
  return {
    NNG_PAIR_DRIVER: sanitizer.driver,
    // Over each transport: what is watched takes its time.
    NNG_PAIR_MODEL_SCHEDULES: '100',
    ...process.env,
    ...Object.fromEntries(options),
    NNG_PAIR_SANITIZER: kind,
    NNG_PAIR_SANITIZER_REPORTS: `${reports}/report`,
    LD_PRELOAD: library,
    NNG_PAIR_PREBUILD: build
  }
}

/** Forgets all reports; returns their texts. */
function takeReports() {
  const files = existsSync(reports) ? readdirSync(reports).sort() : []
  const texts = files.map((file) =>
    readFileSync(path.join(reports, file), 'utf8')
  )
  rmSync(reports, { recursive: true, force: true })
  mkdirSync(reports)
  return texts
}

/** Each planted fault must be reported, to where the tests' reports go. */
function proveReports(env) {
  const planted = path.join(build, 'test/sanitizers/planted.node')
  for (const [fault, pattern] of Object.entries(sanitizer.planted)) {
    takeReports()
    const code = `require(${JSON.stringify(planted)}).${fault}()`
    const { status, signal } = spawnSync(process.execPath, ['-e', code], {
      stdio: 'inherit',
      env
    })
    const texts = takeReports()
    if (!texts.some((text) => pattern.test(text))) {
      throw new Error(
        `the planted fault ${fault} was not reported; ` +
          `node ended with ${signal ?? status}:\n${texts.join('\n')}`
      )
    }
    console.log(`the planted fault ${fault} is reported`)
  }
}

// What is committed by test/sanitizers/locks.c, and what is said of it.
const BREACHES = {
  engineUnderLeaf: "an engine's lock is taken while a leaf is held",
  engineUnderOwnLeaf: "an engine's lock is taken while a leaf is held",
  engineAgainUnderLeaf: "an engine's lock is taken while a leaf is held",
  twoEngines: 'the locks of two engines are held at once',
  twoLeaves: 'a leaf is taken while another is held',
  twoOwnLeaves: 'a leaf of ours is taken while another is held',
  waitUnderEngine: 'a thread waits on a condition and holds another lock',
  javascriptUnderEngine: 'a lock is held while JavaScript runs',
  javascriptUnderLeaf: 'a lock is held while JavaScript runs'
}

/** Each breach of the order of locks (binding/engine/lock.h) must abort. */
function proveLockCheck(env) {
  const run = (file, args, env) => {
    const options = { encoding: 'utf8', env, timeout: 60_000 }
    return spawnSync(file, args, options)
  }
  const prove = (name, text, { signal, stderr }) => {
    if (signal !== 'SIGABRT' || !stderr.includes(`lock order: ${text}`)) {
      throw new Error(`the planted breach ${name} was not found:\n${stderr}`)
    }
    console.log(`the planted breach ${name} is found`)
  }
  const program = path.join(build, 'test/sanitizers/locks')
  const { status, stderr } = run(program, ['none'], env)
  if (status !== 0) throw new Error(`what keeps to the order fails:\n${stderr}`)
  for (const [name, text] of Object.entries(BREACHES)) {
    prove(name, text, run(program, [name], env))
  }
  // And in the addon, on each driver: JavaScript that calls, and is called.
  const code = `
    const native = require('node-gyp-build')(process.cwd())
    const socket = new native.Socket({
      sendBuffer: 1, recvBuffer: 1, maxMessageSize: 1024,
      reconnectMin: 100, reconnectMax: 100,
      noDelay: true, keepAlive: false, keepAliveDelay: 0, keepAliveInterval: 0,
      keepAliveCount: 0, userTimeout: 0, ipcMode: 0o600
    })
    const calls = {
      calls: () => native.callLocked(() => socket.accepted()),
      isCalled: () => native.callLocked(() => native.outside(() => {}))
    }
    calls[process.argv[1]]()`
  for (const driver of ['loop', 'thread']) {
    for (const name of ['calls', 'isCalled']) {
      const result = run(process.execPath, ['-e', code, name], {
        ...env,
        NNG_PAIR_DRIVER: driver
      })
      prove(`${name} (${driver})`, 'a lock is held while JavaScript', result)
    }
  }
  takeReports()
}

/** What the tests load must be what was built here. */
function proveAddon(env) {
  const code = "require('node-gyp-build').resolve(process.cwd())"
  const addon = execFileSync(process.execPath, ['-p', code], {
    encoding: 'utf8',
    env
  }).trim()
  if (!addon.startsWith(`${build}/`)) {
    throw new Error(`the tests would load ${addon}, not what is in ${build}`)
  }
}

/** What libFuzzer has found worth keeping (scripts/fuzz.mjs). */
function replayInputs(env) {
  const program = path.join(build, 'test/fuzz/fuzz_connection')
  const { status, signal } = spawnSync(program, ['test/fuzz/corpus.txt'], {
    stdio: 'inherit',
    timeout: 300_000,
    env: { ...env, LD_PRELOAD: undefined }
  })
  if (status === 0) return true
  console.error(`test/fuzz/corpus.txt: ${signal ?? `exit ${status}`}`)
  return false
}

function runJest(env) {
  const { status, signal } = spawnSync(
    process.execPath,
    [
      'node_modules/jest/bin/jest.js',
      '--config=test/sanitizers/jest.config.mjs',
      ...jestArguments
    ],
    { stdio: 'inherit', env }
  )
  if (signal !== null) console.error(`ended by ${signal}`)
  return status === 0
}

compile()
if (!buildOnly) {
  const env = environment()
  proveAddon(env)
  proveReports(env)
  proveLockCheck(env)
  const replayed = !sanitizer.fuzzed || replayInputs(env)
  const passed = runJest(env) && replayed
  const texts = takeReports()
  for (const text of texts) console.error(text)
  if (texts.length > 0) console.error(`${texts.length} sanitizer reports`)
  process.exitCode = passed && texts.length === 0 ? 0 : 1
}
