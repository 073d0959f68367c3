// zeromq.js, its Pair socket with its default options: await send(), and await receive() or for await.

import { createRequire } from 'node:module'

const { Pair, context } = createRequire(import.meta.url)('zeromq')

// 1,023 otherwise, which is less than the idle sockets.
context.maxSockets = context.maxSocketsLimit

export async function listen(url, style) {
  const sock = new Pair()
  await sock.bind(url.replace(/:0$/, ':*'))
  return { url: sock.lastEndpoint, connected: new styles[style](sock) }
}

export async function dial(url, style) {
  const sock = new Pair()
  sock.connect(url)
  return new styles[style](sock)
}

class Awaited {
  constructor(sock) {
    this.sock = sock
  }

  send(message) {
    return this.sock.send(message)
  }

  async recv() {
    const [message] = await this.sock.receive()
    return message
  }

  async sendAll(payload, count) {
    const { sock } = this
    for (let i = 0; i < count; i++) await sock.send(payload)
  }

  async recvAll(tally) {
    const { sock } = this
    for (;;) {
      const [message] = await sock.receive()
      if (tally.add(message)) return
    }
  }

  async pingPong(payload, times) {
    const { sock } = this
    for (let i = 0; i < times.length; i++) {
      const start = performance.now()
      await sock.send(payload)
      await sock.receive()
      times[i] = (performance.now() - start) * 1000
    }
  }

  async echo(count) {
    const { sock } = this
    for (let i = 0; i < count; i++) await sock.send(await sock.receive())
  }
}

class Iterated extends Awaited {
  async recvAll(tally) {
    for await (const [message] of this.sock) if (tally.add(message)) break
  }
}

const styles = { recv: Awaited, iterate: Iterated }
