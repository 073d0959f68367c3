// The public API as a program that is type-checked sees it. What must not
// compile is marked: a mark on a line that compiles is an error, too.

import { EventEmitter } from 'node:events'
import { Duplex } from 'node:stream'
import {
  Dialer,
  Listener,
  NngError,
  PairSocket,
  type CloseOptions,
  type CloseResult,
  type DialOptions,
  type DisconnectReason,
  type IpcPeer,
  type KeepAliveOptions,
  type MessageData,
  type NngErrorCode,
  type PairDuplex,
  type PairSocketEvents,
  type PairSocketOptions,
  type PairSocketStats,
  type Peer,
  type TcpPeer,
  type WaitOptions
} from 'nng-pair'

type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2
    ? true
    : false

/** Compiles where the type of what is given is `T` and nothing else. */
declare function is<T>(): <const A>(
  value: A,
  ...mismatch: Same<A, T> extends true ? [] : [expected: T]
) => void

declare const url: string
declare const signal: AbortSignal

// Options: each of these, and no other.

const all: { [Name in keyof Required<PairSocketOptions>]: unknown } = {
  recvTimeout: 10_000,
  sendTimeout: Infinity,
  sendBuffer: 128,
  recvBuffer: 128,
  maxMessageSize: 64 * 2 ** 20,
  reconnectMin: 100,
  reconnectMax: 10_000,
  noDelay: true,
  keepAlive: false,
  userTimeout: 60_000,
  ipcMode: 0o600
}
is<number | undefined>()(({} as PairSocketOptions).recvTimeout)
is<number | undefined>()(({} as PairSocketOptions).sendTimeout)
is<number | undefined>()(({} as PairSocketOptions).sendBuffer)
is<number | undefined>()(({} as PairSocketOptions).recvBuffer)
is<number | undefined>()(({} as PairSocketOptions).maxMessageSize)
is<number | undefined>()(({} as PairSocketOptions).reconnectMin)
is<number | undefined>()(({} as PairSocketOptions).reconnectMax)
is<boolean | undefined>()(({} as PairSocketOptions).noDelay)
is<boolean | KeepAliveOptions | undefined>()(
  ({} as PairSocketOptions).keepAlive
)
is<number | undefined>()(({} as PairSocketOptions).userTimeout)
is<number | undefined>()(({} as PairSocketOptions).ipcMode)

new PairSocket()
new PairSocket({})
new PairSocket(undefined)
new PairSocket({ recvTimeout: undefined, noDelay: undefined })
const constant = { sendBuffer: 0, ipcMode: 0o660 } as const
new PairSocket(constant)
// @ts-expect-error: there is no such option
new PairSocket({ recvTimout: 10 })
// @ts-expect-error: a number
new PairSocket({ sendBuffer: '128' })
// @ts-expect-error: milliseconds
new PairSocket({ recvTimeout: 5n })
// @ts-expect-error: a boolean
new PairSocket({ noDelay: 1 })
new PairSocket({ keepAlive: { delay: 1000, interval: 1000, count: 3 } })
// @ts-expect-error: milliseconds
new PairSocket({ keepAlive: 1000 })
// @ts-expect-error: a number
new PairSocket({ keepAlive: { count: '3' } })
// @ts-expect-error: permission bits
new PairSocket({ ipcMode: '600' })
// @ts-expect-error: not null
new PairSocket(null)

export async function endpoints(): Promise<void> {
  await using sock = new PairSocket({ recvTimeout: 10_000 })

  await using listener = await sock.listen(url)
  is<Listener>()(listener)
  is<string>()(listener.url)
  is<'listener'>()(listener.type)
  is<Promise<void>>()(listener.close())

  await using dialer = await sock.dial(url, {
    signal,
    timeout: 1000,
    retry: true
  })
  is<Dialer>()(dialer)
  is<string>()(dialer.url)
  is<'dialer'>()(dialer.type)
  is<NngError | undefined>()(dialer.listenError)
  is<Promise<void>>()(dialer.close())
  const options: DialOptions = { signal: undefined, timeout: undefined }
  await sock.dial(url, { ...options, retry: undefined })

  const endpoint = await sock.listenOrDial(url, { signal, timeout: 1000 })
  is<Listener | Dialer>()(endpoint)
  is<string>()(endpoint.url)
  if (endpoint.type === 'dialer') {
    is<Dialer>()(endpoint)
    is<NngErrorCode | (string & {}) | undefined>()(endpoint.listenError?.code)
  } else {
    is<Listener>()(endpoint)
  }
  if (endpoint instanceof Listener) is<'listener'>()(endpoint.type)
  await endpoint.close()

  // @ts-expect-error: a URL is a string
  await sock.listen(new URL('tcp://127.0.0.1:0'))
  // @ts-expect-error: a URL is needed
  await sock.listen()
  // @ts-expect-error: listening cannot be cancelled
  await sock.listen(url, { signal })
  // @ts-expect-error: it does not retry
  await sock.listenOrDial(url, { retry: true })
  // @ts-expect-error: whether, not how often
  await sock.dial(url, { retry: 3 })
  // @ts-expect-error: the signal, not the controller
  await sock.dial(url, { signal: new AbortController() })
  // @ts-expect-error: read-only
  listener.url = url
  // @ts-expect-error: not of a listener
  void listener.listenError
  // @ts-expect-error: there is no such option
  await sock.dial(url, { retries: true })
}

