import { EventEmitter } from 'node:events'
import { EndpointContext } from './asyncContext'
import { attempt } from './attempt'
import type { MessageData } from './bytes'
import { PairDuplex } from './duplex'
import { Dialer, Listener } from './endpoint'
import {
  NNG,
  NngError,
  argumentError,
  at,
  callSite,
  checked,
  show
} from './errors'
import { MessageIterator } from './messageIterator'
import {
  NativeEventType,
  native,
  type NativeEvent,
  type NativePeer,
  type NativeSocket
} from './native'
import {
  checkNames,
  checkTimeoutOption,
  checkWaitOptions,
  resolveOptions,
  type PairSocketOptions,
  type WaitOptions
} from './options'
import { toPeer, type Peer } from './peer'
import { Pending } from './pending'
import { Receiver } from './receiver'
import { Sender } from './sender'
import { throwIfAborted } from './signals'
import { sleep, time, type Timer } from './time'
import { dialUrl, listenUrl, lookupError, nameToLookUp, parseUrl } from './url'

/**
 * Why a connection ended:
 *
 * - `'hangup'`: the peer closed it, or its process ended.
 * - `'reset'`: it broke: usually the peer closed it, or its process ended, with
 *   something unread.
 * - `'timeout'`: tcp: the peer does not answer any more, as `keepAlive` finds
 *   out, or cannot be reached any more.
 * - `'too-large'`: the peer announced a message that is larger than
 *   `maxMessageSize` of this socket. The peer sees `'hangup'` or `'reset'`.
 * - `'protocol'`: ipc: the peer sent something that is not a message.
 * - `'closed'`: this side closed it, by `close()` of the socket or of the
 *   endpoint.
 * - `'error'`: this side could not go on, for instance for want of memory.
 */
export type DisconnectReason =
  'hangup' | 'reset' | 'timeout' | 'too-large' | 'protocol' | 'closed' | 'error'

/**
 * The events of a {@link PairSocket} and what their listeners are given. They
 * are told in the async context of the call that made the endpoint, and `close`
 * in that of `close()`.
 */
export interface PairSocketEvents {
  /**
   * A peer has completed the handshake and is the socket's. It comes before
   * the peer's first message.
   */
  connect: [peer: Peer]
  /**
   * The connection is gone. Messages that it brought can still be received;
   * a `recv()` that waited for one of them has it by now.
   */
  disconnect: [peer: Peer, reason: DisconnectReason]
  /** A peer was turned away: there is one already, or it is not a PAIR. */
  reject: [peer: Peer, reason: 'busy' | 'protocol']
  /** The socket is closed: the last event, before `close()` resolves. */
  close: []
}

/** Options of {@link PairSocket.dial}. */
export interface DialOptions extends WaitOptions {
  /**
   * Resolve at once and keep dialing in the background until a peer answers.
   * Default: false, which rejects when the first attempt fails.
   */
  retry?: boolean | undefined
}

/** Options of {@link PairSocket.close}. */
export interface CloseOptions {
  /**
   * How long to wait, in milliseconds, until the peer has everything. 0:
   * close now. Default: `Infinity`.
   */
  timeout?: number | undefined
}

/** What {@link PairSocket.close} could not do. */
export interface CloseResult {
  /** Messages that were accepted and not handed whole to the kernel. */
  unsent: number
}

/** Counters of a socket since it was opened, and what it holds now. */
export interface PairSocketStats {
  /** Messages handed to the kernel, and their bytes. */
  messagesSent: number
  bytesSent: number
  /** Messages that arrived whole, and their bytes. */
  messagesReceived: number
  bytesReceived: number
  /** Accepted messages that went down with their connection. */
  messagesLost: number
  /** Peers that were turned away. */
  rejects: number
  /** Accepted messages that are neither sent nor lost, and their bytes. */
  unsentMessages: number
  unsentBytes: number
  /** Calls of `send()` that wait for room. */
  waitingSends: number
  /** Messages that were read ahead and not received yet. */
  unreadMessages: number
}

