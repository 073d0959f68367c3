import { arena } from './arena'
import { channels, tellMessage } from './diagnostics'
import { NNG, NngError, at, callSite } from './errors'
import type { NativeSocket } from './native'
import { checkNames, type WaitOptions } from './options'
import { Pending } from './pending'
import { reasonOf } from './signals'
import { time } from './time'
import { STREAK_BYTES, STREAK_MESSAGES, Yielding } from './yielding'

// How many messages cross from the addon at once, and their sizes.
const BATCH = 256
const sizes = new Int32Array(BATCH)

// In the place of a message of the batch that was handed out: the batch shall
// not keep its memory.
const GONE = Buffer.alloc(0)

const NONE: Buffer[] = []

// What makeGarbage() made last: V8 would leave out what nobody can see.
const garbage: { last?: unknown[] } = {}

/**
 * Makes garbage of a sixteenth of a large message's size. Such a message is
 * for V8 a small object with memory behind it, and that alone leads to nothing
 * but full collections. Garbage leads to quick ones of what is young, and
 * messages that were dealt with are.
 */
function makeGarbage(size: number): void {
  // Elements of eight bytes; not so many that they would not be young.
  garbage.last = new Array(Math.min(size >> 7, 8192))
}

interface Waiter {
  pending: Pending<Buffer | Buffer[]>
  /** How many messages are wanted at most; one is given bare without it. */
  max: number | undefined
}

/**
 * The receiving side of a socket: calls that wait are served first come,
 * first served.
 *
 * A message belongs to nobody until a call is settled with it: a call that
 * was cancelled has left the line, and the message goes to the next one, or
 * stays where it is.
 */
export class Receiver {
  readonly #native: NativeSocket
  readonly #timeout: number
  readonly #socket: object
  readonly #yielding = new Yielding()
  // In order of arrival; a Set, since any of them may leave the line.
  // Made when it is needed, as all such here: an idle socket shall cost little.
  #waiters: Set<Waiter> | undefined
  #batch = NONE
  #head = 0
  // Whether there are large messages in it, which count by their sizes.
  #large = false
  // The bytes of such batches that a recvMany() gets.
  #bytes = 0
  // How many have ever crossed.
  #crossed = 0
  #armed = false
  #closed = false

  /** @param socket whose messages they are */
  constructor(native: NativeSocket, timeout: number, socket: object) {
    this.#native = native
    this.#socket = socket
    this.#timeout = timeout
  }

  /** Messages that have crossed from the addon and were not asked for yet. */
  get batched(): number {
    return this.#batch.length - this.#head
  }

  get closed(): boolean {
    return this.#closed
  }

  /** How many messages were ever handed out. */
  get received(): number {
    return this.#crossed - this.batched
  }

  recv(
    options: WaitOptions,
    entry: (...args: never[]) => unknown
  ): Promise<Buffer> {
    return this.#receive(options, undefined, entry) as Promise<Buffer>
  }

  recvMany(
    max: number,
    options: WaitOptions,
    entry: (...args: never[]) => unknown
  ): Promise<Buffer[]> {
    return this.#receive(options, max, entry) as Promise<Buffer[]>
  }

  /** A message if one is ready and nobody waits for it. */
  tryRecv(): Buffer | undefined {
    return this.#closed || (this.#waiters?.size ?? 0) > 0
      ? undefined
      : this.#next()
  }

