// Streams, each with both of its ends in a thread of its own:
//
//   node threads.mjs '{"pattern":…,"beside":"workers"|"processes",…}'
//
// starts a stream in each worker, or in each process, and writes one line of JSON: how many messages
// a second all of them have moved ("threads"), or how long a small message took there and back on the
// main thread meanwhile ("beside").

import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  Worker,
  isMainThread,
  parentPort,
  workerData
} from 'node:worker_threads'
import { summary } from '../statistics.mjs'
import { dial, listen } from './nng-pair.mjs'
import { Tally } from './tally.mjs'

const file = fileURLToPath(import.meta.url)
const SMALL = 64
// How much a stream moves before it looks whether it is to end.
const SHARE_BYTES = 32 * 1024 * 1024
const SHARE_MESSAGES = 20_000

/** Both ends of a connection. */
async function open({ transport }) {
  const name = `nng-pair-bench-${randomUUID()}.ipc`
  const url =
    transport === 'tcp' ? 'tcp://127.0.0.1:0' : `ipc://${join(tmpdir(), name)}`
  const { url: bound, connected } = await listen(url, 'recv')
  const there = await dial(bound, 'recv')
  const here = await connected
  return { here, there }
}

async function close({ here, there }) {
  await Promise.all([here.sock.close(), there.sock.close()])
}

async function stream({ here, there }, payload, count) {
  const tally = new Tally(count)
  await Promise.all([here.sendAll(payload, count), there.recvAll(tally)])
  tally.verify(payload)
}

// A thread of its own.

async function serve(job, { say, order }) {
  const payload = Buffer.alloc(job.size, 7)
  const pair = await open(job)
  if (job.pattern === 'threads') {
    await stream(pair, payload, job.warmup)
    say({ ready: true })
    await order()
    const from = microseconds()
    await stream(pair, payload, job.count)
    say({ from, to: microseconds(), count: job.count })
  } else {
    const share = Math.min(
      SHARE_MESSAGES,
      Math.max(8, Math.floor(SHARE_BYTES / job.size))
    )
    await stream(pair, payload, share)
    say({ ready: true })
    let stopped = false
    const stop = order().then(() => (stopped = true))
    const from = microseconds()
    let count = 0
    for (; !stopped; count += share) await stream(pair, payload, share)
    await stop
    say({ from, to: microseconds(), count })
  }
  await close(pair)
}

function microseconds() {
  return Number(process.hrtime.bigint()) / 1000
}

// Who starts them. A worker and a process have the same calls, more or less.

class Thread {
  #other
  #messages = []
  #wanted
  #failed

  constructor(job) {
    this.#other =
      job.beside === 'workers'
        ? new Worker(file, { workerData: job })
        : fork(file, [JSON.stringify(job), 'process'])
    this.#other.on('message', (message) => {
      this.#messages.push(message)
      this.#wanted?.()
    })
    this.#failed = new Promise((_, reject) => {
      this.#other.once('error', reject)
      this.#other.once('exit', (code) => {
        if (code !== 0) reject(new Error(`ended with ${code}`))
      })
    })
    this.#failed.catch(() => {})
  }

  order() {
    if (this.#other instanceof Worker) this.#other.postMessage('go')
    else this.#other.send('go')
  }

  async hear() {
    while (this.#messages.length === 0)
      await Promise.race([
        new Promise((resolve) => (this.#wanted = resolve)),
        this.#failed
      ])
    return this.#messages.shift()
  }
}

async function together(job) {
  const threads = Array.from({ length: job.threads }, () => new Thread(job))
  await Promise.all(threads.map((thread) => thread.hear()))
  for (const thread of threads) thread.order()
  return rateOf(await Promise.all(threads.map((thread) => thread.hear())))
}

function rateOf(spans) {
  const from = Math.min(...spans.map((span) => span.from))
  const to = Math.max(...spans.map((span) => span.to))
  const count = spans.reduce((sum, span) => sum + span.count, 0)
  return { rate: (count / (to - from)) * 1e6 }
}

async function besideOne(job) {
  const pair = await open(job)
  const payload = Buffer.alloc(SMALL, 7)
  const roundTrips = async (count) => {
    const times = new Float64Array(count)
    await Promise.all([
      pair.here.pingPong(payload, times),
      pair.there.echo(count)
    ])
    return times
  }
  await roundTrips(job.warmup)
  const thread = new Thread(job)
  await thread.hear()
  const { p50, p99 } = summary(await roundTrips(job.count))
  thread.order()
  const { rate } = rateOf([await thread.hear()])
  await close(pair)
  return { p50, p99, rate }
}

if (!isMainThread) {
  await serve(workerData, {
    say: (message) => parentPort.postMessage(message),
    order: () => once(parentPort, 'message')
  })
  parentPort.close()
} else {
  const job = JSON.parse(process.argv[2])
  if (process.argv[3] === 'process') {
    await serve(job, {
      say: (message) => process.send(message),
      order: () => once(process, 'message')
    })
    process.disconnect()
  } else {
    const run = job.pattern === 'threads' ? together : besideOne
    process.stdout.write(`${JSON.stringify(await run(job))}\n`)
  }
}