const disconnectReasons = new Map<number, DisconnectReason>([
  [NNG.ECONNSHUT, 'hangup'],
  [NNG.ECONNRESET, 'reset'],
  [NNG.ETIMEDOUT, 'timeout'],
  [NNG.EHOSTUNREACH, 'timeout'],
  [NNG.EMSGSIZE, 'too-large'],
  [NNG.EPROTO, 'protocol'],
  [NNG.ECLOSED, 'closed'],
  [NNG.ECANCELED, 'closed']
])
// Of a host to listen on.
interface Lookup {
  host: string
  url: string
  pending: Pending<string>
}

interface OpenEndpoint {
  readonly id: number
  readonly dialer: boolean
  readonly context: EndpointContext
}

/** A dial whose first attempt is under way. */
interface Dialing {
  readonly pending: Pending<void>
  readonly context: EndpointContext
}

/** What is to be told, by a listener of events or by a promise. */
interface News {
  readonly tell: () => void
  readonly context: EndpointContext | undefined
  /** Not before whoever waits for a message had it. */
  afterMessages: boolean
}

const NONE: WaitOptions = Object.freeze({})

// After a half close the peer should hang up by itself, as an NNG that reads
// to the end does. It is hung up on when it has been quiet for this long and
// its kernel has confirmed every byte. Not while it sends: that would be a
// reset, which can cost it what it has not read.
const QUIET_MS = 250
const QUIET_POLL_MS = 20

// listenOrDial: a listener that was there and is not when it is dialed may
// just have ended, or not have begun.
const LISTEN_OR_DIAL_PAUSES_MS = [0, 5, 10, 20, 50, 100]

// Sockets with an endpoint are not collected: there is somebody who can
// reach them.
const reachable = new Set<PairSocket>()

/**
 * A PAIR v0 socket: one peer at a time, messages both ways.
 *
 * ```js
 * await using sock = new PairSocket({ recvTimeout: 10_000 })
 * await sock.listenOrDial('ipc:///tmp/pair.ipc')
 * await sock.send('hello')
 * console.log(String(await sock.recv()))
 * ```
 *
 * Methods that return a promise report everything by rejecting it, invalid
 * arguments too (`TypeError`, `RangeError` with Node's codes). Others throw.
 * After `close()` everything fails with the code `ECLOSED`.
 */
