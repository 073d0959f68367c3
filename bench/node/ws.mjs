// The package ws: a WebSocket server and a client, binary messages without compression, and a callback for
// each, which is its way.

import { once } from 'node:events'
import * as http from 'node:http'
import { createRequire } from 'node:module'
import { address } from './node-net.mjs'
import { WithCallback } from './with-callback.mjs'

const { WebSocket, WebSocketServer } = createRequire(import.meta.url)('ws')

// The sender waits when so many bytes are in its process.
const BUFFER = 256 * 1024
const options = { perMessageDeflate: false }

export async function listen(url) {
  const server = http.createServer()
  const sockets = new WebSocketServer({ ...options, server })
  const connected = once(sockets, 'connection').then(([socket]) =>
    connection(socket)
  )
  server.listen(address(url))
  await once(server, 'listening')
  const { port } = server.address()
  return { url: url.replace(/:0$/, `:${port}`), connected }
}

export async function dial(url) {
  const { host, port, path } = address(url)
  const socket = new WebSocket(
    path ? `ws+unix:${path}:/` : `ws://${host}:${port}/`,
    options
  )
  // Before it is open: what the server says at once must find somebody.
  const conn = connection(socket)
  await once(socket, 'open')
  return conn
}

function connection(socket) {
  return new WithCallback(new Link(socket))
}

class Link {
  onmessage = () => {}
  #socket
  #sent

  constructor(socket) {
    this.#socket = socket
    socket.on('message', (message) => this.onmessage(message))
  }

  // The message that finds the buffer full has a callback, and its sender waits for that.
  send(message) {
    if (this.#socket.bufferedAmount < BUFFER) {
      this.#socket.send(message)
      return true
    }
    this.#sent = new Promise((resolve) => this.#socket.send(message, resolve))
    return false
  }

  drained() {
    return this.#sent
  }
}
