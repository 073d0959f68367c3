import { EventEmitter } from 'node:events'
import type { PairSocketEvents } from './events'

/** What is called when somebody listens for messages. */
export const listened = Symbol('listened')

// `once` and the like of node:events call one of these.
const ADDERS = ['on', 'addListener', 'prependListener'] as const

/**
 * An emitter that notices a listener for `message`. By an event of its own
 * (`newListener`) it would show, and every idle socket would carry one.
 */
export abstract class MessageEmitter extends EventEmitter<PairSocketEvents> {
  /** @internal A listener for `message` was added. */
  abstract [listened](): void

  static {
    for (const name of ADDERS) {
      const add = EventEmitter.prototype[name]
      Object.defineProperty(MessageEmitter.prototype, name, {
        configurable: true,
        writable: true,
        value(
          this: MessageEmitter,
          event: string | symbol,
          listener: (...args: unknown[]) => void
        ) {
          add.call(this, event, listener)
          if (event === 'message') this[listened]()
          return this
        }
      })
    }
  }
}