export class PairSocket
  extends EventEmitter<PairSocketEvents>
  implements AsyncIterable<Buffer>
{
  readonly #native: NativeSocket
  readonly #receiver: Receiver
  readonly #sender: Sender
  readonly #endpoints = new Map<string, OpenEndpoint>()
  // Made when they are needed: an idle socket shall cost little.
  #dials: Map<number, Dialing> | undefined
  #lookups: Map<number, Lookup> | undefined
  // Of the calls of listen() that are under way.
  #listens: Set<EndpointContext> | undefined
  #referenced = true
  // The connection, and what was told of it: events come a little later.
  #pipe:
    | {
        id: number
        endpoint: string
        context: EndpointContext | undefined
        peer: Peer
      }
    | undefined
  #peer: Peer | undefined
  readonly #news: News[] = []
  #peerGone: Set<() => void> | undefined
  #closing: Promise<CloseResult> | undefined
  #hurry: ((timeout: number) => void) | undefined
  #closed = false

  /**
   * @throws TypeError or RangeError if an option is of the wrong type
   *   (`ERR_INVALID_ARG_TYPE`) or out of range (`ERR_OUT_OF_RANGE`).
   */
  constructor(options: PairSocketOptions = {}) {
    super()
    const resolved = checked(PairSocket, () => resolveOptions(options))
    this.#native = new native.Socket(resolved)
    this.#receiver = new Receiver(this.#native, resolved.recvTimeout)
    this.#sender = new Sender(
      this.#native,
      resolved.sendTimeout,
      resolved.maxMessageSize
    )
    this.#native.onready = (events) => this.#onReady(events)
  }

  /**
   * Listens at `tcp://host:port` or `ipc://path`; resolves when the address
   * is bound.
   *
   * tcp: port 0 takes a free port (see the listener's `url`); an empty host
   * or `*` is every IPv4 address; `localhost` is 127.0.0.1; of a name, the
   * first address is taken. ipc: the file gets the permissions `ipcMode`. A
   * dead listener's file is taken over, any other file is left alone.
   *
   * Errors: `EADDRINUSE`, `EADDRINVAL`, `EAGAIN` (the host cannot be resolved
   * now), `ENOTSUP`, `EPERM`, `ENOENT`, `EBUSY`, `ECLOSED`. It cannot be
   * cancelled but by `close()`.
   */
  async listen(url: string): Promise<Listener> {
    const site = callSite(this.listen)
    try {
      return await this.#listen(url)
    } catch (error) {
      throw at(error as Error, site)
    }
  }

  /**
   * Dials `tcp://host:port` or `ipc://path`; resolves when the peer has
   * completed the handshake, rejects when the first attempt fails.
   *
   * A name is looked up for each attempt, and its addresses are tried one
   * after the other, IPv6 and IPv4 in turn, each but the last for 250 ms at
   * most; `localhost` is 127.0.0.1, then ::1. An empty host, `*`, 0.0.0.0 and
   * [::] are this machine. A relative path of ipc is relative to the working
   * directory of this call, for as long as the dialer is open.
   *
   * After a lost connection the dialer dials again, after a back-off, or down
   * to half of it at random, that doubles from `reconnectMin` to `reconnectMax`
   * and starts anew once a connection has lasted a second.
   *
   * PAIR has no word for "busy": a dialer whose peer already has a peer
   * connects, is disconnected at once, and dials again. What it sends in
   * between is lost.
   *
   * `timeout` defaults to `Infinity`: no limit but the system's own for
   * connecting, and ten seconds for the handshake. Over ipc there is no such
   * limit: on Linux, a listener that is there and does not get round to
   * accepting is waited for. Cancelled, the dialer is closed.
   *
   * Errors: `ECONNREFUSED`, `ECONNRESET`, `EPROTO`, `EADDRINVAL`, `EAGAIN`
   * (tcp: the host cannot be resolved now), `ENOTSUP`, `EPERM`, `ETIMEDOUT`,
   * `ECLOSED`, and those of the system, such as `EHOSTUNREACH`.
   */
  async dial(url: string, options: DialOptions = {}): Promise<Dialer> {
    const site = callSite(this.dial)
    try {
      checkWaitOptions(options)
      checkNames(options, 'retry')
      return await this.#dial(url, options)
    } catch (error) {
      if (error === options?.signal?.reason) throw error
      throw at(error as Error, site)
    }
  }

  /**
   * Listens, or dials where that fails: usually because the peer listens
   * there already. Two processes that do so at the same moment always meet.
   *
   * `signal` and `timeout` (default `Infinity`) apply to each attempt to dial.
   *
   * Errors: those of `dial`, with the reason why listening failed as their
   * `cause`.
   */
  async listenOrDial(
    url: string,
    options: WaitOptions = {}
  ): Promise<Listener | Dialer> {
    const site = callSite(this.listenOrDial)
    try {
      checkWaitOptions(options)
      checkNames(options)
      return await this.#listenOrDial(url, options)
    } catch (error) {
      if (error === options?.signal?.reason) throw error
      throw at(error as Error, site)
    }
  }

  /**
   * Sends a message; resolves when it was accepted: it is in the send buffer
   * or on its way. The data is copied before `send` returns. With a full
   * buffer the promise waits, in order.
   *
   * What is sent are the bytes that there are, whatever the object says of
   * itself: none of its properties is read.
   *
   * `timeout` defaults to the option `sendTimeout`; 0 is "only if there is
   * room now". Cancelled, the message is not sent.
   *
   * Errors: `ETIMEDOUT`, `EMSGSIZE`, `ECLOSED`; TypeError if it is no data
   * (`ERR_INVALID_ARG_TYPE`) or its memory is gone (`ERR_INVALID_STATE`):
   * detached, or a view out of the bounds of a buffer that has shrunk.
   */
  send(data: MessageData, options: WaitOptions = NONE): Promise<void> {
    try {
      if (options !== NONE) checkWaitOptions(options)
      return this.#sender.send(data, options, this.send)
    } catch (error) {
      return Promise.reject(at(error as Error, callSite(this.send)))
    }
  }

  /**
   * Sends several messages in order, crossing into native code once per
   * batch; resolves when the last was accepted. When it has to wait for room,
   * those of later calls can come in between.
   *
   * The iterable is read to its end, and every message checked, before any of
   * them is sent. The data of a message is copied when that is accepted or
   * first in line: as far as there is room, before `sendMany` returns. Leave
   * the data of the others alone until the promise is settled. Cancelled, the
   * messages that were accepted by then are sent.
   *
   * Errors: as `send`; with one message that cannot be sent, none is. What the
   * iterable throws.
   */
  sendMany(
    messages: Iterable<MessageData>,
    options: WaitOptions = NONE
  ): Promise<void> {
    try {
      if (options !== NONE) checkWaitOptions(options)
      return this.#sender.sendMany(messages, options, this.sendMany)
    } catch (error) {
      return Promise.reject(at(error as Error, callSite(this.sendMany)))
    }
  }

  /**
   * Sends a message if there is room now; returns whether it was accepted.
   *
   * @throws NngError `EMSGSIZE`, `ECLOSED`; TypeError as `send`
   */
  trySend(data: MessageData): boolean {
    try {
      return this.#sender.trySend(data, this.trySend)
    } catch (error) {
      throw at(error as Error, callSite(this.trySend))
    }
  }

  /**
   * Receives a message; calls that wait are served first come, first served.
   *
   * `timeout` defaults to the option `recvTimeout`; 0 is "only if a message
   * is ready now". Cancelled, the call has no effect on any message.
   *
   * Errors: `ETIMEDOUT`, `ECLOSED`.
   */
  recv(options: WaitOptions = NONE): Promise<Buffer> {
    if (options === NONE) {
      // The common case, with nothing to check.
      const message = this.#receiver.tryBatched()
      if (message !== undefined) {
        return this.#receiver.settle(message)
      }
    }
    try {
      if (options !== NONE) checkWaitOptions(options)
      return this.#receiver.recv(options, this.recv)
    } catch (error) {
      return Promise.reject(at(error as Error, callSite(this.recv)))
    }
  }

  /**
   * Receives messages that are ready, at least one and at most `max`; waits
   * for the first like `recv`, and fails like it.
   *
   * However large `max` is, a call gives no more than 1024 messages, and none
   * after the first 4 MiB or so: what is left comes with the next call.
   */
  recvMany(max: number, options: WaitOptions = NONE): Promise<Buffer[]> {
    try {
      if (!Number.isInteger(max) || max < 1) {
        throw argumentError(
          typeof max === 'number' ? 'ERR_OUT_OF_RANGE' : 'ERR_INVALID_ARG_TYPE',
          `max must be a positive integer, not ${show(max)}`
        )
      }
      if (options !== NONE) checkWaitOptions(options)
      return this.#receiver.recvMany(max, options, this.recvMany)
    } catch (error) {
      return Promise.reject(at(error as Error, callSite(this.recvMany)))
    }
  }

  /**
   * A message if one is ready and nobody waits for it, or else `undefined`,
   * also when the socket is closed.
   */
  tryRecv(): Buffer | undefined {
    return this.#receiver.tryRecv()
  }

  /**
   * Messages as they come; ends when the socket is closed. A `recvTimeout`
   * applies to each message. Leaving the loop does not close the socket.
   */
  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    return new MessageIterator(this.#receiver)
  }

  /**
   * Resolves when every message accepted so far was handed to the kernel, or
   * lost with its connection. Without a peer, that is when one has come.
   *
   * `timeout` defaults to `Infinity`. Cancelled, the call has no effect on any
   * message.
   *
   * Errors: `ETIMEDOUT`, `ECLOSED`.
   */
  drain(options: WaitOptions = NONE): Promise<void> {
    try {
      if (options !== NONE) checkWaitOptions(options)
      return this.#sender.drain(options, this.drain)
    } catch (error) {
      return Promise.reject(at(error as Error, callSite(this.drain)))
    }
  }

  /**
   * Closes the socket. At once, pending and later calls fail with `ECLOSED`,
   * iterators end, messages that nobody received are dropped, and its
   * endpoints neither accept nor dial any more; only a pending `drain()` goes
   * on. While there is a peer, it waits until the peer has every message that
   * was accepted, as long as `timeout` allows; then it closes the connection
   * and all endpoints.
   *
   * By default a peer that never reads can hold it up for ever, if more was
   * sent than the kernel takes, or if it goes on sending. Without a peer it
   * does not wait. A second call returns the same promise, and can shorten
   * the timeout.
   */
  close(options: CloseOptions = {}): Promise<CloseResult> {
    try {
      checkTimeoutOption(options)
      const { timeout = Infinity } = options
      this.#closing ??= this.#close()
      this.#hurry?.(timeout)
      return this.#closing
    } catch (error) {
      return Promise.reject(at(error as Error, callSite(this.close)))
    }
  }

  /** As `close()`: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** The peer: from the event `connect` until `disconnect`. */
  get peer(): Peer | undefined {
    return this.#peer
  }

  /** True from the call of `close()` on. */
  get closed(): boolean {
    return this.#closing !== undefined
  }

  /**
   * Lets the open endpoints of this socket keep the process alive, which is
   * the default.
   */
  ref(): this {
    this.#referenced = true
    this.#updateKeepAlive()
    return this
  }

  /** The process may end while this socket's endpoints are open. */
  unref(): this {
    this.#referenced = false
    this.#updateKeepAlive()
    return this
  }

  stats(): PairSocketStats {
    const { inboxMessages, inboxBytes: _, ...stats } = this.#native.stats()
    return {
      ...stats,
      waitingSends: this.#sender.waiting,
      unreadMessages: inboxMessages + this.#receiver.batched
    }
  }

  /**
   * The socket as an object-mode stream of messages, with back-pressure both
   * ways. Its readable side ends when the socket is closed. Ending it waits
   * until everything was sent and leaves the socket open; destroying it closes
   * the socket.
   */
  duplex(): PairDuplex {
    return new PairDuplex(this)
  }

  // Endpoints.

  #checkOpen(syscall: string, address: string): void {
    if (this.closed) throw new NngError(NNG.ECLOSED, syscall, { address })
  }

  async #listen(url: string): Promise<Listener> {
    const address = parseUrl(url, 'listen')
    this.#checkOpen('listen', url)
    const context = this.#newContext('Listener')
    ;(this.#listens ??= new Set()).add(context)
    this.#updateKeepAlive()
    try {
      const host = nameToLookUp(address)
      const found =
        host === undefined ? undefined : await this.#lookUp(host, url)
      this.#checkOpen('listen', url)
      const [error, id, bound] = await this.#native.listen(
        listenUrl(address, found)
      )
      if (this.closed && error === 0) this.#native.stopEndpoint(id, false)
      this.#checkOpen('listen', url)
      if (error !== 0) throw new NngError(error, 'listen', { address: url })
      const port = /:(\d+)$/.exec(bound)?.[1]
      const real =
        address.transport === 'tcp' && port !== undefined
          ? url.replace(/:\d+\/?$/, `:${port}`)
          : url
      return new Listener(real, this.#addEndpoint(id, false, context))
    } catch (error) {
      context.emitDestroy()
      throw error
    } finally {
      this.#listens?.delete(context)
      this.#updateKeepAlive()
    }
  }

  #lookUp(host: string, url: string): Promise<string> {
    const pending = new Pending<string>('listen', {}, NONE, undefined, url)
    const id = this.#native.resolve(host)
    if (id < 0) pending.fail(-id)
    else;
    ;(this.#lookups ??= new Map()).set(id, { host, pending, url })
    return pending.promise
  }

  async #dial(
    url: string,
    options: DialOptions,
    listenError?: NngError
  ): Promise<Dialer> {
    const { signal, timeout, retry = false } = options
    if (typeof retry !== 'boolean') {
      throw argumentError(
        'ERR_INVALID_ARG_TYPE',
        `retry must be a boolean, not ${show(retry)}`
      )
    }
    const address = parseUrl(url, 'dial')
    throwIfAborted(signal)
    this.#checkOpen('dial', url)
    const id = this.#native.dial(dialUrl(address), retry)
    if (id < 0) throw new NngError(-id, 'dial', { address: url })
    const context = this.#newContext('Dialer')
    if (!retry) {
      const pending = new Pending<void>(
        'dial',
        {},
        { signal, timeout },
        () => void this.#native.closeEndpoint(id, true),
        url
      )
      ;(this.#dials ??= new Map()).set(id, { pending, context })
      this.#updateKeepAlive()
      try {
        await pending.promise
      } catch (error) {
        context.emitDestroy()
        throw error
      }
    }
    return new Dialer(url, this.#addEndpoint(id, true, context), listenError)
  }

  async #listenOrDial(
    url: string,
    options: WaitOptions
  ): Promise<Listener | Dialer> {
    const { signal } = options
    throwIfAborted(signal)
    for (const pause of LISTEN_OR_DIAL_PAUSES_MS.keys()) {
      const listenError = await this.#listen(url).catch((e: unknown) => e)
      if (listenError instanceof Listener) return listenError
      if (!(listenError instanceof NngError)) throw listenError
      try {
        return await this.#dial(url, options, listenError)
      } catch (error) {
        if (!(error instanceof NngError) || error === signal?.reason) {
          throw error
        }
        const again = LISTEN_OR_DIAL_PAUSES_MS[pause + 1]
        const raced =
          listenError.errno === NNG.EADDRINUSE &&
          error.errno === NNG.ECONNREFUSED
        if (!raced || again === undefined || this.closed) {
          error.cause = listenError
          throw error
        }
        await sleep(again)
      }
    }
    throw new Error('unreachable')
  }

  #newContext(type: 'Listener' | 'Dialer'): EndpointContext {
    return new EndpointContext(type, () => this.#referenced || this.closed)
  }

  /** That of the call whose endpoint made a connection. */
  #contextOf({ dialed, endpoint }: NativePeer): EndpointContext | undefined {
    const known = this.#endpoints.get(endpointKey(endpoint, dialed))
    if (known !== undefined) return known.context
    if (dialed) return this.#dials?.get(endpoint)?.context
    // Somebody was quicker than the news that it listens.
    const [first] = this.#listens ?? []
    return first
  }

  /** Registers an endpoint; returns what closes it. */
  #addEndpoint(
    id: number,
    dialer: boolean,
    context: EndpointContext
  ): () => Promise<void> {
    const key = endpointKey(id, dialer)
    let closing: Promise<void> | undefined
    this.#endpoints.set(key, { id, dialer, context })
    this.#updateKeepAlive()
    return () => (closing ??= this.#closeEndpoint(key, id, dialer))
  }

  async #closeEndpoint(
    key: string,
    id: number,
    dialer: boolean
  ): Promise<void> {
    if (this.closed) {
      await this.#closing
      return
    }
    await this.#native.closeEndpoint(id, dialer)
    // Its connection is being closed in the background, also one that we have
    // not heard of yet.
    this.#takeEvents()
    if (this.#pipe?.endpoint === key) await this.#peerIsGone()
    // Its end may be known, and not told yet.
    else if (this.#news.length > 0) {
      await new Promise<void>((resolve) => this.#tell(resolve))
    }
    this.#forgetEndpoint(key)
    this.#updateKeepAlive()
  }

  #forgetEndpoint(key: string): void {
    this.#endpoints.get(key)?.context.emitDestroy()
    this.#endpoints.delete(key)
  }

  #peerIsGone(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#pipe === undefined) resolve()
      else;
      ;(this.#peerGone ??= new Set()).add(resolve)
    })
  }

  #updateKeepAlive(): void {
    const busy =
      !this.#closed &&
      (this.#endpoints.size > 0 ||
        (this.#dials?.size ?? 0) > 0 ||
        (this.#listens?.size ?? 0) > 0 ||
        this.closed)
    if (busy) reachable.add(this)
    else reachable.delete(this)
    if (busy && (this.#referenced || this.closed)) this.#native.keepAlive()
    else this.#native.letGo()
  }

  // What the addon reports.

  #onReady(events: boolean): void {
    if (events) this.#takeEvents()
    this.#sender.onReady()
    this.#receiver.onReady()
    if (this.#news.length > 0) this.#tellNews()
  }

  #takeEvents(): void {
    for (const event of this.#native.takeEvents()) this.#onEvent(event)
  }

  #onEvent(event: NativeEvent): void {
    switch (event.type) {
      case NativeEventType.connect: {
        const { dialed, endpoint } = event.peer!
        const peer = toPeer(event.peer!)
        const context = this.#contextOf(event.peer!)
        this.#pipe = {
          id: event.id,
          endpoint: endpointKey(endpoint, dialed),
          context,
          peer
        }
        this.#tell(() => {
          this.#peer = peer
          this.emit('connect', peer)
        }, context)
        break
      }
      case NativeEventType.disconnect: {
        if (this.#pipe?.id !== event.id) break
        const { context, peer } = this.#pipe
        this.#pipe = undefined
        let reason = disconnectReasons.get(event.error) ?? 'error'
        // The peer hangs up because this side is closing.
        if (this.closed && reason === 'hangup') reason = 'closed'
        this.#tellAfterMessages(() => {
          this.#peer = undefined
          for (const resolve of this.#peerGone ?? []) resolve()
          this.#peerGone = undefined
          this.emit('disconnect', peer, reason)
        }, context)
        break
      }
      case NativeEventType.reject: {
        const { dialed, endpoint } = event.peer!
        const peer = toPeer(event.peer!)
        const protocol = event.error === NNG.EPROTO
        // To NNG such a dial has succeeded, and will do so again for ever.
        if (protocol && dialed) {
          this.#tell(() => this.#onDialed(endpoint, NNG.EPROTO))
        }
        const reason = protocol ? 'protocol' : 'busy'
        this.#tell(
          () => this.emit('reject', peer, reason),
          this.#contextOf(event.peer!)
        )
        break
      }
      case NativeEventType.dialed:
        this.#tell(() => this.#onDialed(event.id, event.error))
        break
      case NativeEventType.resolved:
        this.#onResolved(event)
        break
    }
  }

  #onResolved({ id, error, address }: NativeEvent): void {
    const lookup = this.#lookups?.get(id)
    if (lookup === undefined) return
    this.#lookups?.delete(id)
    const { host, url, pending } = lookup
    if (error === 0) pending.resolve(address!)
    else pending.reject(lookupError(error, host, url))
  }

  #onDialed(id: number, error: number): void {
    const pending = this.#dials?.get(id)?.pending
    this.#dials?.delete(id)
    if (pending === undefined) return
    if (error === 0) pending.resolve()
    else {
      pending.fail(error)
      if (!this.closed) void this.#native.closeEndpoint(id, true)
    }
    this.#updateKeepAlive()
  }

  // Telling. A listener that throws must not keep others, or the messages,
  // from being served. Promises that are settled meanwhile go on when all is
  // told that can be.

  #tell(tell: () => void, context?: EndpointContext): void {
    this.#push({ tell, context, afterMessages: false })
  }

  #tellAfterMessages(tell: () => void, context?: EndpointContext): void {
    this.#push({ tell, context, afterMessages: true })
  }

  #push(news: News): void {
    // The addon then calls, unless it is calling already.
    if (this.#news.push(news) === 1) this.#native.wake()
  }

  /** The addon called, and messages were given to whoever waits for them. */
  #tellNews(): void {
    for (;;) {
      const [first] = this.#news
      if (first === undefined) return
      if (first.afterMessages) break
      this.#news.shift()
      if (first.context === undefined) attempt(first.tell)
      else first.context.run(first.tell)
    }
    for (const news of this.#news) news.afterMessages = false
    this.#native.wake()
  }

  // Closing.

  async #close(): Promise<CloseResult> {
    // A peer that has just come is owed what was sent since.
    this.#takeEvents()
    const { messagesLost } = this.#native.stats()
    this.#sender.stop()
    this.#receiver.close()
    // Whoever came now would lose what it sends.
    for (const { id, dialer } of this.#endpoints.values()) {
      this.#native.stopEndpoint(id, dialer)
    }
    for (const [id, { pending }] of this.#dials ?? []) {
      this.#native.stopEndpoint(id, true)
      pending.fail(NNG.ECLOSED)
    }
    for (const { pending } of this.#lookups?.values() ?? [])
      pending.fail(NNG.ECLOSED)

    let timer: Timer | undefined
    let givenUp = false
    const giveUp = new Promise<void>((resolve) => {
      const now = () => {
        givenUp = true
        resolve()
      }
      let deadline = Infinity
      this.#hurry = (timeout) => {
        const end = time.now() + timeout
        if (end >= deadline) return
        deadline = end
        if (timer !== undefined) time.cancel(timer)
        if (timeout === 0) now()
        else timer = time.after(timeout, now)
      }
    })
    // The caller's own timeout comes right after this.
    await Promise.resolve()
    this.#updateKeepAlive()

    const gone = this.#peerIsGone()
    await Promise.race([this.#sender.finish().catch(() => {}), gone, giveUp])
    if (this.#pipe !== undefined && !givenUp) {
      await this.#finish(this.#pipe.id, Promise.race([gone, giveUp]))
    }
    this.#sender.close()
    await this.#native.close()
    if (timer !== undefined) time.cancel(timer)
    this.#hurry = undefined
    this.#takeEvents()
    const stats = this.#native.stats()
    await new Promise<void>((resolve) => this.#tell(resolve))
    for (const key of this.#endpoints.keys()) this.#forgetEndpoint(key)
    this.#dials = undefined
    this.#lookups = undefined
    this.#closed = true
    this.#updateKeepAlive()
    // In the context of the call of close(), as this is.
    attempt(() => this.emit('close'))
    return {
      unsent: stats.unsentMessages + stats.messagesLost - messagesLost
    }
  }

  /**
   * Tells the peer that nothing more will come, and waits until it has hung
   * up, or at least has everything and is quiet.
   */
  async #finish(pipe: number, done: Promise<void>): Promise<void> {
    if (this.#native.finishPipe(pipe) !== 0) return
    let quietSince = time.now()
    let before = -1
    let timer: Timer
    const quiet = new Promise<void>((resolve) => {
      const poll = () => {
        const [error, unconfirmed, received] = this.#native.pipeProgress(pipe)
        const now = time.now()
        if (error === 0 && (unconfirmed > 0 || received !== before)) {
          quietSince = now
          before = received
        } else if (error !== 0 || now - quietSince >= QUIET_MS) {
          resolve()
          return
        }
        timer = time.after(QUIET_POLL_MS, poll)
      }
      timer = time.after(QUIET_POLL_MS, poll)
    })
    await Promise.race([done, quiet])
    time.cancel(timer!)
  }
}

function endpointKey(id: number, dialer: boolean): string {
  return `${dialer ? 'dialer' : 'listener'} ${id}`
}
