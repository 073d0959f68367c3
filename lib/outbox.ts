import { SMALL } from './arena'
import { native, type NativeSocket } from './native'

// The memory's layout, as binding/addon/outbox.h has it.
const COUNT = 0
const USED = 1
const ROOM = 2
const HEAD = 3
const SIZES = 4
const MESSAGES = 2048
const BYTES = (SIZES + MESSAGES) * 4

/**
 * Where a socket that has room leaves small messages without calling the
 * addon, which finds them there before it does anything else. The addon opens
 * it for a socket that has just sent, and closes it whenever it looks; so it
 * is open for one socket at a time, and most of what is sent in a row takes
 * this way.
 */
class Outbox {
  readonly #state: Int32Array
  readonly #bytes: Buffer
  #owner: NativeSocket | undefined

  constructor(memory: ArrayBuffer | null) {
    memory ??= new ArrayBuffer(BYTES)
    this.#state = new Int32Array(memory, 0, SIZES + MESSAGES)
    this.#bytes = Buffer.from(memory, BYTES)
  }

  /** The addon has accepted a message of this socket, which may go on here. */
  own(socket: NativeSocket): void {
    this.#owner = socket
  }

  /** Sends a message; returns false if it cannot be done here. */
  put(socket: NativeSocket, data: string | Uint8Array): boolean {
    const state = this.#state
    if (this.#owner !== socket || state[ROOM] === 0) return false
    const count = state[COUNT]!
    const used = state[USED]!
    const room = state[ROOM]! - used - (count + 1) * state[HEAD]!
    let size = data.length
    if (size > SMALL || size > room || count === MESSAGES) return false
    if (typeof data === 'string') {
      // No character takes more than three bytes.
      if (size * 3 > SMALL || size * 3 > room) return false
      size = this.#bytes.write(data, used)
    } else {
      this.#bytes.set(data, used)
    }
    state[SIZES + count] = size
    state[COUNT] = count + 1
    state[USED] = used + size
    return true
  }
}

/** Of all sockets of this thread. */
export const outbox = new Outbox(native.outbox)
