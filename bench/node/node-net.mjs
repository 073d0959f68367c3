// node:net with framing by hand, in two styles:
//
//   callback  a callback for each message, not a promise, and a sender that looks at what send() returns.
//             That is less than the others give their user, who may wait for a message where he wants
//             one; it is what node:net makes natural, and the fastest there is
//   await     one promise for each message, on both sides, as the others have it

import { once } from 'node:events'
import * as net from 'node:net'
import { Framing } from './framing.mjs'

export async function listen(url, style) {
  const server = net.createServer({ noDelay: true })
  server.listen(address(url))
  const connected = once(server, 'connection').then(
    ([socket]) => new styles[style](socket)
  )
  await once(server, 'listening')
  const { port } = server.address()
  return { url: url.replace(/:0$/, `:${port}`), connected }
}

export async function dial(url, style) {
  const socket = net.connect({ ...address(url), noDelay: true })
  await once(socket, 'connect')
  return new styles[style](socket)
}

export function address(url) {
  const tcp = /^tcp:\/\/(.+):(\d+)$/.exec(url)
  return tcp
    ? { host: tcp[1], port: Number(tcp[2]) }
    : { path: url.slice('ipc://'.length) }
}

class WithCallback {
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

// What arrives is read ahead so far, as nng-pair does by default.
const READ_AHEAD = 128

class Awaited {
  #framing
  #socket
  #ready = []
  #next = 0
  #waiting

  constructor(socket) {
    this.#socket = socket
    this.#framing = new Framing(socket)
    this.#framing.onmessage = (message) => {
      const resolve = this.#waiting
      if (resolve !== undefined) {
        this.#waiting = undefined
        resolve(message)
      } else if (this.#ready.push(message) === READ_AHEAD) {
        socket.pause()
      }
    }
  }

  send(message) {
    return this.#framing.send(message)
      ? Promise.resolve()
      : this.#framing.drained()
  }

  recv() {
    if (this.#next === this.#ready.length)
      return new Promise((resolve) => (this.#waiting = resolve))
    const message = this.#ready[this.#next++]
    if (this.#next === this.#ready.length) {
      this.#ready = []
      this.#next = 0
      if (this.#socket.isPaused()) this.#socket.resume()
    }
    return Promise.resolve(message)
  }

  async sendAll(payload, count) {
    for (let i = 0; i < count; i++) await this.send(payload)
  }

  async recvAll(tally) {
    while (!tally.add(await this.recv()));
  }
}

const styles = { callback: WithCallback, await: Awaited }
