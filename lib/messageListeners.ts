import type { EventEmitter } from 'node:events'
import type { PairSocketEvents } from './events'

type Emitter = EventEmitter<PairSocketEvents>

// On Bun, none of them is made of another one.
const ADDING = [
  'on',
  'addListener',
  'once',
  'prependListener',
  'prependOnceListener'
] as const

/**
 * Has a class of emitters tell when a listener for `message` was added. The
 * event `newListener` would tell as well, but it has to be listened to in each
 * socket, which costs memory, and users see it.
 */
export function onMessageListener<E extends Emitter>(
  prototype: E,
  added: (emitter: E) => void
): void {
  type Add = (this: E, ...args: unknown[]) => E
  for (const name of ADDING) {
    const add = prototype[name] as unknown as Add
    const { [name]: value } = {
      [name](this: E, ...args: unknown[]): E {
        add.apply(this, args)
        if (args[0] === 'message') added(this)
        return this
      }
    }
    Object.defineProperty(prototype, name, {
      value,
      writable: true,
      configurable: true
    })
  }
}
