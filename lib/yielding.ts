import { native } from './native'
import { time } from './time'

// How much may be done in a row without the event loop getting a turn: so many
// small messages, or so many bytes. About a millisecond's worth.
export const STREAK_MESSAGES = 1024
export const STREAK_BYTES = 4 * 2 ** 20
const MESSAGE_COST = STREAK_BYTES / STREAK_MESSAGES

// One for all: making it anew takes longer than sending a small message. It
// must not keep the async context of whoever loads the package.
const DONE = native.outside(() => Promise.resolve())

/**
 * Keeps a loop of `await`s that never has to wait from starving timers and
 * other sockets: once in a while, results come a turn of the loop later. Those
 * of later calls do not overtake them.
 */
export class Yielding {
  // In bytes; each message counts as some.
  #done = 0
  // Most have none.
  #held: (() => void)[] | undefined
  #turning = false

  #reset(): void {
    this.#done = 0
    this.#turning = false
    this.release()
  }

  /** A later call is about to have its result: not before those that wait. */
  release(): void {
    const held = this.#held
    if (held === undefined) return
    this.#held = undefined
    for (const settle of held) settle()
  }

  /** The result of a call that has moved so much, and has none to give. */
  done(messages: number, bytes: number): Promise<void> {
    return this.shouldYield(messages, bytes) ? this.hold(undefined) : DONE
  }

  /** Whether the result of a call that has moved so much is to be held. */
  shouldYield(messages: number, bytes: number): boolean {
    if (this.#turning) return true
    this.#done += messages * MESSAGE_COST + bytes
    if (this.#done < STREAK_BYTES) return false
    this.#turning = true
    time.afterTurn(() => this.#reset())
    return true
  }

  /** A promise for a result that comes with the next turn. */
  hold<T>(value: T): Promise<T> {
    const held = (this.#held ??= [])
    return new Promise((resolve) => held.push(() => resolve(value)))
  }
}
