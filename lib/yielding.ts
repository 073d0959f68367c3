import { setImmediate } from 'node:timers'

// How many calls in a row may succeed without the event loop getting a turn.
const STREAK = 256

/**
 * Keeps a loop of `await`s that never has to wait from starving timers and
 * other sockets: once in a while, the result comes a turn of the loop later.
 */
export class Yielding {
  #streak = 0

  /** The loop has had a turn. */
  reset(): void {
    this.#streak = 0
  }

  resolve<T>(value: T): Promise<T> {
    if (++this.#streak < STREAK) return Promise.resolve(value)
    this.#streak = 0
    return new Promise((resolve) => setImmediate(resolve, value))
  }
}
