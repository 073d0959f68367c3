import { markAsUntransferable } from 'node:worker_threads'

/** Messages up to this size share memory with others. */
export const SMALL = 4096

const SLAB = 64 * 1024

// The class of what Buffer's methods return: by far the quickest way to a view
// of given memory. Where it is Buffer itself, it is not to be called with new.
const View = Buffer[Symbol.species as never] as new (
  memory: ArrayBufferLike,
  at: number,
  size: number
) => Buffer
const view =
  (View as unknown) === Buffer
    ? (memory: ArrayBuffer, at: number, size: number) =>
        Buffer.from(memory, at, size)
    : (memory: ArrayBuffer, at: number, size: number) =>
        new View(memory, at, size)

/**
 * Where small messages arrive: one piece of memory for many, as with Node's
 * own pool for small Buffers. It lives as long as the last message in it, and
 * cannot be transferred to another thread from under the others.
 */
export class Arena {
  #slab = Buffer.alloc(0)
  #memory = this.#slab.buffer
  #at = 0

  /** A slab with room for a small message at least. */
  get slab(): Buffer {
    if (this.#slab.length - this.#at < SMALL) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB)
      this.#at = 0
      this.#memory = this.#slab.buffer
      markAsUntransferable(this.#memory)
    }
    return this.#slab
  }

  /** Where the next message goes. */
  get at(): number {
    return this.#at
  }

  /** The message that was put there. */
  cut(size: number): Buffer {
    const at = this.#at
    this.#at = at + size
    return view(this.#memory, at, size)
  }
}

/** Shared by all sockets of this thread: an idle one costs no slab. */
export const arena = new Arena()
