import type { PairSocket } from '../../lib'
import type { Calls } from './calls'
import type { Cancel } from './model'
import { messages } from './peers'

/** A call that asks for messages, and what it got. */
interface Take {
  readonly begun: number
  /** Of an iterator: its results come a little later than those of recv(). */
  readonly iterates: boolean
  settled: number
  messages: Buffer[]
}

/** What the socket is asked for, and gives. */
export class Receiving {
  readonly #sock: PairSocket
  readonly #calls: Calls
  readonly #takes: Take[] = []

  constructor(sock: PairSocket, calls: Calls) {
    this.#sock = sock
    this.#calls = calls
  }

  #beginTake(iterates = false): Take {
    const take: Take = {
      begun: this.#calls.now(),
      iterates,
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
      (take) => take.messages.length > 0 && !take.iterates
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
