import { Duplex } from 'node:stream'
import type { MessageData } from './bytes'
import type { PairSocket } from './socket'
import { NNG, NngError } from './errors'

/**
 * A socket as a stream of messages, one chunk each. Reading asks for the next
 * message only when the stream wants one; a write is done when the message
 * was accepted, and the end when all were handed to the kernel. Either side
 * goes on when the other has ended.
 */
export class PairDuplex extends Duplex {
  readonly #socket: PairSocket
  // Ends a recv() when the stream is destroyed without its message.
  readonly #destroyed = new AbortController()

  constructor(socket: PairSocket) {
    super({ objectMode: true, highWaterMark: 1, emitClose: true })
    this.#socket = socket
  }

  override _read(): void {
    this.#socket
      .recv({ signal: this.#destroyed.signal, timeout: Infinity })
      .then(
        (message) => this.push(message),
        (error: unknown) => {
          if (this.destroyed) return
          if (error instanceof NngError && error.errno === NNG.ECLOSED) {
            this.push(null)
          } else {
            this.destroy(error as Error)
          }
        }
      )
  }

  override _write(
    chunk: MessageData,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void
  ): void {
    // _write itself must not throw, whatever the chunk is.
    Promise.resolve()
      .then(() => this.#socket.send(chunk, { signal: this.#destroyed.signal }))
      .then(() => callback(), callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket
      .drain({ signal: this.#destroyed.signal })
      .catch((error: unknown) => this.#sentBeforeClose(error))
      .then(() => callback(), callback)
  }

  // Ended after the socket was closed, as a pipeline does that passes the end
  // of one stream on to the other: an error only if something was not sent.
  async #sentBeforeClose(error: unknown): Promise<void> {
    if (error instanceof NngError && error.errno === NNG.ECLOSED) {
      const { unsent } = await this.#socket.close()
      if (unsent === 0) return
    }
    throw error
  }

  override _destroy(
    error: Error | null,
    callback: (error?: Error | null) => void
  ): void {
    this.#destroyed.abort(error ?? new NngError(NNG.ECLOSED, 'recv'))
    this.#socket
      .close(error === null ? {} : { timeout: 0 })
      .then(() => callback(error), callback)
  }
}
