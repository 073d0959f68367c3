import type { EventEmitter } from 'node:events'
import type { EndpointContext } from './asyncContext'
import { attempt } from './attempt'
import type { Endpoints, OpenEndpoint } from './endpoints'
import { channels, trace } from './diagnostics'
import { NNG } from './errors'
import { NativeEventType, type NativeEvent, type NativeSocket } from './native'
import { toPeer, type Peer } from './peer'

/**
 * Why a connection ended:
 *
 * - `'hangup'`: the peer closed it, or its process ended.
 * - `'reset'`: it broke: usually the peer closed it, or its process ended, with
 *   something unread.
 * - `'timeout'`: tcp: the peer does not answer any more, as `keepAlive` and
 *   `userTimeout` find out, or cannot be reached any more.
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
   * a `recv()` that waited for one of them has it by now, and so have those who
   * listen for `message`.
   */
  disconnect: [peer: Peer, reason: DisconnectReason]
  /** A peer was turned away: there is one already, or it is not a PAIR. */
  reject: [peer: Peer, reason: 'busy' | 'protocol']
  /**
   * A message. While there is a listener, messages come as they arrive, in
   * order, when no `recv()` waits; no more than 1024, or 4 MiB, in a turn of the
   * event loop. Without the last listener they stop, and are for whoever asks
   * next.
   */
  message: [message: Buffer]
  /** The socket is closed: the last event, before `close()` resolves. */
  close: []
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

// How many are told in a call of the addon's, of which there are a few in a turn
// of the event loop: strangers may come, and be turned away, faster than a
// listener of events can take note of them.
const MOST_AT_ONCE = 64

interface Connection {
  readonly pipe: number
  /** The id of what made it, a dialer or a listener. */
  readonly endpoint: number
  readonly dialed: boolean
  readonly context: EndpointContext | undefined
  readonly peer: Peer
}

/** What is to be told, by a listener of events or by a promise. */
interface News {
  readonly tell: () => void
  readonly context: EndpointContext | undefined
  /** Not before whoever waits for a message had it. */
  afterMessages: boolean
  /** Where messages are told, not before so many of them. */
  readonly messages: number
}

/**
 * Takes what the addon reports and tells it: in the order in which it happened,
 * in its async context, and the end of a connection after its messages. So what
 * is known, the connection, is a little ahead of what was told, the peer.
 */
export class Events {
  readonly #native: NativeSocket
  readonly #endpoints: Endpoints
  readonly #emitter: EventEmitter<PairSocketEvents>
  #connection: Connection | undefined
  #peer: Peer | undefined
  #context: EndpointContext | undefined
  // Made when they are needed: an idle socket shall cost little.
  #news: News[] | undefined
  #waitForEnd: Set<() => void> | undefined

  /** @param emitter who has the listeners */
  constructor(
    native: NativeSocket,
    endpoints: Endpoints,
    emitter: EventEmitter<PairSocketEvents>
  ) {
    this.#native = native
    this.#endpoints = endpoints
    this.#emitter = emitter
  }

  /** The peer: from the event `connect` until `disconnect`. */
  get peer(): Peer | undefined {
    return this.#peer
  }

  /** The connection, as far as is known. */
  get pipe(): number | undefined {
    return this.#connection?.pipe
  }

  /** The async context of the connection, until its end was told. */
  get context(): EndpointContext | undefined {
    return this.#context
  }

