import { NNG, NngError } from './errors'
import type { Receiver } from './receiver'

type Step = IteratorResult<Buffer, void>

function done(): Step {
  return { value: undefined, done: true }
}

/**
 * What `for await` asks for messages. It behaves as an async generator would
 * that yields what `recv()` gives until the socket is closed: a call that comes
 * while another one waits has its turn after it. But a message that is ready
 * costs one promise, where a generator makes three.
 */
export class MessageIterator implements AsyncGenerator<
  Buffer,
  void,
  undefined
> {
  readonly #receiver: Receiver
  #ended = false
  // The calls that are not settled, and the last of them.
  #waiting = 0
  #last: Promise<Step> | undefined

  constructor(receiver: Receiver) {
    this.#receiver = receiver
  }

  next(): Promise<Step> {
    if (this.#waiting === 0 && !this.#ended) {
      const value = this.#receiver.tryBatched()
      if (value !== undefined) {
        return this.#receiver.shouldYield(value)
          ? this.#receiver.hold({ value, done: false })
          : Promise.resolve({ value, done: false })
      }
    }
    return this.#inTurn(() => this.#wait())
  }

  /** The loop was left: nothing more is received. */
  return(value: void | PromiseLike<void>): Promise<Step> {
    return this.#inTurn(async () => {
      this.#ended = true
      try {
        await value
        return done()
      } finally {
        this.#settled()
      }
    })
  }

  throw(error: unknown): Promise<Step> {
    return this.#inTurn(() => {
      this.#ended = true
      this.#settled()
      return Promise.reject(error)
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  #wait(): Promise<Step> {
    if (this.#ended) {
      this.#settled()
      return Promise.resolve(done())
    }
    return this.#receiver.recv({}, this.next).then(
      (value) => {
        this.#settled()
        return { value, done: false }
      },
      (error: unknown) => {
        this.#ended = true
        this.#settled()
        if (error instanceof NngError && error.errno === NNG.ECLOSED) {
          return done()
        }
        throw error
      }
    )
  }

  #inTurn(call: () => Promise<Step>): Promise<Step> {
    const result = this.#waiting++ === 0 ? call() : this.#last!.then(call, call)
    this.#last = result
    return result
  }

  #settled(): void {
    if (--this.#waiting === 0) this.#last = undefined
  }
}
