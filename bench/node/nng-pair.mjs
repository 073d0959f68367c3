// nng-pair, in the styles of its API:
//
//   recv      await send() and await recv(), a message at a time
//   iterate   await send(), and for await on the other side
//   many      sendMany() and recvMany()
//   message   sendMany(), and a listener for 'message': no promise for a
//             message, as with node:net
//
// and, for round trips, in the other ways in which programs ask:
//
//   early     recv() is called before send(), which is not awaited
//   loop      one loop reads for all who ask, and finds out who did by a number in the message
//   two       the same, with two who ask at the same time

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

class Listening extends Batched {
  async recvAll(tally) {
    const { sock } = this
    return new Promise((resolve) => {
      sock.on('message', function onMessage(message) {
        if (!tally.add(message)) return
        sock.off('message', onMessage)
        resolve()
      })
    })
  }

  pingPong(payload, times) {
    const { sock } = this
    let start
    let i = 0
    const ask = () => {
      start = performance.now()
      void sock.send(payload)
    }
    return new Promise((resolve) => {
      sock.on('message', function onMessage() {
        times[i++] = (performance.now() - start) * 1000
        if (i < times.length) return ask()
        sock.off('message', onMessage)
        resolve()
      })
      ask()
    })
  }

  echo(count) {
    const { sock } = this
    let left = count
    return new Promise((resolve) => {
      sock.on('message', function onMessage(message) {
        void sock.send(message)
        if (--left > 0) return
        sock.off('message', onMessage)
        resolve()
      })
    })
  }
}

class Early extends Awaited {
  async pingPong(payload, times) {
    const { sock } = this
    for (let i = 0; i < times.length; i++) {
      const start = performance.now()
      const reply = sock.recv()
      sock.send(payload)
      await reply
      times[i] = (performance.now() - start) * 1000
    }
  }
}

class Loop extends Awaited {
  askers = 1
  open = new Map()
  last = 0

  async pingPong(payload, times) {
    const replies = this.readReplies(times.length)
    let next = 0
    const ask = async () => {
      while (next < times.length) {
        const i = next++
        const start = performance.now()
        await this.request(payload)
        times[i] = (performance.now() - start) * 1000
      }
    }
    await Promise.all(Array.from({ length: this.askers }, ask))
    await replies
  }

  request(payload) {
    return new Promise((resolve) => {
      const id = (this.last = (this.last + 1) >>> 0)
      this.open.set(id, resolve)
      payload.writeUInt32LE(id)
      this.sock.send(payload)
    })
  }

  async readReplies(count) {
    for (; count > 0; count--) {
      const reply = await this.sock.recv()
      const id = reply.readUInt32LE()
      const resolve = this.open.get(id)
      this.open.delete(id)
      resolve(reply)
    }
  }
}

class Two extends Loop {
  askers = 2
}

const styles = {
  recv: Awaited,
  iterate: Iterated,
  many: Batched,
  message: Listening,
  early: Early,
  loop: Loop,
  two: Two
}
