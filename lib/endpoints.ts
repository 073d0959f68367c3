import { EndpointContext } from './asyncContext'
import { trace } from './diagnostics'
import { NNG, NngError } from './errors'
import type { NativeEvent, NativePeer, NativeSocket } from './native'
import { checkBoolean, type DialOptions, type WaitOptions } from './options'
import { Pending } from './pending'
import { throwIfAborted } from './signals'
import { sleep } from './time'
import { dialUrl, listenUrl, lookupError, nameToLookUp, parseUrl } from './url'

/** A listener or dialer that is open. */
export interface OpenEndpoint {
  /** NNG's; a listener and a dialer can have the same. */
  readonly id: number
  readonly dialer: boolean
  readonly context: EndpointContext
  /** As it was given; of a listener with the real port. */
  readonly url: string
}

/** What a call has opened, for the handle that it gives. */
export interface Opened {
  readonly endpoint: OpenEndpoint
  /** As it was given; of a listener with the real port. */
  readonly url: string
  /** Of `listenOrDial`, if it dials: why listening failed. */
  readonly listenError?: NngError
}

/** A dial whose first attempt is under way. */
interface Dialing {
  readonly pending: Pending<void>
  readonly context: EndpointContext
}

/** A call of `listen` that is under way. */
interface Listening {
  readonly context: EndpointContext
  /** Once there is a listener; before that, nobody can connect to it. */
  id?: number
}

/** Of the host that a call of `listen` names. */
interface Lookup {
  readonly host: string
  readonly url: string
  readonly pending: Pending<string>
}

// listenOrDial: a listener that was there and is not when it is dialed may
// just have ended, or not have begun.
const LISTEN_OR_DIAL_PAUSES_MS = [0, 5, 10, 20, 50, 100]

// Sockets with an endpoint are not collected: there is somebody who can
// reach them.
const reachable = new Set<object>()

/**
 * The endpoints of a socket: those that are open, and those that are being
 * opened by a call that has not returned. It knows the async context of each,
 * and has the socket, and the process, stay as long as there is one.
 *
 * It is open, then stopped (the socket is closing: nothing new is made, and
 * what is there neither accepts nor dials), then ended.
 */
export class Endpoints {
  readonly #native: NativeSocket
  readonly #socket: object
  readonly #open = new Map<number, OpenEndpoint>()
  // Made when they are needed: an idle socket shall cost little.
  #dials: Map<number, Dialing> | undefined
  #lookups: Map<number, Lookup> | undefined
  // By the number of the call.
  #listens: Map<number, Listening> | undefined
  #calls = 0
  #referenced = true
  #stopped = false
  #ended = false

  /** @param socket what is not collected while there is an endpoint */
  constructor(native: NativeSocket, socket: object) {
    this.#native = native
    this.#socket = socket
  }

  /** True once the socket is closing. */
  get stopped(): boolean {
    return this.#stopped
  }

  /** True once the socket is closed. */
  get ended(): boolean {
    return this.#ended
  }

