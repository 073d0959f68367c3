import type { NngError } from './errors'

/** How an endpoint reaches its socket to be closed; called once. */
export type CloseEndpoint = () => Promise<void>

abstract class Endpoint {
  /**
   * The URL as it was given; of a listener with the real port, so that it can
   * be dialed from this machine.
   */
  readonly url: string
  readonly #close: CloseEndpoint
  #closing: Promise<void> | undefined

  /** @internal Made by `PairSocket`. */
  constructor(url: string, close: CloseEndpoint) {
    this.url = url
    this.#close = close
  }

  /**
   * Closes the endpoint and the connection that was made through it; unlike
   * `net.Server`, NNG's endpoints own their connections. Messages that were
   * accepted and are not on their way stay in the socket's send buffer for
   * the next peer. Does nothing the second time.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Accepts connections at an address, one peer at a time. */
export class Listener extends Endpoint {
  readonly type = 'listener'
}

/** Keeps a connection to an address: after a loss it dials again. */
export class Dialer extends Endpoint {
  readonly type = 'dialer'
  /** Of `listenOrDial`: why listening failed. */
  readonly listenError: NngError | undefined

  /** @internal Made by `PairSocket`. */
  constructor(url: string, close: CloseEndpoint, listenError?: NngError) {
    super(url, close)
    this.listenError = listenError
  }
}
