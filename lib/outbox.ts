import { SMALL } from './arena'
import { sizeOf, type Bytes } from './bytes'
import { native, type NativeSocket } from './native'

// The memory's layout, as binding/addon/outbox.h has it.
const COUNT = 0
const USED = 1
const ROOM = 2
const HEAD = 3
const OWNER = 4
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

  constructor(memory: ArrayBuffer | null) {
    memory ??= new ArrayBuffer(STATE + BYTES)
    this.#state = new Uint32Array(memory, 0, STATE / 4)
    this.#bytes = Buffer.from(memory, STATE)
    this.#view = new DataView(memory, STATE)
  }

  /** Whether it is open for this socket: then what that sends has room. */
  isOpen(socket: NativeSocket): boolean {
    return this.#state[OWNER] === socket.id
  }

  /** Sends a message of this size; returns false if it cannot be done here. */
  put(socket: NativeSocket, data: Bytes, size: number): boolean {
    const state = this.#state
    if (state[OWNER] !== socket.id) return false
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
   * Sends messages of a list from `from` up to `to`, as far as they can be sent
   * here; returns the index of the first that was not, or `to`.
   */
  putMany(
    socket: NativeSocket,
    list: readonly Bytes[],
    from: number,
    to: number
  ): number {
    const state = this.#state
    if (state[OWNER] !== socket.id) return from
    const bytes = this.#bytes
    const view = this.#view
    const head = state[HEAD]!
    const end = state[ROOM]!
    let at = state[USED]!
    let next = from
    for (; next < to; next++) {
      const data = list[next]!
      const body = at + head
      const room = Math.min(SMALL, end - body)
      const after = write(bytes, view, head, body, data, sizeOf(data), room)
      if (after === 0) break
      at = after
    }
    state[COUNT]! += next - from
    state[USED] = at
    return next
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
