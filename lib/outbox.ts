import { SMALL } from './arena'
import { isBytes, sizeOf, type Bytes } from './bytes'
import { native, type NativeSocket } from './native'

// The memory's layout, as binding/addon/outbox.h has it.
const COUNT = 0
const USED = 1
const ROOM = 2
const HEAD = 3
const OPENED = 4
const STATE = 5 * 4
const BYTES = 32 * 1024

// Looked up once: on a view, an engine does not always do so at compile time.
const { set } = Uint8Array.prototype

/**
 * Where a socket that has room leaves small messages without calling the
 * addon, which finds them there before it does anything else. The addon opens
 * it for a socket that has just sent, and closes it whenever it looks; so it
 * is open for one socket at a time, and most of what is sent in a row takes
 * this way.
 */
class Outbox {
  readonly #state: Uint32Array
  readonly #bytes: Buffer
  readonly #view: DataView
  #owner: NativeSocket | undefined
  // Which opening of it was for the owner. Another instance of this library in
  // the same thread, as test frameworks make, has an Outbox of its own on the
  // same memory.
  #opened = 0
  // What is staged: how many messages, and where they end.
  #staged = 0
  #end = 0

  constructor(memory: ArrayBuffer | null) {
    memory ??= new ArrayBuffer(STATE + BYTES)
    this.#state = new Uint32Array(memory, 0, STATE / 4)
    this.#bytes = Buffer.from(memory, STATE)
    this.#view = new DataView(memory, STATE)
  }

  /** The addon has accepted a message of this socket, which may go on here. */
  own(socket: NativeSocket): void {
    this.#owner = socket
    this.#opened = this.#state[OPENED]!
  }

  /** Whether it is open for this socket: then nothing it has sent waits in NNG. */
  isOpen(socket: NativeSocket): boolean {
    const state = this.#state
    return (
      this.#owner === socket &&
      state[ROOM]! > 0 &&
      state[OPENED] === this.#opened
    )
  }

  /** Opens it for this socket, if that can be. */
  open(socket: NativeSocket): void {
    if (!this.isOpen(socket) && socket.openOutbox()) this.own(socket)
  }

  /** Sends a message of this size; returns false if it cannot be done here. */
  put(socket: NativeSocket, data: Bytes, size: number): boolean {
    if (this.#owner !== socket) return false
    const state = this.#state
    if (state[ROOM] === 0 || state[OPENED] !== this.#opened) return false
    const head = state[HEAD]!
    const body = state[USED]! + head
    const room = Math.min(SMALL, state[ROOM]! - body)
    const end = write(this.#bytes, this.#view, head, body, data, size, room)
    if (end === 0) return false
    state[COUNT]!++
    state[USED] = end
    return true
  }

  /**
   * Lays out messages of a list from `from` up to `to`, as far as they can be
   * sent here and are `most` bytes long at most; returns the index of the first
   * that was not, or `to`. `publish` sends them. Nothing else may happen here
   * in between, and nothing does: none of the caller's code runs.
   */
  stage(
    socket: NativeSocket,
    list: readonly unknown[],
    from: number,
    to: number,
    most: number
  ): number {
    this.#staged = 0
    const state = this.#state
    const end = state[ROOM]!
    if (!this.isOpen(socket)) return from
    const limit = Math.min(SMALL, most)
    const bytes = this.#bytes
    const view = this.#view
    const head = state[HEAD]!
    let at = state[USED]!
    let next = from
    for (; next < to; next++) {
      const data = list[next]
      if (!isBytes(data)) break
      const size = sizeOf(data)
      const body = at + head
      const room = Math.min(limit, end - body)
      const after = write(bytes, view, head, body, data, size, room)
      if (after === 0) break
      at = after
    }
    this.#staged = next - from
    this.#end = at
    return next
  }

  /** Sends what is staged; returns how many bytes that is. */
  publish(): number {
    const count = this.#staged
    if (count === 0) return 0
    this.#staged = 0
    const state = this.#state
    const bytes = this.#end - state[USED]! - count * state[HEAD]!
    state[COUNT]! += count
    state[USED] = this.#end
    return bytes
  }
}

/**
 * Writes a message with its head before it; returns where it ends, or 0 if the
 * room does not do for sure.
 */
function write(
  bytes: Buffer,
  view: DataView,
  head: number,
  body: number,
  data: Bytes,
  size: number,
  room: number
): number {
  if (size > room) return 0
  if (typeof data === 'string') {
    // No character takes more than three bytes.
    if (size * 3 > room) return 0
    size = bytes.write(data, body)
  } else {
    set.call(bytes, data, body)
  }
  if (head === 9) bytes[body - 9] = 1
  view.setUint32(body - 8, 0)
  view.setUint32(body - 4, size)
  return body + size
}

/** Of all sockets of this thread. */
export const outbox = new Outbox(native.outbox)
