import { clearImmediate, setImmediate } from 'node:timers'

// How much may be done in a row without the event loop getting a turn: so many
// small messages, or so many bytes. About a millisecond's worth.
export const STREAK_MESSAGES = 1024
export const STREAK_BYTES = 4 * 2 ** 20
const MESSAGE_COST = STREAK_BYTES / STREAK_MESSAGES

/**
 * Keeps a loop of `await`s that never has to wait from starving timers and
 * other sockets: once in a while, results come a turn of the loop later. Those
 * of later calls do not overtake them.
 */
export class Yielding {
  // In bytes; each message counts as some.
  #done = 0
  #held: (() => void)[] = []
  #immediate: NodeJS.Immediate | undefined

  /** The loop has had a turn. */
  readonly reset = (): void => {
    this.#done = 0
    if (this.#immediate === undefined) return
    clearImmediate(this.#immediate)
    this.#immediate = undefined
    this.release()
  }

  /** A later call is about to have its result: not before those that wait. */
  release(): void {
    if (this.#held.length === 0) return
    for (const settle of this.#held.splice(0)) settle()
  }

  /** The result of a call that has moved so much. */
  resolve<T>(value: T, messages: number, bytes: number): Promise<T> {
    if (this.#immediate === undefined) {
      this.#done += messages * MESSAGE_COST + bytes
      if (this.#done < STREAK_BYTES) return Promise.resolve(value)
      this.#immediate = setImmediate(this.reset)
    }
    return new Promise((resolve) => this.#held.push(() => resolve(value)))
  }
}
