// What the two ends of a job do with their connection, whatever it is made of. A connection has
//
//   send(message), recv()      one message, for taking turns
//   sendAll(payload, count)    the way its user would send a stream
//   recvAll(tally)             the way its user would receive one, until tally.add() says it is enough
//   pingPong(payload, times)   round trips; fills the times in microseconds
//   echo(count)                the other end of that
//
// The dialer says when it is warm, the listener says go and holds the watch.

import { isMainThread } from 'node:worker_threads'
import { Tally } from './tally.mjs'
import { startProbe } from './probe.mjs'
import { summary } from '../statistics.mjs'

const TURN = Buffer.from('t')
// A letter: what is sent as JSON would grow otherwise.
const BYTE = 'm'

export function runPattern(conn, job) {
  const payload = Buffer.alloc(job.size, BYTE)
  switch (job.pattern) {
    case 'roundtrip':
      return job.role === 'dial'
        ? measureRoundTrips(conn, job, payload)
        : echo(conn, job)
    case 'oneway':
    case 'fairness':
      return job.role === 'dial'
        ? sendStream(conn, job, payload)
        : receiveStream(conn, job, payload)
    case 'duplex':
      return exchangeStreams(conn, job, payload)
    default:
      throw new Error(`no pattern ${job.pattern}`)
  }
}

async function measureRoundTrips(conn, { count, warmup }, payload) {
  await conn.pingPong(payload, new Float64Array(warmup))
  const times = new Float64Array(count)
  const measured = await measure(() => conn.pingPong(payload, times))
  const { p50, p99 } = summary(times)
  return { ...measured, p50, p99 }
}

async function echo(conn, { count, warmup }) {
  await conn.echo(warmup)
  return measure(() => conn.echo(count))
}

async function sendStream(conn, { pattern, count, warmup }, payload) {
  await conn.sendAll(payload, warmup)
  await conn.recv()
  const probe = pattern === 'fairness' ? startProbe() : undefined
  const measured = await measure(() => conn.sendAll(payload, count))
  const delays = probe?.stop()
  await conn.recv()
  return { ...measured, delays }
}

async function receiveStream(conn, { pattern, count, warmup }, payload) {
  await receive(conn, payload, warmup)
  const probe = pattern === 'fairness' ? startProbe() : undefined
  const measured = await measure(async () => {
    await conn.send(TURN)
    await receive(conn, payload, count)
  })
  const delays = probe?.stop()
  await conn.send(TURN)
  return { ...measured, rate: count / measured.seconds, delays }
}

async function exchangeStreams(conn, { role, count, warmup }, payload) {
  await exchange(conn, payload, warmup)
  if (role === 'dial') {
    await conn.send(TURN)
    await conn.recv()
    return measure(async () => {
      await exchange(conn, payload, count)
      await conn.send(TURN)
    })
  }
  await conn.recv()
  const measured = await measure(async () => {
    await conn.send(TURN)
    await exchange(conn, payload, count)
    await conn.recv()
  })
  return { ...measured, rate: (2 * count) / measured.seconds }
}

async function exchange(conn, payload, count) {
  await Promise.all([
    conn.sendAll(payload, count),
    receive(conn, payload, count)
  ])
}

async function receive(conn, payload, count) {
  if (count === 0) return
  const tally = new Tally(count)
  await conn.recvAll(tally)
  tally.verify(payload)
}

/** `from` and `to` are the monotonic clock's, for what else has recorded it. */
async function measure(work) {
  const cpu = process.cpuUsage()
  const from = microseconds()
  await work()
  const to = microseconds()
  const { user, system } = process.cpuUsage(cpu)
  // Of two threads of a process, the main thread has the CPU time of both.
  const seconds = isMainThread ? (user + system) / 1e6 : 0
  return { from, to, seconds: (to - from) / 1e6, cpu: seconds }
}

function microseconds() {
  return Number(process.hrtime.bigint()) / 1000
}