export async function messages(sock: PairSocket): Promise<void> {
  const text: MessageData = 'text'
  const wait: WaitOptions = { signal, timeout: 10 }
  is<Promise<void>>()(sock.send(text, wait))
  await sock.send(new Uint8Array(1))
  await sock.send(Buffer.from('x'), {})
  await sock.send(new ArrayBuffer(1))
  await sock.send(new SharedArrayBuffer(1))
  await sock.send(new DataView(new ArrayBuffer(1)))
  await sock.send(new Float64Array(new SharedArrayBuffer(8)))
  await sock.send(new BigInt64Array(1), { signal: undefined })

  is<boolean>()(sock.trySend('x'))
  is<Promise<void>>()(sock.sendMany(['x', new Uint8Array(1)], wait))
  await sock.sendMany(new Set(['x']))
  await sock.sendMany(
    (function* () {
      yield 'x'
      yield new ArrayBuffer(1)
    })()
  )
  is<Promise<void>>()(sock.drain(wait))
  await sock.drain()

  is<Promise<Buffer>>()(sock.recv(wait))
  is<Buffer>()(await sock.recv())
  is<Promise<Buffer[]>>()(sock.recvMany(10, wait))
  is<Buffer[]>()(await sock.recvMany(10))
  is<Buffer | undefined>()(sock.tryRecv())
  for await (const message of sock) is<Buffer>()(message)
  const iterator = sock[Symbol.asyncIterator]()
  is<void | Buffer>()((await iterator.next()).value)
  const iterable: AsyncIterable<Buffer> = sock
  void iterable

  // @ts-expect-error: not data
  await sock.send(42)
  // @ts-expect-error: not data
  await sock.send({ text: 'x' })
  // @ts-expect-error: something
  await sock.send(undefined)
  // @ts-expect-error: nothing to wait with
  sock.trySend('x', { timeout: 10 })
  // @ts-expect-error: milliseconds
  await sock.send('x', { timeout: '10' })
  // @ts-expect-error: options, not a time
  await sock.recv(10)
  // @ts-expect-error: there is no such option
  await sock.recv({ timout: 10 })
  // @ts-expect-error: there is no such option
  await sock.recvMany(1, { timout: 10 })
  // @ts-expect-error: there is no such option
  await sock.send('x', { timout: 10 })
  // @ts-expect-error: there is no such option
  await sock.sendMany(['x'], { singal: signal })
  // @ts-expect-error: there is no such option
  await sock.drain({ timout: 10 })
  // @ts-expect-error: how many
  await sock.recvMany()
  // @ts-expect-error: several
  await sock.sendMany(42)
  // @ts-expect-error: a message for each character
  await sock.sendMany('abc')
  // @ts-expect-error: of messages
  await sock.sendMany([42])
  // @ts-expect-error: not at once
  for (const _ of sock);
  // @ts-expect-error: there may be none
  sock.tryRecv().length
}

export async function closing(sock: PairSocket): Promise<void> {
  const options: CloseOptions = { timeout: 1000 }
  const result: CloseResult = await sock.close(options)
  is<number>()(result.unsent)
  is<Promise<CloseResult>>()(sock.close())
  is<boolean>()(sock.closed)
  is<Promise<void>>()(sock[Symbol.asyncDispose]())
  // @ts-expect-error: it cannot be cancelled
  await sock.close({ signal })
  // @ts-expect-error: there is no such option
  await sock.close({ timout: 10 })
  // @ts-expect-error: read-only
  sock.closed = true
}

