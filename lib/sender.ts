import { clearTimeout, setTimeout } from 'node:timers'
import { isAnyArrayBuffer } from 'node:util/types'
import { noMap, noSet, withEntry, withItem } from './collections'
import {
  NNG,
  NngError,
  argumentError,
  at,
  callSite,
  checked,
  type CallSite
} from './errors'
import {
  SEND_ACCEPTED,
  SEND_FULL,
  SEND_QUEUED,
  type NativeSocket
} from './native'
import type { WaitOptions } from './options'
import { isBytes, outbox } from './outbox'
import { Pending } from './pending'
import { STREAK_BYTES, STREAK_MESSAGES, Yielding } from './yielding'

// A caller that sends large messages faster than its peer reads would fill the
// send buffer and then work in memory that no cache holds, at half the speed.
// So while there is a peer, and more than this waits for it, the promise of an
// accepted message comes when the peer has caught up, or a little later anyway.
const AHEAD_BYTES = 512 * 1024
const AHEAD_MS = 5
// Where it is worth asking.
const LARGE = 16 * 1024

/**
 * What can be sent: text (as UTF-8), the bytes of a buffer, or those that a
 * view shows.
 */
export type MessageData = string | ArrayBufferView | ArrayBufferLike

function checkIterable(messages: unknown): void {
  const iterator: unknown = (
    messages as Iterable<unknown> | null | undefined
  )?.[Symbol.iterator]
  if (typeof iterator !== 'function') {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      'messages must be an iterable of messages, not ' +
        (messages === null ? 'null' : typeof messages)
    )
  }
}

function toBytes(data: MessageData): string | Uint8Array {
  if (isBytes(data)) return data
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  }
  if (isAnyArrayBuffer(data)) {
    return new Uint8Array(data)
  }
  throw argumentError(
    'ERR_INVALID_ARG_TYPE',
    'a message must be a string, an ArrayBuffer or a view of one, not ' +
      (data === null ? 'null' : typeof data)
  )
}

/** As bytes: the very list that was given if there is nothing to convert. */
function toList(
  given: readonly MessageData[]
): readonly (string | Uint8Array)[] {
  for (const data of given) {
    if (!isBytes(data)) return Array.from(given, toBytes)
  }
  return given as readonly (string | Uint8Array)[]
}

/** How much of a list is sent before the event loop gets a turn. */
function batch(
  list: readonly (string | Uint8Array)[],
  first: number
): { end: number; bytes: number } {
  let end = first
  let bytes = 0
  const last = Math.min(list.length, first + STREAK_MESSAGES)
  while (end < last && bytes < STREAK_BYTES) bytes += list[end++]!.length
  return { end, bytes }
}

/** Who waits until so many messages, of all that were accepted, are done. */
interface Waiter {
  count: number
  resolve: () => void
}

interface Drain extends Waiter {
  pending: Pending<void>
}

type Entry = (...args: never[]) => unknown

/**
 * The sending side of a socket. A message that finds no room waits in line in
 * the addon, where it was copied to, and its call waits here under the same
 * number; one that is cancelled leaves the line unsent.
 */
export class Sender {
  readonly #native: NativeSocket
  readonly #timeout: number
  readonly #maxSize: number
  readonly #yielding = new Yielding()
  #waiting = noMap<number, Pending<void>>()
  // The numbers of the first message in line and of the next one to join it.
  #first = 0
  #next = 0
  #drains = noSet<Drain>()
  #ahead = noSet<Waiter>()
  // How many messages were done when the peer had not caught up in time.
  #stuckAt = -1
  #closed = false

  constructor(native: NativeSocket, timeout: number, maxSize: number) {
    this.#native = native
    this.#timeout = timeout
    this.#maxSize = maxSize
  }

