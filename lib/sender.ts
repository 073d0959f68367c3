import {
  allToBytes,
  isLarger,
  listOf,
  sizeOf,
  toBytes,
  type Bytes,
  type MessageData
} from './bytes'
import { channels, tellMessage } from './diagnostics'
import {
  NNG,
  NngError,
  argumentError,
  at,
  callSite,
  type CallSite
} from './errors'
import {
  SEND_ACCEPTED,
  SEND_FULL,
  SEND_QUEUED,
  type NativeSocket
} from './native'
import { checkNames, type WaitOptions } from './options'
import { outbox } from './outbox'
import { Pending } from './pending'
import { reasonOf, throwIfAborted } from './signals'
import { time } from './time'
import { STREAK_BYTES, STREAK_MESSAGES, Yielding } from './yielding'

// A caller that sends large messages faster than its peer reads would fill the
// send buffer and then work in memory that no cache holds, at half the speed.
// So while there is a peer, and more than this waits for it, the promise of an
// accepted message comes when the peer has caught up, or a little later anyway.
const AHEAD_BYTES = 512 * 1024
const AHEAD_MS = 5
// Where it is worth asking.
const LARGE = 16 * 1024

/** Who waits until so many messages, of all that were accepted, are done. */
interface Waiter {
  count: number
  resolve: () => void
}

interface Drain extends Waiter {
  pending: Pending<void>
}

/** A part of a list: where it ends, and how many bytes it has. */
interface Batch {
  end: number
  bytes: number
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
  readonly #socket: object
  readonly #yielding = new Yielding()
  // Made when they are needed: an idle socket shall cost little.
  #waiting: Map<number, Pending<void>> | undefined
  // The numbers of the first message in line and of the next one to join it.
  #first = 0
  #next = 0
  #drains: Set<Drain> | undefined
  #ahead: Set<Waiter> | undefined
  // How many messages were done when the peer had not caught up in time.
  #stuckAt = -1
  #closed = false

  /** @param socket whose messages they are */
  constructor(
    native: NativeSocket,
    timeout: number,
    maxSize: number,
    socket: object
  ) {
    this.#native = native
    this.#socket = socket
    this.#timeout = timeout
    this.#maxSize = maxSize
  }

  // The caller's code can run in its options and in its list, and what it does
  // there can be to send. So all of those are read first; from the first look
  // at the data on, until it is sent, none of that code runs.

