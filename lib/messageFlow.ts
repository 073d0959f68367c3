import type { EventEmitter } from 'node:events'
import type { Events, PairSocketEvents } from './events'
import { native } from './native'
import type { Receiver } from './receiver'
import { time } from './time'
import { STREAK_BYTES, STREAK_MESSAGES } from './yielding'

/**
 * The event `message`: while somebody listens for it, messages are told as they
 * come, after calls that wait, and so many in a turn of the loop. With the last
 * listener it stops, also in the middle of what has come: a message leaves the
 * receiver when it is about to be told, and not before.
 *
 * The end of a connection is told behind the last message that it brought, and
 * the next peer before its first one.
 */
export class MessageFlow {
  readonly #receiver: Receiver
  readonly #events: Events
  readonly #emitter: EventEmitter<PairSocketEvents>
  /** Tells a message; returns whether there is still somebody to tell. */
  readonly #tell: (message: Buffer) => boolean
  /** It goes on in the next turn. */
  #paused = false
  #running = false

  constructor(
    receiver: Receiver,
    events: Events,
    emitter: EventEmitter<PairSocketEvents>
  ) {
    this.#receiver = receiver
    this.#events = events
    this.#emitter = emitter
    this.#tell = (message) => {
      try {
        emitter.emit('message', message)
      } catch (error) {
        // Nobody has caught it, as of any listener. The rest is told anyway.
        native.uncaught(error)
      }
      return emitter.listenerCount('message') > 0
    }
  }

  /** Whether there is somebody to tell. */
  get active(): boolean {
    return !this.#receiver.closed && this.#emitter.listenerCount('message') > 0
  }

  /** Tells what is there; without anything, the addon will call. */
  run(): void {
    if (this.#paused || this.#running || !this.active) return
    this.#running = true
    this.#flow()
    this.#running = false
  }

  #flow(): void {
    const receiver = this.#receiver
    let bytes = 0
    const end = receiver.received + STREAK_MESSAGES
    while (receiver.received < end && bytes < STREAK_BYTES) {
      if (!this.active || this.#isHeldBack() || !receiver.hasNext) return
      const next = Math.min(end, this.#events.dueAfter)
      const { context } = this.#events
      const tell = () => {
        const max = next - receiver.received
        bytes += receiver.tell(max, STREAK_BYTES - bytes, this.#tell)
      }
      if (context === undefined) tell()
      else context.run(tell)
    }
    this.#paused = true
    time.afterTurn(() => {
      this.#paused = false
      this.run()
    })
  }

  /** Whether something has to be told before the next message. */
  #isHeldBack(): boolean {
    const { received } = this.#receiver
    if (received < this.#events.dueAfter) return false
    this.#events.onReady(received)
    // What is left is told when the addon calls, and it will.
    return received >= this.#events.dueAfter
  }
}
