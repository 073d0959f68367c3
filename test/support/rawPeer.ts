import { once } from 'node:events'
import * as fs from 'node:fs'
import * as net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { ipcPath, type Transport } from './transports'

/** What both sides of a PAIR v0 connection send first. */
export const SP_HEADER = Buffer.from('0053500000100000', 'hex')

/** The header of pair v1, which is not our protocol. */
export const PAIR1_HEADER = Buffer.from('0053500000110000', 'hex')

/** What precedes the body of a message: on ipc a type, then the length. */
export function lengthHeader(
  transport: Transport,
  length: number | bigint,
  type = 1
): Buffer {
  const header = Buffer.alloc(transport === 'ipc' ? 9 : 8)
  if (transport === 'ipc') header[0] = type
  header.writeBigUInt64BE(BigInt(length), header.length - 8)
  return header
}

/** A message as it goes over the wire. */
export function frame(transport: Transport, body: string | Uint8Array): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([lengthHeader(transport, bytes.length), bytes])
}

/** What node:net calls an ipc path. */
export function netPath(path: string): string {
  return process.platform === 'win32' ? `\\\\.\\pipe\\${path}` : path
}

/** What `net.connect` takes for a URL. */
export function address(url: string): net.NetConnectOpts {
  const tcp = /^tcp:\/\/(.+):(\d+)$/.exec(url)
  return tcp === null
    ? { path: netPath(url.slice('ipc://'.length)) }
    : { host: tcp[1]!, port: Number(tcp[2]) }
}

const peers = new Set<RawPeer>()
const listeners = new Set<RawListener>()

afterEach(async () => {
  for (const peer of peers) peer.socket.destroy()
  for (const listener of listeners) await listener.close()
  peers.clear()
  listeners.clear()
})

/**
 * One end of a connection that speaks the wire's bytes, or any other. It takes
 * nothing from the kernel before it is asked to.
 */
export class RawPeer {
  readonly transport: Transport
  readonly socket: net.Socket
  /** Why the connection broke; undefined if it ended with a FIN. */
  error: NodeJS.ErrnoException | undefined

  constructor(transport: Transport, socket: net.Socket) {
    this.transport = transport
    this.socket = socket
    socket.setNoDelay()
    socket.on('error', (error) => (this.error = error))
    socket.on('close', () => peers.delete(this))
    peers.add(this)
  }

  /** Connects to a listener of ours and says nothing. */
  static async connect(url: string): Promise<RawPeer> {
    const socket = net.connect({ ...address(url), allowHalfOpen: true })
    socket.pause()
    await once(socket, 'connect')
    return new RawPeer(url.startsWith('tcp') ? 'tcp' : 'ipc', socket)
  }

  /** Connects and exchanges headers: from then on it is the peer. */
  static async shake(url: string): Promise<RawPeer> {
    const peer = await RawPeer.connect(url)
    await peer.shake()
    return peer
  }

  async shake(): Promise<void> {
    await this.write(SP_HEADER)
    expect(await this.read(SP_HEADER.length)).toEqual(SP_HEADER)
  }

  /** Resolves when the kernel has taken the bytes. */
  write(...bytes: Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.write(Buffer.concat(bytes), (error) =>
        error ? reject(error) : resolve()
      )
    })
  }

  /** Each piece in a segment of its own, as far as the reader keeps up. */
  async writePieces(pieces: Iterable<Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      await this.write(piece)
      await turn()
    }
  }

  send(body: string | Uint8Array): Promise<void> {
    return this.write(frame(this.transport, body))
  }

  /** Exactly so many bytes, or fewer if the connection ends before. */
  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    while (length > 0) {
      const part = this.#take(length)
      if (part !== null) {
        parts.push(part)
        length -= part.length
      } else if (this.socket.readableEnded || this.socket.destroyed) {
        break
      } else {
        await this.#readable()
      }
    }
    return Buffer.concat(parts)
  }

  #take(length: number): Buffer | null {
    return this.socket.read(
      Math.min(length, Math.max(1, this.socket.readableLength))
    ) as Buffer | null
  }

  #readable(): Promise<void> {
    return new Promise((resolve) => {
      const events = ['readable', 'end', 'close'] as const
      const done = () => {
        for (const event of events) this.socket.off(event, done)
        resolve()
      }
      for (const event of events) this.socket.on(event, done)
    })
  }

  /** The body of the next message. */
  async recv(): Promise<Buffer> {
    const size = lengthHeader(this.transport, 0).length
    const header = await this.read(size)
    const length = Number(header.readBigUInt64BE(size - 8))
    expect(header).toEqual(lengthHeader(this.transport, length))
    const body = await this.read(length)
    expect(body.length).toBe(length)
    return body
  }

  /** Everything up to the end of the connection. */
  rest(): Promise<Buffer> {
    return this.read(Infinity)
  }

  /** Nothing more will be sent; what comes can still be read. */
  finish(): Promise<void> {
    return new Promise((resolve) => this.socket.end(resolve))
  }

  /** Closes at once; unread bytes make it a reset. */
  async close(): Promise<void> {
    if (this.socket.closed) return
    const closed = once(this.socket, 'close')
    this.socket.destroy()
    await closed
  }

  /** Breaks the connection: with an RST, or with what ipc has for one. */
  async reset(): Promise<void> {
    if (this.transport === 'ipc') return this.close()
    const closed = once(this.socket, 'close')
    this.socket.resetAndDestroy()
    await closed
  }
}

/** A listener whose connections speak the wire's bytes. */
export class RawListener {
  readonly url: string
  readonly #server: net.Server
  readonly #waiting: net.Socket[] = []

  private constructor(url: string, server: net.Server) {
    this.url = url
    this.#server = server
    server.on('connection', (socket) => this.#waiting.push(socket))
    listeners.add(this)
  }

  static async open(
    transport: Transport,
    host = '127.0.0.1'
  ): Promise<RawListener> {
    const server = net.createServer({
      allowHalfOpen: true,
      pauseOnConnect: true
    })
    const path = ipcPath()
    server.listen(
      transport === 'tcp' ? { host, port: 0 } : { path: netPath(path) }
    )
    await once(server, 'listening')
    const url =
      transport === 'tcp'
        ? `tcp://${host}:${(server.address() as net.AddressInfo).port}`
        : `ipc://${path}`
    return new RawListener(url, server)
  }

  /** The next connection, which has said nothing yet. */
  async accept(): Promise<RawPeer> {
    while (this.#waiting.length === 0) await once(this.#server, 'connection')
    return new RawPeer(
      this.url.startsWith('tcp') ? 'tcp' : 'ipc',
      this.#waiting.shift()!
    )
  }

  async close(): Promise<void> {
    listeners.delete(this)
    for (const socket of this.#waiting) socket.destroy()
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
    if (this.url.startsWith('ipc')) {
      fs.rmSync(this.url.slice('ipc://'.length), { force: true })
    }
  }
}