  /** The same without a call into the addon: only what has crossed already. */
  tryBatched(): Buffer | undefined {
    return this.batched === 0 || (this.#waiters?.size ?? 0) > 0
      ? undefined
      : this.#next()
  }

  /** Whether a message is there that nobody waits for; if not, the addon will call. */
  get hasNext(): boolean {
    if ((this.#waiters?.size ?? 0) > 0) return false
    if (this.batched > 0) return true
    if (!this.#armed) this.#armed = this.#native.waitForMessage()
    // All of them are about to be told: the connection is read on.
    return !this.#armed && this.#filled(BATCH)
  }

  /**
   * Tells so many messages at most, and bytes, of what has crossed, as long as
   * there is somebody to tell. Returns their bytes. What is told may call any
   * method of the socket.
   */
  tell(
    max: number,
    maxBytes: number,
    tell: (message: Buffer) => boolean
  ): number {
    const tells = channels.receive.hasSubscribers
    let bytes = 0
    while (max-- > 0 && bytes < maxBytes && this.#head < this.#batch.length) {
      const message = this.#batch[this.#head]!
      this.#batch[this.#head++] = GONE
      bytes += message.length
      if (tells) tellMessage(channels.receive, this.#socket, message)
      if (!tell(message)) break
    }
    return bytes
  }

  /** Whether what comes of a message is to wait until others had their turn: `hold`. */
  shouldYield(message: Buffer): boolean {
    return this.#yielding.shouldYield(1, this.#large ? message.length : 0)
  }

  /** A promise for it that comes with the next turn. */
  hold<T>(value: T): Promise<T> {
    return this.#yielding.hold(value)
  }

  /** A promise for a message: now, or when others had their turn. */
  settle(message: Buffer): Promise<Buffer> {
    if (this.shouldYield(message)) return this.hold(message)
    // V8 looks for a then() on what a promise is resolved with, and that takes a
    // quarter of the time of an awaited recv(); since Node 22 not if it has just
    // seen what kind of object it is.
    // eslint-disable-next-line @typescript-eslint/no-meaningless-void-operator
    void message[0]
    return Promise.resolve(message)
  }

  #receive(
    options: WaitOptions,
    max: number | undefined,
    entry: (...args: never[]) => unknown
  ): Promise<Buffer | Buffer[]> {
    const { signal, timeout = this.#timeout } = options
    if (signal?.aborted) return Promise.reject(reasonOf(signal))
    if (this.#closed) return this.#failed(NNG.ECLOSED, entry)
    if ((this.#waiters?.size ?? 0) === 0) {
      const result = timeout === 0 ? this.#ready(max) : this.#readyOrArm(max)
      if (result !== undefined) {
        if (!Array.isArray(result)) return this.settle(result)
        return this.#yielding.shouldYield(result.length, this.#bytes)
          ? this.hold(result)
          : Promise.resolve(result)
      }
    }
    if (timeout === 0) return this.#failed(NNG.ETIMEDOUT, entry)
    checkNames(options)
    const waiter: Waiter = {
      max,
      pending: new Pending('recv', undefined, { signal, timeout }, () =>
        this.#waiters?.delete(waiter)
      )
    }
    ;(this.#waiters ??= new Set()).add(waiter)
    // By now what the peer may be waiting for is sent.
    waiter.pending.site = callSite(entry)
    return waiter.pending.promise
  }

  #failed(errno: number, entry: (...args: never[]) => unknown): Promise<never> {
    return Promise.reject(at(new NngError(errno, 'recv'), callSite(entry)))
  }

  /** What a call for `max` messages gets now, if anything. */
  #ready(max: number | undefined): Buffer | Buffer[] | undefined {
    if (max === undefined) return this.#next()
    // However many are wanted: to get more takes reading on, and a peer that
    // sends as quickly as that would never let the event loop have a turn.
    let left = Math.min(max, STREAK_MESSAGES)
    let list: Buffer[] | undefined
    this.#bytes = 0
    while (left > 0 && this.#bytes < STREAK_BYTES && this.#filled(left)) {
      const part = this.#cut(left)
      left -= part.length
      list = list === undefined ? part : list.concat(part)
    }
    return list
  }

  /** As `ready`, but if there is nothing the addon will call. */
  #readyOrArm(max: number | undefined): Buffer | Buffer[] | undefined {
    if (this.batched === 0 && !this.#armed) {
      this.#armed = this.#native.waitForMessage()
      if (this.#armed) return undefined
    }
    return this.#ready(max)
  }

  #next(): Buffer | undefined {
    if (!this.#filled(1)) return undefined
    const message = this.#batch[this.#head]!
    this.#batch[this.#head++] = GONE
    if (channels.receive.hasSubscribers) {
      tellMessage(channels.receive, this.#socket, message)
    }
    return message
  }

  /** Whether there is a message in the batch, or comes to be: so many are wanted. */
  #filled(wanted: number): boolean {
    if (this.#head < this.#batch.length) return true
    this.#batch = this.#take(wanted)
    this.#head = 0
    return this.#batch.length > 0
  }

  /** The next messages of the batch, `max` at most. */
  #cut(max: number): Buffer[] {
    let part = this.#batch
    if (this.#head === 0 && part.length <= max) {
      this.#batch = NONE
    } else {
      const end = this.#head + max
      part = part.slice(this.#head, end)
      this.#batch.fill(GONE, this.#head, end)
      this.#head += part.length
    }
    if (channels.receive.hasSubscribers) {
      for (const message of part) {
        tellMessage(channels.receive, this.#socket, message)
      }
    }
    if (this.#large) for (const { length } of part) this.#bytes += length
    return part
  }

  #take(wanted: number): Buffer[] {
    const large: Buffer[] = []
    const n = this.#native.take(
      arena.slab,
      arena.at,
      sizes,
      large,
      Math.max(wanted, this.#waiters?.size ?? 0)
    )
    if (n === 0) return NONE
    this.#crossed += n
    this.#large = large.length > 0
    const batch = new Array<Buffer>(n)
    for (let i = 0, next = 0; i < n; i++) {
      const size = sizes[i]!
      if (size < 0) makeGarbage(large[next]!.length)
      batch[i] = size < 0 ? large[next++]! : arena.cut(size)
    }
    return batch
  }

  /** The addon called: there may be a message. While a call waits, it will. */
  onReady(): void {
    this.#armed = false
    let served = 0
    for (const waiter of this.#waiters ?? []) {
      if (served >= STREAK_MESSAGES) {
        time.afterTurn(() => this.wake())
        return
      }
      const result = this.#ready(waiter.max) ?? this.#readyOrArm(waiter.max)
      if (result === undefined) return
      this.#waiters?.delete(waiter)
      this.#yielding.release()
      waiter.pending.resolve(result)
      served += Array.isArray(result) ? result.length : 1
    }
  }

  /** Has the addon call soon, unless nothing is received any more. */
  wake(): void {
    if (!this.#closed) this.#native.wake()
  }

  /** From now on every call fails, and what was not asked for is dropped. */
  close(): void {
    this.#closed = true
    this.#batch = NONE
    this.#head = 0
    for (const { pending } of this.#waiters ?? []) pending.fail(NNG.ECLOSED)
    this.#waiters = undefined
    this.#native.discard()
  }
}
