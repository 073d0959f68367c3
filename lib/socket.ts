import { EventEmitter } from 'node:events'
import type { MessageData } from './bytes'
import { Closing, type CloseResult } from './closing'
import { PairDuplex } from './duplex'
import { Endpoints, type OpenEndpoint, type Opened } from './endpoints'
import { NngError, argumentError, at, callSite, checked, show } from './errors'
import { Events, type PairSocketEvents } from './events'
import { Dialer, Listener } from './handles'
import {
  inspectCustom,
  ownProperties,
  show as showObject,
  type InspectArguments
} from './inspection'
import { MessageFlow } from './messageFlow'
import { MessageIterator } from './messageIterator'
import { onMessageListener } from './messageListeners'
import { native, type NativeOptions, type NativeSocket } from './native'
import {
  checkNames,
  checkTimeoutOption,
  checkWaitOptions,
  resolveOptions,
  toNativeOptions,
  type CloseOptions,
  type DialOptions,
  type PairSocketOptions,
  type WaitOptions
} from './options'
import type { Peer } from './peer'
import { Receiver } from './receiver'
import { Sender } from './sender'

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

const NONE: WaitOptions = Object.freeze({})

function open(options: NativeOptions): NativeSocket {
  try {
    return new native.Socket(options)
  } catch (error) {
    throw new NngError((error as { errno: number }).errno, 'socket')
  }
}

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
  readonly #endpoints: Endpoints
  readonly #events: Events
  #closing: Closing | undefined
  // Made with the first listener for messages.
  #flow: MessageFlow | undefined

  static {
    onMessageListener(this.prototype, (sock) => sock.#startFlow())
  }

  /**
   * @throws TypeError or RangeError if an option is of the wrong type
   *   (`ERR_INVALID_ARG_TYPE`) or out of range (`ERR_OUT_OF_RANGE`).
   * @throws NngError if the system has no memory for it (`ENOMEM`).
   */
  constructor(options: PairSocketOptions = {}) {
    super()
    const resolved = checked(PairSocket, () => resolveOptions(options))
    this.#native = checked(PairSocket, () => open(toNativeOptions(resolved)))
    this.#receiver = new Receiver(this.#native, resolved.recvTimeout, this)
    this.#sender = new Sender(
      this.#native,
      resolved.sendTimeout,
      resolved.maxMessageSize,
      this
    )
    this.#endpoints = new Endpoints(this.#native, this)
    this.#events = new Events(this.#native, this.#endpoints, this)
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
      return this.#listener(await this.#endpoints.listen(url))
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
   * and starts anew once a connection has lasted a second. Over tcp an attempt
   * that nobody waits for, with `retry` or when dialing again, ends after ten
   * seconds without an answer.
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
      return this.#dialer(await this.#endpoints.dial(url, options))
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
      const opened = await this.#endpoints.listenOrDial(url, options)
      return opened.endpoint.dialer
        ? this.#dialer(opened)
        : this.#listener(opened)
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
   * iterable throws. A string is refused (`ERR_INVALID_ARG_TYPE`): it would be
   * a message for each of its characters.
   */
  sendMany(
    messages: Iterable<MessageData> & object,
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
      this.#closing ??= new Closing({
        native: this.#native,
        endpoints: this.#endpoints,
        events: this.#events,
        receiver: this.#receiver,
        sender: this.#sender
      })
      this.#closing.limit(timeout)
      return this.#closing.done
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
    return this.#events.peer
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
    this.#endpoints.reference(true)
    return this
  }

  /** The process may end while this socket's endpoints are open. */
  unref(): this {
    this.#endpoints.reference(false)
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
   * For `console.log` and `util.inspect`: `state` (`'idle'` without endpoints,
   * `'waiting'` for a peer, `'connected'`, `'closing'` or `'closed'`), `peer`,
   * `endpoints` and, as `counts`, what `stats()` gives.
   */
  [inspectCustom](...args: InspectArguments): string {
    // The prototype, which can be shown as well, has nothing of a socket.
    const properties = () => (#native in this ? this.#properties() : {})
    return showObject(this, 'PairSocket', properties, args)
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

  #properties(): object {
    return {
      ...ownProperties(this),
      state: this.#state(),
      peer: this.peer,
      endpoints: this.#endpoints.open,
      counts: this.stats()
    }
  }

  #state(): string {
    if (this.#endpoints.ended) return 'closed'
    if (this.closed) return 'closing'
    if (this.peer !== undefined) return 'connected'
    return this.#endpoints.open.length > 0 ? 'waiting' : 'idle'
  }

  #listener({ url, endpoint }: Opened): Listener {
    return new Listener(url, () => this.#closeEndpoint(endpoint))
  }

  #dialer({ url, endpoint, listenError }: Opened): Dialer {
    const close = () => this.#closeEndpoint(endpoint)
    return new Dialer(url, close, listenError)
  }

  async #closeEndpoint(endpoint: OpenEndpoint): Promise<void> {
    if (this.#closing !== undefined) {
      await this.#closing.done
      return
    }
    await this.#endpoints.close(endpoint)
    await this.#events.endOf(endpoint)
    this.#endpoints.forget(endpoint)
  }

  /** The addon calls: something has happened, maybe an event. */
  #onReady(events: boolean): void {
    if (events) this.#events.takeIfFew()
    this.#sender.onReady()
    this.#receiver.onReady()
    const { active = false } = this.#flow ?? {}
    this.#events.onReady(active ? this.#receiver.received : Infinity)
    this.#flow?.run()
  }

  /** Somebody listens for messages: they flow from the next turn on. */
  #startFlow(): void {
    if (this.closed) return
    this.#flow ??= new MessageFlow(this.#receiver, this.#events, this)
    this.#native.wake()
  }
}