  send(data: MessageData, options: WaitOptions, entry: Entry): Promise<void> {
    const { signal, timeout = this.#timeout } = options
    const aborted = signal?.aborted === true
    const bytes = toBytes(data)
    const size = sizeOf(bytes)
    if (aborted) return Promise.reject(reasonOf(signal))
    if (this.#closed) return this.#failed(NNG.ECLOSED, entry)
    if (isLarger(bytes, size, this.#maxSize)) {
      return this.#failed(NNG.EMSGSIZE, entry)
    }
    const status = this.#send(bytes, size, timeout !== 0)
    switch (status) {
      case SEND_ACCEPTED:
        return this.#accepted(1, size)
      case SEND_FULL:
        return this.#failed(NNG.ETIMEDOUT, entry)
      case SEND_QUEUED:
        checkNames(options)
        return this.#tellWhenSent(bytes, this.#wait({ signal, timeout }, entry))
      default:
        return this.#failed(-status, entry)
    }
  }

  trySend(data: MessageData, entry: Entry): boolean {
    const bytes = toBytes(data)
    const size = sizeOf(bytes)
    if (this.#closed) throw this.#error(NNG.ECLOSED, entry)
    if (isLarger(bytes, size, this.#maxSize)) {
      throw this.#error(NNG.EMSGSIZE, entry)
    }
    const status = this.#send(bytes, size, false)
    if (status < 0) throw this.#error(-status, entry)
    return status === SEND_ACCEPTED
  }

  /** Nothing of it is sent if there is anything in it that cannot be. */
  sendMany(
    messages: Iterable<MessageData>,
    options: WaitOptions,
    entry: Entry
  ): Promise<void> {
    const { signal, timeout = this.#timeout } = options
    const aborted = signal?.aborted === true
    let list: unknown[] | undefined
    try {
      list = listOf(messages)
    } catch (error) {
      // The iterable's own: the stack of the call is not put on it.
      return Promise.reject(error)
    }
    if (list === undefined) {
      throw argumentError(
        'ERR_INVALID_ARG_TYPE',
        'messages must be an iterable of messages, not ' +
          (messages === null ? 'null' : typeof messages) +
          (typeof messages === 'string' ? ': send() takes one message' : '')
      )
    }
    const bytes = allToBytes(list, this.#maxSize)
    if (aborted) return Promise.reject(reasonOf(signal))
    if (this.#closed) return this.#failed(NNG.ECLOSED, entry)
    if (bytes < 0) return this.#failed(NNG.EMSGSIZE, entry)
    const ready = list as Bytes[]
    // Most of the time all of them are accepted at once.
    const batch =
      ready.length <= STREAK_MESSAGES && bytes <= STREAK_BYTES
        ? { end: ready.length, bytes }
        : this.#batch(ready, 0)
    const next = this.#sendBatch(ready, 0, batch.end)
    if (next === ready.length) return this.#accepted(next, batch.bytes)
    checkNames(options)
    return this.#sendRest(ready, batch, next, { signal, timeout }, entry)
  }

  /** Goes on from `next`, with waiting where there is no room. */
  async #sendRest(
    list: readonly Bytes[],
    batch: Batch,
    next: number,
    { signal, timeout }: { signal: WaitOptions['signal']; timeout: number },
    entry: Entry
  ): Promise<void> {
    // Taken while the caller is on the stack, and it costs as much as a dozen
    // messages: a list that is accepted at once does without.
    const site = callSite(entry)
    const deadline = timeout === Infinity ? timeout : time.now() + timeout
    try {
      let first = 0
      for (;;) {
        if (next === batch.end) {
          await this.#accepted(next - first, batch.bytes)
        } else {
          // This one waits its turn, and those behind it follow in bulk.
          const left =
            deadline === Infinity
              ? deadline
              : Math.max(1, deadline - time.now())
          await this.send(
            list[next++]!,
            { signal, timeout: timeout === 0 ? 0 : left },
            entry
          )
        }
        if (next === list.length) return
        throwIfAborted(signal)
        if (this.#closed) throw new NngError(NNG.ECLOSED, 'send')
        first = next
        batch = this.#batch(list, first)
        next = this.#sendBatch(list, first, batch.end)
      }
    } catch (error) {
      if (error === signal?.reason) throw error
      throw at(error as Error, site)
    }
  }

  /** Settles when everything accepted so far was handed to the kernel. */
  drain(options: WaitOptions, entry: Entry): Promise<void> {
    const { signal, timeout } = options
    if (signal?.aborted) return Promise.reject(reasonOf(signal))
    const fail = (errno: number) =>
      Promise.reject(at(new NngError(errno, 'drain'), callSite(entry)))
    if (this.#closed) return fail(NNG.ECLOSED)
    const done = this.#native.finished() >= this.#native.accepted()
    if (!done && timeout === 0) return fail(NNG.ETIMEDOUT)
    if (!done) checkNames(options)
    return this.#drain(options, callSite(entry))
  }

  /** As `drain`, once nothing more is accepted. */
  finish(): Promise<void> {
    return this.#drain({}, {})
  }

  /** Calls that wait for room. */
  get waiting(): number {
    return this.#waiting?.size ?? 0
  }

  /** The addon called: there may be room, or everything may have been sent. */
  onReady(): void {
    if (this.#first < this.#next && !this.#closed) this.#flush()
    if (this.#drains !== undefined || this.#ahead !== undefined) {
      this.#serveFinished()
    }
  }

  /** Nothing more is accepted; calls that wait for room fail. */
  stop(): void {
    this.#closed = true
    for (const [number, pending] of this.#waiting ?? []) {
      this.#native.cancelQueued(number)
      pending.fail(NNG.ECLOSED)
    }
    this.#waiting = undefined
    this.#release()
  }

  /** What is not sent by now will not be. */
  close(): void {
    for (const { pending } of this.#drains ?? []) pending.fail(NNG.ECLOSED)
    this.#drains = undefined
  }

  /**
   * How much of a list is sent before the event loop gets a turn. The list is
   * ours, but what became of the memory meanwhile is the caller's doing.
   */
  #batch(list: readonly Bytes[], first: number): Batch {
    let end = first
    let bytes = 0
    const last = Math.min(list.length, first + STREAK_MESSAGES)
    while (end < last && bytes < STREAK_BYTES) {
      const data = list[end++]!
      const size = sizeOf(data)
      if (isLarger(data, size, this.#maxSize)) {
        throw new NngError(NNG.EMSGSIZE, 'send')
      }
      bytes += size
    }
    return { end, bytes }
  }

  #send(bytes: Bytes, size: number, queue: boolean): number {
    const status = outbox.put(this.#native, bytes, size)
      ? SEND_ACCEPTED
      : this.#native.send(bytes, queue)
    if (channels.send.hasSubscribers && status === SEND_ACCEPTED) {
      tellMessage(channels.send, this.#socket, bytes)
    }
    return status
  }

  /**
   * Sends without waiting, not before those that wait; returns the index of the
   * first that found no room.
   */
  #sendBatch(list: readonly Bytes[], next: number, end: number): number {
    const first = next
    while (next < end && this.waiting === 0) {
      next = outbox.putMany(this.#native, list, next, end)
      if (next === end) break
      // It leaves the rest to the outbox once that is open.
      const sent = this.#native.sendMany(list, next, end)
      if (sent === next) break
      next = sent
    }
    if (channels.send.hasSubscribers) {
      for (let i = first; i < next; i++) {
        tellMessage(channels.send, this.#socket, list[i]!)
      }
    }
    return next
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
      this.#waiting?.delete(number)
      this.#native.cancelQueued(number)
    })
    ;(this.#waiting ??= new Map()).set(number, pending)
    return pending.promise
  }

  /** One that waits in line is sent when its call is settled. */
  #tellWhenSent(data: Bytes, sent: Promise<void>): Promise<void> {
    if (channels.send.hasSubscribers) {
      sent.then(
        () => tellMessage(channels.send, this.#socket, data),
        () => {}
      )
    }
    return sent
  }

  #flush(): void {
    const end = this.#native.flushQueue()
    if (this.#first < end) {
      this.#release()
      // Those that wait for a turn of the loop were called earlier.
      this.#yielding.release()
    }
    for (; this.#first < end; this.#first++) {
      this.#waiting?.get(this.#first)?.resolve()
      this.#waiting?.delete(this.#first)
    }
  }

  #drain(options: WaitOptions, site: CallSite): Promise<void> {
    const count = this.#native.accepted()
    // Not before those that were called earlier.
    if ((this.#drains?.size ?? 0) === 0 && this.#native.finished() >= count) {
      return Promise.resolve()
    }
    const drain: Drain = {
      count,
      resolve: () => drain.pending.resolve(),
      pending: new Pending('drain', site, options, () =>
        this.#drains?.delete(drain)
      )
    }
    ;(this.#drains ??= new Set()).add(drain)
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
      this.#release()
      return this.#yielding.done(messages, bytes)
    }
    const allowed = Math.floor((AHEAD_BYTES * messages) / bytes)
    return new Promise((resolve) => {
      const waiter = {
        count: this.#native.accepted() - allowed,
        resolve: () => {
          time.cancel(timer)
          this.#ahead?.delete(waiter)
          // Those that wait for a turn of the loop were called earlier.
          this.#yielding.release()
          resolve()
        }
      }
      const timer = time.after(AHEAD_MS, () => {
        this.#stuckAt = this.#native.finished()
        waiter.resolve()
      })
      ;(this.#ahead ??= new Set()).add(waiter)
      this.#serveFinished()
    })
  }

  /** A later call is about to have its result: not before those accepted. */
  #release(): void {
    if (this.#ahead === undefined || this.#ahead.size === 0) return
    for (const { resolve } of this.#ahead) resolve()
  }

  #serveFinished(): void {
    const finished = this.#native.finished()
    let next = Infinity
    for (const waiters of [this.#drains, this.#ahead]) {
      // In order of their counts, more or less, since they were added so.
      for (const waiter of waiters ?? []) {
        if (waiter.count > finished) {
          next = Math.min(next, waiter.count)
          break
        }
        waiters!.delete(waiter)
        waiter.resolve()
      }
    }
    if (next < Infinity) this.#native.wakeWhenFinished(next)
  }
}