  send(data: MessageData, options: WaitOptions, entry: Entry): Promise<void> {
    const bytes = toBytes(data)
    const { signal, timeout = this.#timeout } = options
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    if (this.#closed) return this.#failed(NNG.ECLOSED, entry)
    if (this.#tooLarge(bytes)) return this.#failed(NNG.EMSGSIZE, entry)
    const status = this.#send(bytes, timeout !== 0)
    switch (status) {
      case SEND_ACCEPTED:
        return this.#accepted(1, bytes.length)
      case SEND_FULL:
        return this.#failed(NNG.ETIMEDOUT, entry)
      case SEND_QUEUED:
        return this.#wait({ signal, timeout }, entry)
      default:
        return this.#failed(-status, entry)
    }
  }

  trySend(data: MessageData, entry: Entry): boolean {
    const bytes = toBytes(data)
    if (this.#closed) throw this.#error(NNG.ECLOSED, entry)
    if (this.#tooLarge(bytes)) throw this.#error(NNG.EMSGSIZE, entry)
    const status = this.#send(bytes, false)
    if (status < 0) throw this.#error(-status, entry)
    return status === SEND_ACCEPTED
  }

  sendMany(
    messages: Iterable<MessageData>,
    options: WaitOptions,
    entry: Entry
  ): Promise<void> {
    let staged = 0
    if (
      Array.isArray(messages) &&
      messages.length <= STREAK_MESSAGES &&
      options.signal === undefined &&
      this.#waiting.size === 0 &&
      !this.#closed
    ) {
      // Most of the time all of them are accepted at once.
      outbox.open(this.#native)
      staged = outbox.stage(this.#native, messages, this.#maxSize)
      if (staged === messages.length && staged > 0) {
        const bytes = outbox.publish(this.#native)
        if (bytes >= 0) return this.#yielding.done(staged, bytes)
      }
    }
    return this.#sendList(messages, staged, options, entry)
  }

  /** Nothing of it is sent if there is anything in it that cannot be. */
  async #sendList(
    messages: Iterable<MessageData>,
    staged: number,
    options: WaitOptions,
    entry: Entry
  ): Promise<void> {
    checked(entry, () => checkIterable(messages))
    // What the iterable throws is its own: the stack of the call is not put on it.
    const given: readonly MessageData[] = Array.isArray(messages)
      ? messages
      : Array.from(messages)
    let list = checked(entry, () => toList(given))
    const { signal, timeout = this.#timeout } = options
    signal?.throwIfAborted()
    if (list.some((bytes) => this.#tooLarge(bytes))) {
      throw this.#error(NNG.EMSGSIZE, entry)
    }
    // Taken while the caller is on the stack, and it costs as much as a dozen
    // messages: a batch that is accepted at once does without.
    let site: CallSite | undefined
    const deadline = performance.now() + timeout
    let next = 0
    if (
      staged > 0 &&
      this.#waiting.size === 0 &&
      outbox.publish(this.#native) >= 0
    ) {
      next = staged
    }
    for (let first = 0; ; first = next) {
      if (this.#closed) {
        throw at(new NngError(NNG.ECLOSED, 'send'), site ?? callSite(entry))
      }
      const { end, bytes } = batch(list, first)
      if (this.#waiting.size === 0) {
        next = this.#sendBatch(list, next, end)
      }
      const accepted = next === end
      if (accepted && end === list.length) {
        return this.#accepted(end - first, bytes)
      }
      if (site === undefined) {
        site = callSite(entry)
        // From here on the caller can change its array.
        list = list.slice()
      }
      if (accepted) {
        await this.#accepted(end - first, bytes)
        signal?.throwIfAborted()
        continue
      }
      // The next one waits its turn, and those behind it follow in bulk.
      const left = Math.max(1, deadline - performance.now())
      try {
        await this.send(
          list[next++]!,
          { signal, timeout: timeout === 0 ? 0 : left },
          entry
        )
      } catch (error) {
        // The caller is not on the stack any more.
        throw error instanceof NngError && error !== signal?.reason
          ? at(error, site)
          : error
      }
    }
  }

  /** Settles when everything accepted so far was handed to the kernel. */
  drain(options: WaitOptions, entry: Entry): Promise<void> {
    const { signal, timeout } = options
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    const fail = (errno: number) =>
      Promise.reject(at(new NngError(errno, 'drain'), callSite(entry)))
    if (this.#closed) return fail(NNG.ECLOSED)
    const done = this.#native.finished() >= this.#native.accepted()
    if (!done && timeout === 0) return fail(NNG.ETIMEDOUT)
    return this.#drain(options, callSite(entry))
  }

  /** As `drain`, once nothing more is accepted. */
  finish(): Promise<void> {
    return this.#drain({}, {})
  }

  /** Calls that wait for room. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** The addon called: there may be room, or everything may have been sent. */
  onReady(): void {
    if (this.#first < this.#next && !this.#closed) this.#flush()
    if (this.#drains.size + this.#ahead.size > 0) this.#serveFinished()
  }

  /** Nothing more is accepted; calls that wait for room fail. */
  stop(): void {
    this.#closed = true
    for (const [number, pending] of this.#waiting) {
      this.#native.cancelQueued(number)
      pending.fail(NNG.ECLOSED)
    }
    this.#waiting = noMap()
    for (const { resolve } of this.#ahead) resolve()
  }

  /** What is not sent by now will not be. */
  close(): void {
    for (const { pending } of this.#drains) pending.fail(NNG.ECLOSED)
    this.#drains = noSet()
  }

  #send(bytes: string | Uint8Array, queue: boolean): number {
    if (outbox.put(this.#native, bytes)) return SEND_ACCEPTED
    const status = this.#native.send(bytes, queue)
    if (status === SEND_ACCEPTED) outbox.own(this.#native)
    return status
  }

  /** Sends without waiting; returns the index of the first that found no room. */
  #sendBatch(
    list: readonly (string | Uint8Array)[],
    next: number,
    end: number
  ): number {
    while (next < end) {
      if (outbox.put(this.#native, list[next]!)) {
        next++
      } else {
        // It leaves the rest to the outbox once that is open.
        const sent = this.#native.sendMany(list, next, end)
        if (sent === next) break
        outbox.own(this.#native)
        next = sent
      }
    }
    return next
  }

  #tooLarge(bytes: string | Uint8Array): boolean {
    // No character takes more than three bytes.
    if (bytes.length * 3 <= this.#maxSize) return false
    const size =
      typeof bytes === 'string' ? Buffer.byteLength(bytes) : bytes.length
    return size > this.#maxSize
  }

  #error(errno: number, entry: Entry): NngError {
    return at(new NngError(errno, 'send'), callSite(entry))
  }

  #failed(errno: number, entry: Entry): Promise<never> {
    return Promise.reject(this.#error(errno, entry))
  }

  #wait(options: WaitOptions, entry: Entry): Promise<void> {
    const number = this.#next++
    const pending = new Pending<void>('send', callSite(entry), options, () => {
      this.#waiting.delete(number)
      this.#native.cancelQueued(number)
    })
    this.#waiting = withEntry(this.#waiting, number, pending)
    return pending.promise
  }

  #flush(): void {
    const end = this.#native.flushQueue()
    for (; this.#first < end; this.#first++) {
      this.#waiting.get(this.#first)?.resolve()
      this.#waiting.delete(this.#first)
    }
  }

  #drain(options: WaitOptions, site: CallSite): Promise<void> {
    const count = this.#native.accepted()
    // Not before those that were called earlier.
    if (this.#drains.size === 0 && this.#native.finished() >= count) {
      return Promise.resolve()
    }
    const drain: Drain = {
      count,
      resolve: () => drain.pending.resolve(),
      pending: new Pending('drain', site, options, () =>
        this.#drains.delete(drain)
      )
    }
    this.#drains = withItem(this.#drains, drain)
    this.#serveFinished()
    return drain.pending.promise
  }

  /** So much was accepted: the caller may go on, now or a little later. */
  #accepted(messages: number, bytes: number): Promise<void> {
    if (
      bytes < LARGE ||
      outbox.isOpen(this.#native) ||
      this.#native.backlog() <= AHEAD_BYTES ||
      // A peer that has taken nothing since is not waited for again.
      this.#native.finished() === this.#stuckAt
    ) {
      return this.#yielding.done(messages, bytes)
    }
    const allowed = Math.floor((AHEAD_BYTES * messages) / bytes)
    return new Promise((resolve) => {
      const waiter = {
        count: this.#native.accepted() - allowed,
        resolve: () => {
          clearTimeout(timer)
          this.#ahead.delete(waiter)
          resolve()
        }
      }
      const timer = setTimeout(() => {
        this.#stuckAt = this.#native.finished()
        waiter.resolve()
      }, AHEAD_MS)
      this.#ahead = withItem(this.#ahead, waiter)
      this.#serveFinished()
    })
  }

  #serveFinished(): void {
    const finished = this.#native.finished()
    let next = Infinity
    for (const waiters of [this.#drains, this.#ahead]) {
      // In order of their counts, more or less, since they were added so.
      for (const waiter of waiters) {
        if (waiter.count > finished) {
          next = Math.min(next, waiter.count)
          break
        }
        waiters.delete(waiter)
        waiter.resolve()
      }
    }
    if (next < Infinity) this.#native.wakeWhenFinished(next)
  }
}
