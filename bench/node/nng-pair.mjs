// nng-pair, in the three styles of its API:
//
//   recv      await send() and await recv(), a message at a time
//   iterate   await send(), and for await on the other side
//   many      sendMany() and recvMany()

import { PairSocket } from '../../dist/index.mjs'

// A batch of large messages is smaller, as its user would make it.
const BATCH = 256
const BATCH_BYTES = 1 << 20

export async function listen(url, style) {
  const sock = new PairSocket()
  const connected = new Promise((resolve) => sock.once('connect', resolve))
  const { url: bound } = await sock.listen(url)
  return {
    url: bound,
    connected: connected.then(() => new styles[style](sock))
  }
}

export async function dial(url, style) {
  const sock = new PairSocket()
  await sock.dial(url)
  return new styles[style](sock)
}

class Awaited {
  constructor(sock) {
    this.sock = sock
  }

  send(message) {
    return this.sock.send(message)
  }

  recv() {
    return this.sock.recv()
  }

  async sendAll(payload, count) {
    const { sock } = this
    for (let i = 0; i < count; i++) await sock.send(payload)
  }

  async recvAll(tally) {
    const { sock } = this
    while (!tally.add(await sock.recv()));
  }

  async pingPong(payload, times) {
    const { sock } = this
    for (let i = 0; i < times.length; i++) {
      const start = performance.now()
      await sock.send(payload)
      await sock.recv()
      times[i] = (performance.now() - start) * 1000
    }
  }

  async echo(count) {
    const { sock } = this
    for (let i = 0; i < count; i++) await sock.send(await sock.recv())
  }
}

class Iterated extends Awaited {
  async recvAll(tally) {
    for await (const message of this.sock) if (tally.add(message)) break
  }
}

class Batched extends Awaited {
  async sendAll(payload, count) {
    const { sock } = this
    const size = Math.ceil(BATCH_BYTES / payload.length)
    const batch = new Array(Math.min(BATCH, size)).fill(payload)
    let left = count
    for (; left >= batch.length; left -= batch.length)
      await sock.sendMany(batch)
    await sock.sendMany(batch.slice(0, left))
  }

  async recvAll(tally) {
    const { sock } = this
    while (tally.left > 0) {
      const messages = await sock.recvMany(Math.min(BATCH, tally.left))
      for (const message of messages) tally.add(message)
    }
  }
}

const styles = { recv: Awaited, iterate: Iterated, many: Batched }
