// node:net with framing by hand, in two styles:
//
//   callback  a callback for each message, not a promise, and a sender that looks at what send() returns.
//             That is less than the others give their user, who may wait for a message where he wants
//             one; it is what node:net makes natural, and the fastest there is
//   await     one promise for each message, on both sides, as the others have it

import { once } from 'node:events'
import * as net from 'node:net'
import { Framing } from './framing.mjs'
import { WithCallback } from './with-callback.mjs'

export async function listen(url, style) {
  const server = net.createServer({ noDelay: true })
  server.listen(address(url))
  const connected = once(server, 'connection').then(([socket]) =>
    styles[style](socket)
  )
  await once(server, 'listening')
  const { port } = server.address()
  return { url: url.replace(/:0$/, `:${port}`), connected }
}

export async function dial(url, style) {
  const socket = net.connect({ ...address(url), noDelay: true })
  await once(socket, 'connect')
  return styles[style](socket)
}

export function address(url) {
  const tcp = /^tcp:\/\/(.+):(\d+)$/.exec(url)
  return tcp
    ? { host: tcp[1], port: Number(tcp[2]) }
    : { path: url.slice('ipc://'.length) }
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

const styles = {
  callback: (socket) => new WithCallback(new Framing(socket)),
  await: (socket) => new Awaited(socket)
}
