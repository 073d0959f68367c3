// The process whose memory, descriptors and threads are watched. It lives as
// long as the soak does, while everything around it comes and goes.

import { once } from 'node:events'
import * as fs from 'node:fs'
import { createRequire } from 'node:module'
import * as os from 'node:os'
import * as path from 'node:path'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Account, receive, send } from './exchange.mjs'

const { PairSocket } = createRequire(import.meta.url)('../../dist')
const PEER = fileURLToPath(new URL('peer.mjs', import.meta.url))

const { interval, plants } = JSON.parse(process.argv[2])
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-soak-'))
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }))

let urls = 0
function freshUrl(transport) {
  return transport === 'tcp'
    ? 'tcp://127.0.0.1:0'
    : `ipc://${folder}/${urls++}.ipc`
}

let over = false
const counts = { messages: 0, connections: 0, rejects: 0, exchanges: 0 }
const failed = (error) => {
  console.error(error)
  process.exit(1)
}

// Those who come from outside.

/** A listener that stays, and an account of what its peers have sent. */
class Host {
  sock = new PairSocket()
  /** How many peers have sent everything, to their last message. */
  ends = 0
  #account = new Account({ fromFirst: true })
  #receiving

  constructor() {
    this.sock.on('connect', () => counts.connections++)
    this.sock.on('reject', () => counts.rejects++)
  }

  async open(transport) {
    this.#receiving = this.#receive()
    const { url } = await this.sock.listen(freshUrl(transport))
    return url
  }

  async close() {
    await this.sock.close({ timeout: 1000 })
    await this.#receiving
  }

  #receive() {
    let untilLoss = plants.includes('loss') ? 1000 : Infinity
    return receive(this.sock, (data) => {
      counts.messages++
      if (--untilLoss !== 0 && this.#account.enter(data)) this.ends++
      return false
    })
  }
}

/** The same peer from the beginning to the end. */
async function steady(host) {
  await send(host.sock, 0, () => over)
  while (host.ends === 0) await sleep(10)
  await host.close()
}

/** Peers that leave or are killed, one after the other. */
async function visited(host) {
  const sending = send(host.sock, 0, () => over)
  while (!over) await sleep(100)
  // It may be waiting for the next one.
  await host.close()
  await sending
}

/** Peers that are workers of this process, and are terminated. */
async function hostOfWorkers(host, url) {
  const sending = send(host.sock, 0, () => over)
  for (let sender = 1; !over; sender++) {
    const worker = new Worker(PEER, { workerData: ['floods', url, sender] })
    worker.on('error', failed)
    // A worker that is ended while Node reads its module leaves that file open.
    await once(worker, 'message')
    await sleep(Math.random() * 3000)
    await worker.terminate()
  }
  await host.close()
  await sending
}

/** Sockets that live for a moment, as streams, and dials that fail. */
async function shortLived(transport) {
  const messages = Array.from({ length: 20 }, (_, i) => `message ${i}`)
  while (!over) {
    const one = new PairSocket()
    const other = new PairSocket()
    const listener = await one.listen(freshUrl(transport))
    await other.dial(listener.url)
    const stream = one.duplex()
    for (const message of messages) stream.write(message)
    const ended = once(stream.end(), 'finish')
    const received = []
    for await (const data of other.duplex()) {
      received.push(String(data))
      if (received.length === messages.length) break
    }
    await ended
    if (received.join() !== messages.join()) throw new Error(received.join())
    await listener.close()
    await Promise.all([one.close(), other.close()])
    const nobody = new PairSocket()
    await nobody.dial(listener.url, { timeout: 1000 }).catch(() => {})
    await nobody.close()
    counts.exchanges++
    await sleep(Math.random() * 100)
  }
}

// What is watched.

const leftBehind = []

/** Leaves something behind, to see that it is noticed. */
function leave() {
  if (plants.includes('descriptors')) fs.openSync('/dev/null')
  if (plants.includes('memory')) leftBehind.push(Buffer.alloc(2 ** 20, 1))
  if (plants.includes('heap'))
    leftBehind.push(Array.from({ length: 50_000 }, String))
  if (plants.includes('threads'))
    new Worker('setInterval(() => {}, 1e6)', { eval: true }).unref()
}

async function sample() {
  leave()
  // Finalizers run in turns of the loop, and free what others hold.
  for (let i = 0; i < 2; i++) {
    globalThis.gc()
    await turn()
  }
  const { rss, external, heapUsed } = process.memoryUsage()
  return {
    seconds: performance.now() / 1000,
    rss,
    external,
    heapUsed,
    descriptors: descriptors(),
    threads: fs.readdirSync('/proc/self/task').length,
    ...counts
  }
}

async function watch() {
  while (!over) {
    await sleep(interval)
    process.send({ sample: await sample() })
  }
}

function descriptors() {
  return fs.readdirSync('/proc/self/fd').length
}

/** How many are open, with every socket closed, once it is no more than before. */
async function descriptorsAtRest(before) {
  // Connections end on a thread of the engine's, a little later.
  for (let left = 500; left > 0 && descriptors() > before; left--) {
    await sleep(10)
  }
  return descriptors()
}

// A first exchange brings what stays: the engine's own.
const first = new PairSocket()
await first.listen(freshUrl('tcp'))
await first.close()
const before = descriptors()

const hosts = []
const work = [watch()]
for (const transport of ['tcp', 'ipc']) {
  for (const mode of ['stays', 'leaves', 'floods', 'works']) {
    const host = new Host()
    const url = await host.open(transport)
    hosts.push({ mode, url, host })
    if (mode === 'stays') work.push(steady(host))
    else if (mode === 'works') work.push(hostOfWorkers(host, url))
    else work.push(visited(host))
  }
  work.push(shortLived(transport))
}
for (const task of work) task.catch(failed)
process.send({ hosts: hosts.map(({ mode, url }) => ({ mode, url })) })

process.once('message', async () => {
  over = true
  await Promise.all(work)
  const ends = hosts.map(({ host }) => host.ends)
  process.send({
    end: { ends, atRest: [before, await descriptorsAtRest(before)] }
  })
  process.disconnect()
})
