import * as path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { PairSocket, type PairSocketOptions } from '../../lib'
import { numbered } from '../support/numbered'
import {
  RawListener,
  RawPeer,
  SP_HEADER,
  frame,
  lengthHeader
} from '../support/rawPeer'
import { ownHost, ownUrl, type Transport } from '../support/transports'
import { agent, type Farewell, type Peer, type Report } from './agent'

export const messages = numbered()

export const PEERS = ['near', 'far', 'raw'] as const
export type PeerKind = (typeof PEERS)[number]

/** A socket of ours in this thread. */
function nearPeer(
  id: number,
  transport: Transport,
  options: PairSocketOptions
): Peer {
  return agent(PairSocket, messages, id, ownUrl(transport), options)
}

const workerSource = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { PairSocket } = require(workerData)
  const messages = (${String(numbered)})()
  const agent = ${String(agent)}
  const peers = new Map()
  parentPort.on('message', async ({ call, key, name, args }) => {
    try {
      if (name === 'make') peers.set(key, agent(PairSocket, messages, ...args))
      else if (name === 'forget') peers.delete(key)
      const result = await peers.get(key)?.[name]?.(...args)
      parentPort.postMessage({ call, result })
    } catch (error) {
      parentPort.postMessage({ call, error: String(error.stack) })
    }
  })
