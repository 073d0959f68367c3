import { SMALL } from './arena'
import { native, type NativeSocket } from './native'

// The memory's layout, as binding/addon/outbox.h has it.
const COUNT = 0
const USED = 1
const ROOM = 2
const HEAD = 3
const STATE = 4 * 4
const BYTES = 32 * 1024

// Looked up once: on a view, an engine does not always do so at compile time.
const { set } = Uint8Array.prototype

/** Whether it can be sent as it is. */
export function isBytes(data: unknown): data is string | Uint8Array {
  return typeof data === 'string' || data instanceof Uint8Array
}

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
  // What is staged, and with how much room.
  #staged = 0
  #end = 0
  #room = 0

  constructor(memory: ArrayBuffer | null) {
    memory ??= new ArrayBuffer(STATE + BYTES)
    this.#state = new Uint32Array(memory, 0, STATE / 4)
    this.#bytes = Buffer.from(memory, STATE)
    this.#view = new DataView(memory, STATE)
  }

  /** The addon has accepted a message of this socket, which may go on here. */
  own(socket: NativeSocket): void {
    this.#owner = socket
  }

  /** Whether it is open for this socket: then nothing it has sent waits in NNG. */
  isOpen(socket: NativeSocket): boolean {
    return this.#owner === socket && this.#state[ROOM]! > 0
  }

  /** Opens it for this socket, if that can be. */
  open(socket: NativeSocket): void {
    if (!this.isOpen(socket) && socket.openOutbox()) this.#owner = socket
  }

  /** Sends a message; returns false if it cannot be done here. */
  put(socket: NativeSocket, data: string | Uint8Array): boolean {
    if (this.#owner !== socket) return false
    const state = this.#state
    const end = this.#write(state[USED]!, data, SMALL)
    if (end === 0) return false
    state[COUNT]!++
    state[USED] = end
    return true
  }

  /**
   * Lays out the first messages of a list to be sent by `publish`, as far as
   * they can be sent here and have at most `most` bytes; returns how many. What
   * the list does to be read may send, too: that takes another way meanwhile.
   */
  stage(socket: NativeSocket, list: readonly unknown[], most: number): number {
    if (this.#owner !== socket) return 0
    this.#owner = undefined
    this.#room = this.#state[ROOM]!
    const limit = Math.min(most, SMALL)
    const { length } = list
    let at = this.#state[USED]!
    let n = 0
    for (; n < length; n++) {
      const data = list[n]
      if (!isBytes(data)) break
      const end = this.#write(at, data, limit)
      if (end === 0) break
      at = end
    }
    this.#staged = n
    this.#end = at
    return n
  }

  /**
   * Sends what is staged; returns how many bytes that is, or -1 if the addon
   * has looked meanwhile, and nothing is sent.
   */
  publish(socket: NativeSocket): number {
    const state = this.#state
    if (this.#owner !== undefined || state[ROOM] !== this.#room) return -1
    const bytes = this.#end - state[USED]! - this.#staged * state[HEAD]!
    this.#owner = socket
    state[COUNT]! += this.#staged
    state[USED] = this.#end
    return bytes
  }

  /**
   * Writes a message of at most `most` bytes, with its head before it; returns
   * where it ends, or 0 if there is no room for it.
   */
  #write(at: number, data: string | Uint8Array, most: number): number {
    const state = this.#state
    if (state[ROOM] === 0) return 0
    const body = at + state[HEAD]!
    const room = Math.min(most, state[ROOM]! - body)
    let size = data.length
    if (size > room) return 0
    if (typeof data === 'string') {
      // No character takes more than three bytes.
      if (size * 3 > room) return 0
      size = this.#bytes.write(data, body)
    } else {
      set.call(this.#bytes, data, body)
    }
    if (body - at === 9) this.#bytes[at] = 1
    this.#view.setUint32(body - 8, 0)
    this.#view.setUint32(body - 4, size)
    return body + size
  }
}

/** Of all sockets of this thread. */
export const outbox = new Outbox(native.outbox)
