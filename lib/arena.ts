import { markAsUntransferable } from 'node:worker_threads'

/** Messages up to this size share memory with others. */
export const SMALL = 4096

const SLAB = 64 * 1024

/**
 * Where small messages arrive: one piece of memory for many, as with Node's
 * own pool for small Buffers. It lives as long as the last message in it, and
 * cannot be transferred to another thread from under the others.
 */
export class Arena {
  #slab = Buffer.alloc(0)
  #at = 0

  /** A slab with room for a small message at least. */
  get slab(): Buffer {
    if (this.#slab.length - this.#at < SMALL) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB)
      this.#at = 0
      markAsUntransferable(this.#slab.buffer)
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
    return this.#slab.subarray(at, this.#at)
  }
}

/** Shared by all sockets of this thread: an idle one costs no slab. */
export const arena = new Arena()