  /** Takes what has happened; it is told a little later. */
  take(): void {
    for (const event of this.#native.takeEvents()) this.#onEvent(event)
  }

  /** As `take`, unless there is enough to tell: `onReady` will come again. */
  takeIfFew(): void {
    const { length, 0: first } = this.#news ?? []
    // What waits for messages may be waiting for those that the addon holds
    // back until the next connection is known.
    if (length < MOST_AT_ONCE || first!.messages > 0) this.take()
  }

  /** How many messages are to be told before what is next: without, all are. */
  get dueAfter(): number {
    return this.#news?.[0]?.messages ?? Infinity
  }

  /**
   * The addon called, and messages were given to whoever waits for them; so
   * many where they are told.
   */
  onReady(told = Infinity): void {
    const queue = this.#news
    if (queue === undefined) return
    for (let count = 0; count < MOST_AT_ONCE; count++) {
      const [first] = queue
      if (first === undefined) {
        this.#news = undefined
        return
      }
      if (first.afterMessages || first.messages > told) break
      queue.shift()
      if (first.context === undefined) attempt(first.tell)
      else first.context.run(first.tell)
    }
    for (const news of queue) news.afterMessages = false
    this.#native.wake()
  }

  /** Resolves when all that is known by now was told. */
  allTold(): Promise<void> {
    return new Promise((resolve) => this.#tell(resolve))
  }

  /** Resolves when the end of the connection was told, if there is one. */
  endTold(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#connection === undefined) resolve()
      else (this.#waitForEnd ??= new Set()).add(resolve)
    })
  }

  /** As `endTold`, of the connection of an endpoint that was closed. */
  async endOf({ id, dialer }: OpenEndpoint): Promise<void> {
    // It is being closed in the background, also one that we have not heard
    // of yet.
    this.take()
    const { endpoint, dialed } = this.#connection ?? {}
    if (endpoint === id && dialed === dialer) await this.endTold()
    // Its end may be known, and not told yet.
    else if (this.#news !== undefined) await this.allTold()
  }

  /** The last one, told at once, in the context of who calls. */
  tellClosed(): void {
    attempt(() => this.#emitter.emit('close'))
  }

  #onEvent(event: NativeEvent): void {
    switch (event.type) {
      case NativeEventType.connect: {
        const { dialed, endpoint } = event.peer!
        const peer = toPeer(event.peer!)
        const context = this.#endpoints.contextOf(event.peer!)
        this.#connection = { pipe: event.id, endpoint, dialed, context, peer }
        this.#tell(() => {
          this.#peer = peer
          this.#context = context
          trace(this.#native, 'has the peer %s', peer.url)
          channels.connect.publish({ socket: this.#emitter, peer })
          this.#emitter.emit('connect', peer)
        }, context)
        break
      }
      case NativeEventType.disconnect: {
        if (this.#connection?.pipe !== event.id) break
        const { context, peer } = this.#connection
        this.#connection = undefined
        let reason = disconnectReasons.get(event.error) ?? 'error'
        // The peer hangs up because this side is closing.
        if (this.#endpoints.stopped && reason === 'hangup') reason = 'closed'
        this.#tellAfterMessages(
          event.messages!,
          () => {
            this.#peer = undefined
            this.#context = undefined
            for (const resolve of this.#waitForEnd ?? []) resolve()
            this.#waitForEnd = undefined
            trace(this.#native, 'has lost the peer %s: %s', peer.url, reason)
            channels.disconnect.publish({ socket: this.#emitter, peer, reason })
            this.#emitter.emit('disconnect', peer, reason)
          },
          context
        )
        break
      }
      case NativeEventType.reject: {
        const { dialed, endpoint } = event.peer!
        const peer = toPeer(event.peer!)
        const protocol = event.error === NNG.EPROTO
        // To NNG such a dial has succeeded, and will do so again for ever.
        if (protocol && dialed) {
          this.#tell(() => this.#endpoints.onDialed(endpoint, NNG.EPROTO))
        }
        const reason = protocol ? 'protocol' : 'busy'
        this.#tell(() => {
          trace(this.#native, 'rejects the peer %s: %s', peer.url, reason)
          channels.reject.publish({ socket: this.#emitter, peer, reason })
          this.#emitter.emit('reject', peer, reason)
        }, this.#endpoints.contextOf(event.peer!))
        break
      }
      case NativeEventType.dialed:
        this.#tell(() => this.#endpoints.onDialed(event.id, event.error))
        break
      case NativeEventType.listening:
        this.#endpoints.onListening(event)
        break
      case NativeEventType.resolved:
        this.#endpoints.onResolved(event)
        break
    }
  }

  // A listener that throws must not keep others, or the messages, from being
  // served. Promises that are settled meanwhile go on when all is told that
  // can be.

  #tell(tell: () => void, context?: EndpointContext): void {
    this.#push({ tell, context, afterMessages: false, messages: 0 })
  }

  #tellAfterMessages(
    messages: number,
    tell: () => void,
    context?: EndpointContext
  ): void {
    this.#push({ tell, context, afterMessages: true, messages })
  }

  #push(news: News): void {
    // The addon then calls, unless it is calling already.
    if ((this.#news ??= []).push(news) === 1) this.#native.wake()
  }
}