export function peers(sock: PairSocket): void {
  const { peer } = sock
  is<Peer | undefined>()(peer)
  if (peer === undefined) return
  is<string>()(peer.url)
  is<'tcp' | 'ipc'>()(peer.transport)
  if (peer.transport === 'tcp') {
    is<TcpPeer>()(peer)
    is<string>()(peer.address)
    is<number>()(peer.port)
    is<undefined>()(peer.path)
  } else {
    is<IpcPeer>()(peer)
    is<string>()(peer.path)
    is<number | undefined>()(peer.pid)
    is<number | undefined>()(peer.uid)
    is<number | undefined>()(peer.gid)
    is<undefined>()(peer.port)
  }
  is<string | undefined>()(peer.address)
  is<string | undefined>()(peer.path)
  is<number | undefined>()(peer.pid)
  // @ts-expect-error: read-only
  peer.url = url
  // @ts-expect-error: read-only
  sock.peer = undefined
}

export function events(sock: PairSocket): void {
  sock.on('connect', (peer) => is<Peer>()(peer))
  sock.once('disconnect', (peer, reason) => {
    is<Peer>()(peer)
    is<DisconnectReason>()(reason)
    const reasons: { [Reason in DisconnectReason]: true } = {
      hangup: true,
      reset: true,
      timeout: true,
      'too-large': true,
      protocol: true,
      closed: true,
      error: true
    }
    void reasons
  })
  sock.on('reject', (peer, reason) => {
    is<Peer>()(peer)
    is<'busy' | 'protocol'>()(reason)
  })
  sock.on('close', (...none) => is<[]>()(none))
  is<PairSocket>()(sock.off('close', () => {}).on('close', () => {}))
  const emitter: EventEmitter<PairSocketEvents> = sock
  const names: { [Name in keyof PairSocketEvents]: true } = {
    connect: true,
    message: true,
    disconnect: true,
    reject: true,
    close: true
  }
  void [emitter, names]
  void EventEmitter.once(sock, 'connect')

  // @ts-expect-error: its listener gets a peer
  sock.on('connect', (peer: string) => peer)
  // @ts-expect-error: its listener gets nothing
  sock.on('close', (peer: Peer) => peer)
  // @ts-expect-error: nor three arguments
  sock.on('disconnect', (peer: Peer, reason: string, more: string) => more)
}

export function others(sock: PairSocket): void {
  is<PairSocket>()(sock.ref())
  is<PairSocket>()(sock.unref())
  const stats: PairSocketStats = sock.stats()
  const counters: Record<keyof PairSocketStats, number> = stats
  const names: { [Name in keyof PairSocketStats]: true } = {
    messagesSent: true,
    bytesSent: true,
    messagesReceived: true,
    bytesReceived: true,
    messagesLost: true,
    rejects: true,
    unsentMessages: true,
    unsentBytes: true,
    waitingSends: true,
    unreadMessages: true
  }
  is<PairDuplex>()(sock.duplex())
  const duplex: Duplex = sock.duplex()
  void [all, counters, names, Duplex.toWeb(duplex)]
  // @ts-expect-error: the facade keeps the addon to itself
  void sock.native
}

export function errors(error: unknown): void {
  if (!(error instanceof NngError)) return
  const plain: Error = error
  const system: NodeJS.ErrnoException = error
  is<'NngError'>()(error.name)
  is<NngErrorCode | (string & {})>()(error.code)
  is<number>()(error.errno)
  is<string>()(error.syscall)
  is<string | undefined>()(error.address)
  is<unknown>()(error.cause)
  switch (error.code) {
    case 'ETIMEDOUT':
    case 'ECLOSED':
    case 'ENOTDIR': // one of the system's
      break
  }
  const codes: NngErrorCode[] = [
    'ETIMEDOUT',
    'ECLOSED',
    'EMSGSIZE',
    'EADDRINUSE',
    'EADDRINVAL',
    'ENOTSUP',
    'ENOENT',
    'EPERM',
    'EBUSY',
    'ECONNREFUSED',
    'ECONNRESET',
    'EPROTO',
    'EAGAIN'
  ]
  void [plain, system, codes]
  // @ts-expect-error: one of those that are known
  const wrong: NngErrorCode = 'ETIMEOUT'
  // @ts-expect-error: read-only
  error.code = wrong
}
