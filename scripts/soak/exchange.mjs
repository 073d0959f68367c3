// Sends and receives in every way that there is, numbered messages that tell
// who sent them: so whoever receives them knows if one is missing.

import { setTimeout as sleep } from 'node:timers/promises'

const HEADER = 12
const MAX_SIZE = 100_000
const DATA = 0
const END = 1

export function pick(...list) {
  return list[Math.floor(Math.random() * list.length)]
}

/** A moment in which others have their turn: it is a soak, and no race. */
function pause() {
  return sleep(1 + Math.random() * 20)
}

function size() {
  const kind = Math.random()
  if (kind < 0.8) return HEADER + Math.floor(Math.random() * 100)
  if (kind < 0.98) return HEADER + Math.floor(Math.random() * 5000)
  return HEADER + Math.floor(Math.random() * MAX_SIZE)
}

function message(kind, sender, number, length) {
  const data = Buffer.alloc(length, number & 0xff)
  data.writeUInt32LE(sender, 0)
  data.writeUInt32LE(number, 4)
  data.writeUInt32LE(kind, 8)
  return data
}

/** A call that may be given up, and what it then fails with. */
function patience() {
  const kind = Math.random()
  if (kind < 0.3) return { timeout: Math.random() * 20 }
  if (kind < 0.6) {
    const abort = new AbortController()
    setTimeout(() => abort.abort('given up'), Math.random() * 20)
    return { signal: abort.signal }
  }
  return {}
}

function givenUp(error) {
  if (error !== 'given up' && error.code !== 'ETIMEDOUT') throw error
}

/**
 * Sends until `enough(count)`, then the last message, which says that it is;
 * ends early, without that, when the socket is closed.
 */
export async function send(sock, sender, enough) {
  let count = 0
  const next = (ahead = 0) => message(DATA, sender, count + ahead, size())
  try {
    while (!enough(count)) {
      const kind = Math.random()
      if (kind < 0.2) {
        const list = Array.from({ length: 50 }, (_, i) => next(i))
        await sock.sendMany(list)
        count += list.length
      } else if (kind < 0.6) {
        while (Math.random() < 0.95 && sock.trySend(next())) count++
      } else {
        // Given up, it was not sent: the next one has its number.
        await sock.send(next(), patience()).then(() => count++, givenUp)
      }
      if (Math.random() < 0.3) await sock.drain(patience()).catch(givenUp)
      if (Math.random() < 0.5) await pause()
    }
    await sock.send(message(END, sender, count, HEADER))
  } catch (error) {
    if (error.code !== 'ECLOSED') throw error
  }
}

/** Keeps account of what comes: nothing may be missing, or come twice. */
export class Account {
  #fromFirst
  #sender
  #next = 0

  /** @param fromFirst whether even the first ones of a sender may not be missing */
  constructor({ fromFirst }) {
    this.#fromFirst = fromFirst
  }

  /** Returns true if it is the sender's last one. */
  enter(data) {
    const sender = data.readUInt32LE(0)
    const number = data.readUInt32LE(4)
    if (sender !== this.#sender) {
      this.#sender = sender
      this.#next = this.#fromFirst ? 0 : number
    }
    if (number !== this.#next++) {
      throw new Error(`${number} of ${sender} instead of ${this.#next - 1}`)
    }
    if (data.length > HEADER && data.at(-1) !== (number & 0xff)) {
      throw new Error(`message ${number} of ${sender} is torn`)
    }
    return data.readUInt32LE(8) === END
  }
}

/** Receives until `take` returns true, or the socket is closed. */
export async function receive(sock, take) {
  try {
    while (!sock.closed) {
      const kind = Math.random()
      if (kind < 0.3) {
        const list = await sock.recvMany(20, patience()).catch(givenUp)
        for (const data of list ?? []) if (take(data)) return
      } else if (kind < 0.5) {
        for await (const data of sock) {
          if (take(data)) return
          if (Math.random() < 0.1) break
        }
      } else if (kind < 0.6) {
        const data = sock.tryRecv()
        if (data !== undefined && take(data)) return
      } else {
        const data = await sock.recv(patience()).catch(givenUp)
        if (data !== undefined && take(data)) return
      }
      if (Math.random() < 0.02) await pause()
    }
  } catch (error) {
    if (error.code !== 'ECLOSED') throw error
  }
}
