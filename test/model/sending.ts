import type { PairSocket } from '../../lib'
import type { Calls } from './calls'
import { Line, type Cancel, type SendCall, type SendKind } from './model'
import { messages } from './peers'

/** More than the kernel takes, but of small ones over tcp: they would be many. */
const FLOOD = { messages: 400, bytes: 10_000_000 }

/** What the socket is asked to send. */
export class Sending {
  readonly line = new Line()
  /** How many there ever were. */
  connections = 0
  readonly #sock: PairSocket
  readonly #calls: Calls
  readonly #sendBuffer: number

  constructor(sock: PairSocket, calls: Calls, sendBuffer: number) {
    this.#sock = sock
    this.#calls = calls
    this.#sendBuffer = sendBuffer
  }

  flood(size: number): void {
    const most = Math.min(FLOOD.messages, FLOOD.bytes / size)
    for (let i = 0; i < most && this.trySend(size); i++);
  }

  /** The bodies of messages that are about to be sent. */
  #make(sizes: readonly number[], first: number): Buffer[] {
    return sizes.map((size, i) => messages.make(0, first + i, size))
  }

  #begin(
    sizes: readonly number[],
    kind: SendKind = 'send'
  ): [SendCall, Buffer[]] {
    const call = this.line.begin(sizes, this.#calls.now(), kind)
    return [call, this.#make(sizes, call.first)]
  }

  send(size: number, cancel: Cancel): void {
    const [call, [body]] = this.#begin([size])
    this.#calls.call(
      'send',
      cancel,
      (options) => {
        const promise = this.#sock.send(body!, options)
        // It has been copied.
        body!.fill(0xee)
        return promise
      },
      ({ ok }) => this.line.settle(call, ok, this.#calls.now())
    )
  }

  sendMany(sizes: number[], cancel: Cancel): void {
    const [call, bodies] = this.#begin(sizes, 'sendMany')
    this.#calls.call(
      'send',
      cancel,
      (options) => this.#sock.sendMany(bodies, options),
      ({ ok }) => this.line.settle(call, ok, this.#calls.now())
    )
  }

  trySend(size: number): boolean {
    const before = this.#sock.stats()
    const [call, [body]] = this.#begin([size], 'trySend')
    const accepted = this.#sock.trySend(body!)
    this.line.settle(call, accepted, this.#calls.now())
    const lonely = this.connections === 0
    const room =
      before.waitingSends === 0 && before.unsentMessages < this.#sendBuffer
    if (lonely && accepted !== room) {
      this.#calls.fail(`trySend() ${accepted} at ${JSON.stringify(before)}`)
    }
    if (accepted && before.waitingSends > 0) {
      this.#calls.fail('trySend() has passed a call that waits')
    }
    return accepted
  }

  drain(cancel: Cancel): void {
    const before = this.#sock.stats()
    const accepted =
      before.messagesSent + before.messagesLost + before.unsentMessages
    this.#calls.call(
      'drain',
      cancel,
      (options) => this.#sock.drain(options),
      ({ ok }) => {
        const { messagesSent, messagesLost } = this.#sock.stats()
        if (ok && messagesSent + messagesLost < accepted) {
          this.#calls.fail(`drain() of ${accepted} after ${messagesSent}`)
        }
      }
    )
  }
}
