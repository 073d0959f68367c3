import { trace } from './diagnostics'
import type { Endpoints } from './endpoints'
import type { Events } from './events'
import type { NativeSocket } from './native'
import type { Receiver } from './receiver'
import type { Sender } from './sender'
import { time, type Timer } from './time'

/** What {@link PairSocket.close} could not do. */
export interface CloseResult {
  /** Messages that were accepted and not handed whole to the kernel. */
  unsent: number
}

/** The parts of a socket, which are closed one after the other. */
export interface Parts {
  readonly native: NativeSocket
  readonly endpoints: Endpoints
  readonly events: Events
  readonly receiver: Receiver
  readonly sender: Sender
}

// After a half close the peer should hang up by itself, as an NNG that reads
// to the end does. It is hung up on when it has been quiet for this long and
// its kernel has confirmed every byte. Not while it sends: that would be a
// reset, which can cost it what it has not read.
const QUIET_MS = 250
const QUIET_POLL_MS = 20

/**
 * The closing of a socket, which begins when it is made: nothing more is
 * accepted, sent on until the peer has everything, as long as the time limit
 * allows, then closed and told.
 */
export class Closing {
  /** Settled when the socket is closed. */
  readonly done: Promise<CloseResult>
  readonly #parts: Parts
  readonly #givenUp: Promise<void>
  #giveUp!: () => void
  #hasGivenUp = false
  // By time.now().
  #deadline = Infinity
  #timer: Timer | undefined

  constructor(parts: Parts) {
    this.#parts = parts
    this.#givenUp = new Promise((resolve) => {
      this.#giveUp = () => {
        this.#hasGivenUp = true
        resolve()
      }
    })
    this.done = this.#close()
  }

  /** Gives up waiting for the peer in so many milliseconds, if not earlier. */
  limit(timeout: number): void {
    const end = time.now() + timeout
    if (end >= this.#deadline) return
    this.#deadline = end
    if (this.#timer !== undefined) time.cancel(this.#timer)
    if (timeout === 0) this.#giveUp()
    else this.#timer = time.after(timeout, this.#giveUp)
  }

  async #close(): Promise<CloseResult> {
    const { native, endpoints, events, receiver, sender } = this.#parts
    trace(native, 'is closing')
    // A peer that has just come is owed what was sent since.
    events.take()
    const { messagesLost } = native.stats()
    sender.stop()
    receiver.close()
    // Whoever came now would lose what it sends.
    endpoints.stop()
    // The caller's own time limit comes right after this.
    await Promise.resolve()

    const ended = Promise.race([events.endTold(), this.#givenUp])
    await Promise.race([sender.finish().catch(() => {}), ended])
    if (events.pipe !== undefined && !this.#hasGivenUp) {
      await this.#finish(events.pipe, ended)
    }
    sender.close()
    await native.close()
    this.#stopTimer()
    events.take()
    const stats = native.stats()
    await events.allTold()
    endpoints.end()
    const unsent = stats.unsentMessages + stats.messagesLost - messagesLost
    trace(native, 'is closed, with %d unsent', unsent)
    // In the context of the call of close(), as this is.
    events.tellClosed()
    return { unsent }
  }

  /**
   * Tells the peer that nothing more will come, and waits until it has hung
   * up, or at least has everything and is quiet.
   */
  async #finish(pipe: number, ended: Promise<void>): Promise<void> {
    const { native } = this.#parts
    if (native.finishPipe(pipe) !== 0) return
    let quietSince = time.now()
    let before = -1
    let timer: Timer
    const quiet = new Promise<void>((resolve) => {
      const poll = () => {
        const [error, unconfirmed, received] = native.pipeProgress(pipe)
        const now = time.now()
        if (error === 0 && (unconfirmed > 0 || received !== before)) {
          quietSince = now
          before = received
        } else if (error !== 0 || now - quietSince >= QUIET_MS) {
          resolve()
          return
        }
        timer = time.after(QUIET_POLL_MS, poll)
      }
      timer = time.after(QUIET_POLL_MS, poll)
    })
    await Promise.race([ended, quiet])
    time.cancel(timer!)
  }

  /** There is nothing to give up any more, whatever limit is set. */
  #stopTimer(): void {
    this.#deadline = -Infinity
    if (this.#timer !== undefined) time.cancel(this.#timer)
  }
}
