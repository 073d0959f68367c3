import { once } from 'node:events'
import * as net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { SP_HEADER, address, lengthHeader } from './rawPeer'

const LENGTH_SIZE = lengthHeader('tcp', 0).length

/** Counts the messages that are whole, in the bytes of a connection over tcp. */
class MessageCounter {
  count = 0
  #part: 'header' | 'length' | 'body' = 'header'
  /** What is missing of the part. */
  #left = SP_HEADER.length
  readonly #length = Buffer.alloc(LENGTH_SIZE)

  add(bytes: Buffer): void {
    let at = 0
    // A body may be empty.
    while (at < bytes.length || this.#left === 0) {
      const piece = bytes.subarray(at, at + this.#left)
      if (this.#part === 'length') {
        piece.copy(this.#length, LENGTH_SIZE - this.#left)
      }
      at += piece.length
      this.#left -= piece.length
      if (this.#left === 0) this.#endPart()
    }
  }

  #endPart(): void {
    if (this.#part === 'length') {
      this.#part = 'body'
      this.#left = Number(this.#length.readBigUInt64BE())
      return
    }
    if (this.#part === 'body') this.count++
    this.#part = 'length'
    this.#left = LENGTH_SIZE
  }
}

/** How a relay passes on what has come. */
export interface Habits {
  /** How long it holds the next piece, in milliseconds; it may be 0. */
  pause: () => number
  /** The size of the next piece of so many bytes that have come. */
  piece: (size: number) => number
}

/** One way of a connection through a relay. */
class Way {
  /** The whole messages that the kernel has of it. */
  readonly messages = new MessageCounter()
  /** When everything has been passed on, or it was stopped. */
  readonly over: Promise<void>
  /** What has come and is not passed on yet. */
  #held: Buffer = Buffer.alloc(0)
  #stopped = false

  constructor(
    readonly from: net.Socket,
    readonly to: net.Socket,
    readonly habits: Habits
  ) {
    this.over = this.#pass()
  }

  /**
   * Passes on what it has, in one piece, and ends right behind it: the reader
   * finds both at once. What still comes is dropped.
   */
  cut(how: 'end' | 'reset'): void {
    this.#stopped = true
    if (this.#held.length > 0) this.#write(this.#held.length).catch(() => {})
    if (how === 'end') this.to.end()
    else this.to.resetAndDestroy()
  }

  async #pass(): Promise<void> {
    // The end of what comes is none of what goes.
    const chunks = this.from.iterator({ destroyOnReturn: false })
    try {
      for await (const chunk of chunks) {
        this.#held = chunk as Buffer
        await this.#passOn()
      }
      if (!this.#stopped) this.to.end()
    } catch {
      // One of both ends broke, so there is an end of the other one. (Of a
      // connection that was cut, each has its own.)
      if (this.#stopped) return
      this.to.destroy()
      this.from.destroy()
    }
  }

  async #passOn(): Promise<void> {
    while (this.#held.length > 0 && !this.#stopped) {
      const pause = this.habits.pause()
      if (pause > 0) await sleep(pause)
      if (this.#stopped) return
      await this.#write(this.habits.piece(this.#held.length))
    }
  }

  #write(size: number): Promise<void> {
    const piece = this.#held.subarray(0, size)
    this.#held = this.#held.subarray(piece.length)
    this.messages.add(piece)
    return new Promise((resolve, reject) => {
      this.to.write(piece, (error) => (error ? reject(error) : resolve()))
    })
  }
}

/** A connection through a relay: between who dials it and who listens. */
interface Passage {
  toListener: Way
  toDialer: Way
  /** That of the relay at the listener, once it is connected. */
  port: number | undefined
}

const relays = new Set<Relay>()

afterEach(async () => {
  const all = [...relays]
  relays.clear()
  await Promise.all(all.map((relay) => relay.close()))
})

/**
 * Stands between a dialer and a listener over tcp, as a slow network would,
 * and can break off. It has one connection at a time, since the listener has:
 * the next one is passed on when both ends of the last one are closed.
 */
export class Relay {
  readonly url: string
  /** All connections that there were. */
  readonly passages: Passage[] = []
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  #last = Promise.resolve()

  private constructor(server: net.Server, target: string, habits: Habits) {
    const { port } = server.address() as net.AddressInfo
    this.url = `tcp://127.0.0.1:${port}`
    this.#server = server
    server.on('connection', (socket) => {
      this.#adopt(socket)
      this.#last = this.#last.then(() => this.#relay(socket, target, habits))
    })
    relays.add(this)
  }

  /** @param target the URL of the listener */
  static async open(target: string, habits: Habits): Promise<Relay> {
    const server = net.createServer({
      allowHalfOpen: true,
      pauseOnConnect: true
    })
    server.listen({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    return new Relay(server, target, habits)
  }

  #adopt(socket: net.Socket): void {
    // Each piece leaves as a segment of its own.
    socket.setNoDelay()
    // Whoever reads or writes it hears of it.
    socket.on('error', () => {})
    socket.once('close', () => this.#sockets.delete(socket))
    this.#sockets.add(socket)
  }

  /** Resolves when the connection is over. */
  async #relay(
    dialer: net.Socket,
    target: string,
    habits: Habits
  ): Promise<void> {
    if (dialer.destroyed || !this.#server.listening) return
    const listener = net.connect({ ...address(target), allowHalfOpen: true })
    this.#adopt(listener)
    const closed = [dialer, listener].map(
      (socket) => new Promise((resolve) => socket.once('close', resolve))
    )
    const passage: Passage = {
      toListener: new Way(dialer, listener, habits),
      toDialer: new Way(listener, dialer, habits),
      port: undefined
    }
    listener.once('connect', () => (passage.port = listener.localPort))
    this.passages.push(passage)
    await Promise.all(closed)
  }

  /**
   * Ends the connection, in the middle of whatever it is passing on. Both ends
   * find a clean end behind what they were given; or the connection is reset.
   */
  async cut(how: 'end' | 'reset'): Promise<void> {
    const last = this.passages.at(-1)
    if (last === undefined) return
    const ways = [last.toListener, last.toDialer]
    for (const way of ways) way.cut(how)
    await Promise.all(ways.map((way) => way.over))
  }

  /**
   * How many whole messages have been given to the kernel for an end of it.
   *
   * @param except of which connections not, by the port at the listener
   */
  passed(
    to: 'toListener' | 'toDialer',
    except: ReadonlySet<number> = new Set()
  ): number {
    return this.passages
      .filter(({ port }) => port === undefined || !except.has(port))
      .reduce((sum, one) => sum + one[to].messages.count, 0)
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}
