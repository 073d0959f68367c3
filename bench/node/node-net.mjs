// node:net with framing by hand: a callback for each message, not a promise, and a sender that looks
// at what send() returns. That is less than the others give their user, who may wait for a message
// where he wants one; it is what node:net makes natural, and the fastest there is.

import { once } from 'node:events'
import * as net from 'node:net'
import { Framing } from './framing.mjs'

export async function listen(url) {
  const server = net.createServer({ noDelay: true })
  server.listen(address(url))
  const connected = once(server, 'connection').then(
    ([socket]) => new Connection(socket)
  )
  await once(server, 'listening')
  const { port } = server.address()
  return { url: url.replace(/:0$/, `:${port}`), connected }
}

export async function dial(url) {
  const socket = net.connect({ ...address(url), noDelay: true })
  await once(socket, 'connect')
  return new Connection(socket)
}

export function address(url) {
  const tcp = /^tcp:\/\/(.+):(\d+)$/.exec(url)
  return tcp
    ? { host: tcp[1], port: Number(tcp[2]) }
    : { path: url.slice('ipc://'.length) }
}

class Connection {
  #framing
  // What arrives while nobody is asking; only when the ends take turns.
  #early = []

  constructor(socket) {
    this.#framing = new Framing(socket)
    this.#receive(undefined)
  }

  #receive(onmessage) {
    this.#framing.onmessage =
      onmessage ?? ((message) => this.#early.push(message))
    while (this.#framing.onmessage === onmessage && this.#early.length > 0)
      onmessage(this.#early.shift())
  }

  async send(message) {
    this.#framing.send(message)
  }

  recv() {
    return new Promise((resolve) => {
      this.#receive((message) => {
        this.#receive(undefined)
        resolve(message)
      })
    })
  }

  async sendAll(payload, count) {
    const framing = this.#framing
    for (let i = 0; i < count; i++)
      if (!framing.send(payload)) await framing.drained()
  }

  recvAll(tally) {
    return new Promise((resolve) => {
      this.#receive((message) => {
        if (!tally.add(message)) return
        this.#receive(undefined)
        resolve()
      })
    })
  }

  pingPong(payload, times) {
    const framing = this.#framing
    return new Promise((resolve) => {
      let i = 0
      let start = performance.now()
      this.#receive(() => {
        const now = performance.now()
        times[i] = (now - start) * 1000
        if (++i === times.length) {
          this.#receive(undefined)
          resolve()
          return
        }
        start = performance.now()
        framing.send(payload)
      })
      framing.send(payload)
    })
  }

  echo(count) {
    const framing = this.#framing
    return new Promise((resolve) => {
      let left = count
      this.#receive((message) => {
        framing.send(message)
        if (--left > 0) return
        this.#receive(undefined)
        resolve()
      })
    })
  }
}
