import { clearImmediate, setImmediate } from 'node:timers'

// How many calls in a row may succeed without the event loop getting a turn.
const STREAK = 256

/**
 * Keeps a loop of `await`s that never has to wait from starving timers and
 * other sockets: once in a while, results come a turn of the loop later. Those
 * of later calls do not overtake them.
 */
export class Yielding {
  #streak = 0
  #held: (() => void)[] = []
  #immediate: NodeJS.Immediate | undefined

  /** The loop has had a turn. */
  readonly reset = (): void => {
    this.#streak = 0
    if (this.#immediate === undefined) return
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    for (const settle of this.#held.splice(0)) settle()
  }

  resolve<T>(value: T): Promise<T> {
    if (this.#immediate === undefined) {
      if (++this.#streak < STREAK) return Promise.resolve(value)
      this.#immediate = setImmediate(this.reset)
    }
    return new Promise((resolve) => this.#held.push(() => resolve(value)))
  }
}