`

/** A thread whose sockets are told what to do. */
class FarThread {
  readonly #worker = new Worker(workerSource, {
    eval: true,
    workerData: path.join(__dirname, '../../dist')
  })
  readonly #calls = new Map<
    number,
    { resolve: (result: never) => void; reject: (error: Error) => void }
  >()
  #next = 0

  constructor() {
    this.#worker.on('message', (answer: Answer) => {
      const call = this.#calls.get(answer.call)
      this.#calls.delete(answer.call)
      if (answer.error === undefined) call?.resolve(answer.result)
      else call?.reject(new Error(answer.error))
    })
  }

  call<T>(key: number, name: string, ...args: unknown[]): Promise<T> {
    const call = this.#next++
    return new Promise((resolve, reject) => {
      this.#calls.set(call, { resolve, reject })
      this.#worker.postMessage({ call, key, name, args })
    })
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }
}

interface Answer {
  call: number
  result: never
  error?: string
}

let thread: FarThread | undefined
let peersMade = 0

afterAll(async () => {
  await thread?.end()
  thread = undefined
})

/** A socket of ours in another thread. */
function farPeer(
  id: number,
  transport: Transport,
  options: PairSocketOptions
): Peer {
  const far = (thread ??= new FarThread())
  const key = ++peersMade
  void far.call(key, 'make', id, ownUrl(transport), options)
  return {
    listen: () => far.call(key, 'listen'),
    dial: (url) => far.call(key, 'dial', url),
    send: (sizes) => far.call(key, 'send', sizes),
    read: (on) => far.call(key, 'read', on),
    hasSent: (count) => far.call(key, 'hasSent', count),
    hasReceived: (count) => far.call(key, 'hasReceived', count),
    met: (n) => far.call(key, 'met', n),
    parted: (count) => far.call(key, 'parted', count),
    leave: (how) => far.call(key, 'leave', how),
    report: () => far.call(key, 'report'),
    async end() {
      await far.call(key, 'end')
      await far.call(key, 'forget')
    }
  }
}

/** One end of a connection that speaks the bytes of the wire itself. */
class RawAgent implements Peer {
  readonly #id: number
  readonly #transport: Transport
  #listener: RawListener | undefined
  #raw!: RawPeer
  #ready: Promise<void> | undefined
  #made = 0
  #accepted = 0
  #sending: Promise<unknown> = Promise.resolve()
  #writing = false
  readonly #received: number[] = []
  #reading = false
  #loop: Promise<void> | undefined
  #torn = false
  #ended = false
  readonly #failures: string[] = []

  constructor(id: number, transport: Transport) {
    this.#id = id
    this.#transport = transport
  }

  async listen(): Promise<string> {
    this.#listener = await RawListener.open(this.#transport, ownHost())
    this.#ready = this.#listener.accept().then((raw) => {
      this.#raw = raw
      return raw.shake()
    })
    return this.#listener.url
  }

  async dial(url: string): Promise<void> {
    this.#raw = await RawPeer.shake(url)
  }

  /** The frames as one piece of bytes, or cut in two somewhere. */
  async send(sizes: number[], cut: number): Promise<void> {
    await this.#ready
    const bodies = sizes.map((size) => {
      const number = this.#made++
      return size === 0 ? '' : messages.make(this.#id, number, size)
    })
    const bytes = Buffer.concat(bodies.map((b) => frame(this.#transport, b)))
    const raw = this.#raw
    this.#sending = this.#sending.then(async () => {
      this.#writing = true
      try {
        if (cut > 0 && cut < bytes.length) {
          await raw.write(bytes.subarray(0, cut))
          await turn()
          await raw.write(bytes.subarray(cut))
        } else {
          await raw.write(bytes)
        }
        this.#accepted += sizes.length
      } catch {
        // The connection has ended: what was not written was not sent.
      }
      this.#writing = false
    })
  }

  async read(on: boolean): Promise<void> {
    await this.#ready
    this.#reading = on
    if (on) this.#loop ??= this.#readOn()
  }

  async #readOn(): Promise<void> {
    const headSize = lengthHeader(this.#transport, 0).length
    while (this.#reading && !this.#ended) {
      const head = await this.#raw.read(headSize)
      const whole = head.length === headSize
      const size = whole ? Number(head.readBigUInt64BE(headSize - 8)) : 0
      const body = await this.#raw.read(size)
      if (!whole || body.length < size) {
        this.#torn = head.length > 0
        this.#ended = true
        await this.#raw.close()
      } else {
        this.#note(body)
      }
    }
    this.#loop = undefined
  }

  #note(body: Buffer): void {
    try {
      this.#received.push(body.length === 0 ? -1 : messages.check(body)[1])
    } catch (error) {
      this.#failures.push(String(error))
    }
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#ended) await turn()
  }

  hasSent(count: number): Promise<void> {
    return this.#until(() => this.#accepted >= count)
  }

  hasReceived(count: number): Promise<void> {
    return this.#until(() => this.#received.length >= count)
  }

  async met(): Promise<void> {
    await this.#ready
  }

  parted(): Promise<void> {
    return this.#until(() => this.#raw.socket.closed)
  }

  async leave(how: Farewell): Promise<void> {
    await this.#ready
    const raw = this.#raw
    if (how === 'close') {
      await this.#sending
      if (!raw.socket.destroyed) await raw.finish()
      await this.read(true)
      await this.#loop
    } else if (how === 'torn' && !this.#writing) {
      const torn = frame(this.#transport, 'cut off').subarray(0, 11)
      await raw.write(torn).catch(() => {})
    } else if (how === 'absurd' && !this.#writing) {
      // The socket hangs up when it comes to it.
      await raw.write(lengthHeader(this.#transport, 2n ** 60n)).catch(() => {})
      await this.read(true)
      await this.#loop
    }
    if (how === 'reset') await raw.reset()
    else await raw.close()
    await this.#listener?.close()
    this.#ended = true
  }

  report(): Promise<Report> {
    return Promise.resolve({
      accepted: this.#accepted,
      received: this.#received,
      pieces: [{ start: 0, sent: this.#made, lost: 0 }],
      torn: this.#torn,
      failures: this.#failures
    })
  }

  end(): Promise<void> {
    return this.leave('now')
  }
}

export function makePeer(
  kind: PeerKind,
  id: number,
  transport: Transport,
  options: PairSocketOptions
): Peer {
  if (kind === 'near') return nearPeer(id, transport, options)
  if (kind === 'far') return farPeer(id, transport, options)
  return new RawAgent(id, transport)
}

export const STRANGERS = ['busy', 'garbage', 'silent', 'torn header'] as const
export type StrangerKind = (typeof STRANGERS)[number]

/** Somebody who connects while there is a peer, and is turned away or goes. */
export async function comeBy(url: string, kind: StrangerKind): Promise<void> {
  const raw = await RawPeer.connect(url)
  const say = async (bytes: Buffer) => {
    await raw.write(bytes).catch(() => {})
  }
  if (kind === 'busy') {
    await say(SP_HEADER)
    await raw.rest()
  } else if (kind === 'garbage') {
    await say(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await raw.rest()
  } else if (kind === 'torn header') {
    await say(SP_HEADER.subarray(0, 5))
  }
  await raw.close()
}
