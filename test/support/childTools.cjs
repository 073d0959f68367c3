// What a function that childProcess.ts runs in another process is given, and
// the way to hand on another such function to a worker thread.

const { AsyncLocalStorage, createHook } = require('node:async_hooks')
const diagnostics = require('node:diagnostics_channel')
const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
const stream = require('node:stream')
const { setImmediate, setTimeout } = require('node:timers/promises')
const v8 = require('node:v8')
const vm = require('node:vm')
const { Worker, parentPort } = require('node:worker_threads')
const lib = require('../../dist')

/** The source of a call of `main` in another process or thread. */
function sourceOf(main, args) {
  return (
    `const { tools } = require(${JSON.stringify(__filename)})\n` +
    `;(${String(main)})(tools, ...${JSON.stringify(args)})`
  )
}

function collectGarbage() {
  if (globalThis.Bun !== undefined) return globalThis.Bun.gc(true)
  v8.setFlagsFromString('--expose-gc')
  vm.runInNewContext('gc')()
}

function nameOfThread(id) {
  try {
    return fs.readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trimEnd()
  } catch {
    return undefined // it has just ended
  }
}

async function settled(measure) {
  let last = measure()
  for (let same = 0; same < 20; same++) {
    await setTimeout(10)
    const now = measure()
    if (now !== last) same = 0
    last = now
  }
  return last
}

exports.tools = {
  lib,
  AsyncLocalStorage,
  collectGarbage,
  createHook,
  diagnostics,
  fs,
  net,
  once,
  parentPort,
  settled,
  sleep: setTimeout,
  stream,
  turn: setImmediate,
  // Synchronous, so that what was said is never lost.
  say: (text) => void fs.writeSync(2, `${text}\n`),
  threads: (name) =>
    fs.readdirSync('/proc/self/task').filter((id) => nameOfThread(id) === name)
      .length,
  startWorker: (main, ...args) =>
    new Worker(sourceOf(main, args), { eval: true })
}