  /** Those that are open. */
  get open(): { type: 'listener' | 'dialer'; url: string }[] {
    return Array.from(this.#open.values(), ({ dialer, url }) => ({
      type: dialer ? 'dialer' : 'listener',
      url
    }))
  }

  async listen(url: string): Promise<Opened> {
    const address = parseUrl(url, 'listen')
    this.#checkOpen('listen', url)
    const context = this.#newContext('Listener')
    const call = ++this.#calls
    ;(this.#listens ??= new Map()).set(call, { context })
    this.#updateKeepAlive()
    try {
      const host = nameToLookUp(address)
      const found =
        host === undefined ? undefined : await this.#lookUp(host, url)
      this.#checkOpen('listen', url)
      const [error, id, bound] = await this.#native.listen(
        listenUrl(address, found),
        call
      )
      if (this.#stopped && error === 0) this.#native.stopEndpoint(id, false)
      this.#checkOpen('listen', url)
      if (error !== 0) throw new NngError(error, 'listen', { address: url })
      const port = /:(\d+)$/.exec(bound)?.[1]
      const real =
        address.transport === 'tcp' && port !== undefined
          ? url.replace(/:\d+\/?$/, `:${port}`)
          : url
      return { endpoint: this.#add(id, false, context, real), url: real }
    } catch (error) {
      trace(this.#native, 'cannot listen at %s: %s', url, reason(error))
      context.emitDestroy()
      throw error
    } finally {
      this.#listens?.delete(call)
      this.#updateKeepAlive()
    }
  }

  async dial(url: string, options: DialOptions): Promise<Opened> {
    const { signal, timeout, retry = false } = options
    checkBoolean('retry', retry)
    const address = parseUrl(url, 'dial')
    throwIfAborted(signal)
    this.#checkOpen('dial', url)
    const id = this.#native.dial(dialUrl(address), retry)
    if (id < 0) throw new NngError(-id, 'dial', { address: url })
    trace(this.#native, 'dials %s', url)
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
        trace(this.#native, 'cannot dial %s: %s', url, reason(error))
        context.emitDestroy()
        throw error
      }
    }
    return { endpoint: this.#add(id, true, context, url), url }
  }

  async listenOrDial(url: string, options: WaitOptions): Promise<Opened> {
    const { signal } = options
    throwIfAborted(signal)
    for (const pause of LISTEN_OR_DIAL_PAUSES_MS.keys()) {
      let listenError: NngError
      try {
        return await this.listen(url)
      } catch (error) {
        if (!(error instanceof NngError)) throw error
        listenError = error
      }
      try {
        return { ...(await this.dial(url, options)), listenError }
      } catch (error) {
        if (!(error instanceof NngError) || error === signal?.reason) {
          throw error
        }
        const again = LISTEN_OR_DIAL_PAUSES_MS[pause + 1]
        const raced =
          listenError.errno === NNG.EADDRINUSE &&
          error.errno === NNG.ECONNREFUSED
        if (!raced || again === undefined || this.#stopped) {
          error.cause = listenError
          throw error
        }
        await sleep(again)
      }
    }
    throw new Error('unreachable')
  }

  /** That of the call whose endpoint made a connection. */
  contextOf(peer: NativePeer): EndpointContext | undefined {
    const { dialed, endpoint } = peer
    const known = this.#open.get(keyOf(endpoint, dialed))
    if (known !== undefined) return known.context
    if (dialed) return this.#dials?.get(endpoint)?.context
    // Somebody was quicker than the end of the call.
    for (const { context, id } of this.#listens?.values() ?? []) {
      if (id === endpoint) return context
    }
    return undefined
  }

  /** A call of `listen` has its listener, which is about to listen. */
  onListening({ id, call }: NativeEvent): void {
    const listening = this.#listens?.get(call!)
    if (listening !== undefined) listening.id = id
  }

  /** The first attempt of a dialer has ended. */
  onDialed(id: number, error: number): void {
    const pending = this.#dials?.get(id)?.pending
    this.#dials?.delete(id)
    if (pending === undefined) return
    if (error === 0) pending.resolve()
    else {
      pending.fail(error)
      if (!this.#stopped) void this.#native.closeEndpoint(id, true)
    }
    this.#updateKeepAlive()
  }

  /** A lookup has ended. */
  onResolved({ id, error, address }: NativeEvent): void {
    const lookup = this.#lookups?.get(id)
    if (lookup === undefined) return
    this.#lookups?.delete(id)
    const { host, url, pending } = lookup
    if (error === 0) pending.resolve(address!)
    else pending.reject(lookupError(error, host, url))
  }

  /** Closes one, and its connection in the background. */
  async close({ id, dialer }: OpenEndpoint): Promise<void> {
    await this.#native.closeEndpoint(id, dialer)
  }

  /** It is closed, and the end of its connection was told. */
  forget({ id, dialer, context, url }: OpenEndpoint): void {
    // The socket can have been closed meanwhile.
    if (!this.#open.delete(keyOf(id, dialer))) return
    context.emitDestroy()
    trace(this.#native, 'closed the %s %s', dialer ? 'dialer' : 'listener', url)
    this.#updateKeepAlive()
  }

  /** Connections stay; the calls that are under way fail. */
  stop(): void {
    this.#stopped = true
    this.#updateKeepAlive()
    for (const { id, dialer } of this.#open.values()) {
      this.#native.stopEndpoint(id, dialer)
    }
    for (const [id, { pending }] of this.#dials ?? []) {
      this.#native.stopEndpoint(id, true)
      pending.fail(NNG.ECLOSED)
    }
    for (const { pending } of this.#lookups?.values() ?? []) {
      pending.fail(NNG.ECLOSED)
    }
  }

  /** The socket is closed, and all of them with it. */
  end(): void {
    for (const { context } of this.#open.values()) context.emitDestroy()
    this.#open.clear()
    this.#dials = undefined
    this.#lookups = undefined
    this.#ended = true
    this.#updateKeepAlive()
  }

  /** Whether they keep the process alive; a socket that is closing does. */
  reference(referenced: boolean): void {
    this.#referenced = referenced
    this.#updateKeepAlive()
  }

  #checkOpen(syscall: string, address: string): void {
    if (this.#stopped) throw new NngError(NNG.ECLOSED, syscall, { address })
  }

  #lookUp(host: string, url: string): Promise<string> {
    const pending = new Pending<string>('listen', {}, {}, undefined, url)
    const id = this.#native.resolve(host)
    if (id < 0) pending.fail(-id)
    else (this.#lookups ??= new Map()).set(id, { host, pending, url })
    return pending.promise
  }

  #newContext(type: 'Listener' | 'Dialer'): EndpointContext {
    return new EndpointContext(type, () => this.#referenced || this.#stopped)
  }

  #add(
    id: number,
    dialer: boolean,
    context: EndpointContext,
    url: string
  ): OpenEndpoint {
    const endpoint = { id, dialer, context, url }
    trace(this.#native, 'has the %s %s', dialer ? 'dialer' : 'listener', url)
    this.#open.set(keyOf(id, dialer), endpoint)
    this.#updateKeepAlive()
    return endpoint
  }

  #updateKeepAlive(): void {
    const busy =
      !this.#ended &&
      (this.#stopped ||
        this.#open.size > 0 ||
        (this.#dials?.size ?? 0) > 0 ||
        (this.#listens?.size ?? 0) > 0)
    if (busy) reachable.add(this.#socket)
    else reachable.delete(this.#socket)
    if (busy && (this.#referenced || this.#stopped)) this.#native.keepAlive()
    else this.#native.letGo()
  }
}

/** In a line; what a signal is aborted with can be anything. */
function reason(error: unknown): string {
  return error instanceof Error ? error.message : `a ${typeof error}`
}

/** Listeners and dialers are numbered apart, from 1 on. */
function keyOf(id: number, dialer: boolean): number {
  return dialer ? -id : id
}
