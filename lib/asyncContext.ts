import { AsyncResource } from 'node:async_hooks'
import { attempt } from './attempt'

/**
 * An endpoint, as async_hooks sees it. What becomes of its connections is told
 * in the async context of the call that made it, as node:net does; for how
 * long that is kept, the endpoint says.
 */
export class EndpointContext extends AsyncResource {
  readonly #keepsAlive: () => boolean

  /** @param keepsAlive whether it keeps the process alive while it is there */
  constructor(type: 'Listener' | 'Dialer', keepsAlive: () => boolean) {
    super(`nng-pair.${type}`)
    this.#keepsAlive = keepsAlive
  }

  /** For those who report what keeps a process alive, as a handle of Node's. */
  hasRef(): boolean {
    return this.#keepsAlive()
  }

  /** Calls in this context. */
  run(call: () => void): void {
    this.runInAsyncScope(attempt, undefined, call)
  }
}
