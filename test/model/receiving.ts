import type { PairSocket } from '../../lib'
import type { Calls } from './calls'
import type { Cancel } from './model'
import { messages } from './peers'

/** The messages that a listener for them is about to get (docs/api.md). */
const MOST_ABOUT_TO_BE_TOLD = 256

/** A call that asks for messages, and what it got. */
interface Take {
  readonly begun: number
  /**
   * Of an iterator, whose results come a little later than those of recv(), or
   * an event, which comes a little earlier.
   */
  readonly apart: boolean
  settled: number
  messages: Buffer[]
}

/** What the socket is asked for, and gives. */
export class Receiving {
  readonly #sock: PairSocket
  readonly #calls: Calls
  readonly #takes: Take[] = []
  #listener: ((message: Buffer) => void) | undefined
  /** How many had come with the last message that it was about to get. */
  #aboutToBeTold = 0

  constructor(sock: PairSocket, calls: Calls) {
    this.#sock = sock
    this.#calls = calls
  }

  #beginTake(apart = false): Take {
    const take: Take = {
      begun: this.#calls.now(),
      apart,
      settled: Infinity,
      messages: []
    }
    this.#takes.push(take)
    return take
  }

  #settleTake(take: Take, got: Buffer[]): void {
    take.settled = this.#calls.now()
    take.messages = got
  }

  take(kind: 'recv' | 'recvMany', cancel: Cancel, max = 1): void {
    const take = this.#beginTake()
    this.#calls.call<Buffer | Buffer[]>(
      'recv',
      cancel,
      (options) =>
        kind === 'recvMany'
          ? this.#sock.recvMany(max, options)
          : this.#sock.recv(options),
      (_, value) => {
        const got = Buffer.isBuffer(value) ? [value] : value
        if (got !== undefined && (got.length < 1 || got.length > max)) {
          this.#calls.fail(`${kind}(${max}) gives ${got.length}`)
        }
        this.#settleTake(take, got ?? [])
      }
    )
  }

  tryRecv(): boolean {
    const take = this.#beginTake()
    const message = this.#sock.tryRecv()
    this.#settleTake(take, message === undefined ? [] : [message])
    return message !== undefined
  }

  async iterate(count: number): Promise<void> {
    const iterator = this.#sock[Symbol.asyncIterator]()
    for (let i = 0; i < count; i++) {
      const take = this.#beginTake(true)
      const { value, done } = await iterator.next()
      if (done === true) {
        if (!this.#calls.closing)
          this.#calls.fail('an iterator ends before close()')
        return
      }
      this.#settleTake(take, [value])
    }
    await iterator.return()
  }

  /**
   * Listens for so many messages, or does so no longer. Every call that has
   * begun before an event is served before it, or never.
   */
  listen(count: number, told: (message: Buffer) => void): void {
    if (this.#listener !== undefined) return this.#listenNoMore()
    this.#listener = (message) => {
      this.#settleTake(this.#beginTake(true), [message])
      if (--count === 0) this.#listenNoMore()
      if (this.#sock.closed) this.#calls.fail('a message is told after close()')
      told(message)
    }
    this.#sock.on('message', this.#listener)
  }

  #listenNoMore(): void {
    this.#sock.off('message', this.#listener!)
    this.#listener = undefined
    const { unreadMessages } = this.#sock.stats()
    this.#aboutToBeTold =
      this.#given() + Math.min(unreadMessages, MOST_ABOUT_TO_BE_TOLD)
  }

  /** How many are there besides those read ahead, since the listener has left. */
  get leftByListener(): number {
    return Math.max(0, this.#aboutToBeTold - this.#given())
  }

  /** How many the socket has given: a promise may tell us of it later. */
  #given(): number {
    const { messagesReceived, unreadMessages } = this.#sock.stats()
    return messagesReceived - unreadMessages
  }

  /** What was received, in the order of the calls. */
  get taken(): Buffer[] {
    return this.#takes.flatMap((take) => take.messages)
  }

  /** Messages by the peer that sent them; without bytes, as those before. */
  bySender(): Map<number, Buffer[]> {
    const byPeer = new Map<number, Buffer[]>()
    let id = 0
    for (const message of this.taken) {
      if (message.length > 0) id = messages.check(message)[0]
      const own = byPeer.get(id)
      if (own === undefined) byPeer.set(id, [message])
      else own.push(message)
    }
    return byPeer
  }

  checkOrder(): void {
    const served = this.#takes.filter(
      (take) => take.messages.length > 0 && !take.apart
    )
    served.forEach((take, i) => {
      if (i > 0 && take.settled < served[i - 1]!.settled) {
        this.#calls.fail('recv() are not served first come, first served')
      }
    })
    let before = 0
    for (const message of this.taken) {
      if (message.length === 0) continue
      const [id] = messages.check(message)
      if (id < before)
        this.#calls.fail(`a message of peer ${id} after ${before}`)
      before = id
    }
  }
}
