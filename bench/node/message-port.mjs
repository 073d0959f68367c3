// A MessagePort between two threads: the listener is the main thread, and starts a worker that is the
// dialer. Buffers are copied, not transferred, so that the sender still has its own.
//
// A port takes all that it is given, into memory. So that it stays bounded, the receiver says after every
// so many messages that it has them, and the sender has no more than twice as many on their way.

import { MessageChannel, Worker, workerData } from 'node:worker_threads'
import { WithCallback } from './with-callback.mjs'

const SHARE = 512
const SHARE_BYTES = 1 << 20

export function listen(url, style, dialer) {
  const [program] = process.argv.slice(1)
  const at = dialer.indexOf(program)
  const { port1, port2 } = new MessageChannel()
  // An error in the worker is one here.
  new Worker(program, {
    argv: dialer.slice(at + 1),
    execArgv: dialer.slice(dialer.indexOf(process.execPath) + 1, at),
    workerData: port2,
    transferList: [port2]
  }).on('error', (error) => {
    throw error
  })
  return { url, connected: new WithCallback(new Port(port1)) }
}

export function dial() {
  return new WithCallback(new Port(workerData))
}

class Port {
  onmessage = () => {}
  #port
  #unconfirmed = 0
  #untold = 0
  #goOn

  constructor(port) {
    this.#port = port
    port.on('message', (message) => {
      if (typeof message === 'number') this.#onTaken(message)
      else this.#onMessage(message)
    })
  }

  send(message) {
    this.#port.postMessage(message)
    return ++this.#unconfirmed < 2 * share(message)
  }

  drained() {
    return new Promise((resolve) => (this.#goOn = resolve))
  }

  #onMessage(message) {
    if (++this.#untold >= share(message)) {
      this.#port.postMessage(this.#untold)
      this.#untold = 0
    }
    this.onmessage(message)
  }

  #onTaken(count) {
    this.#unconfirmed -= count
    this.#goOn?.()
  }
}

function share({ length }) {
  return Math.min(SHARE, Math.ceil(SHARE_BYTES / length))
}
