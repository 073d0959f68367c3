import type { WaitOptions } from '../../lib'
import { CANCELLED, wrongOutcome, type Cancel, type Outcome } from './model'

/** The calls of a schedule that are under way, and what was wrong so far. */
export class Calls {
  readonly failures: string[] = []
  /** The socket is being closed: calls may fail. */
  closing = false
  #clock = 0
  readonly #pending = new Set<Promise<void>>()

  /** The next moment: nothing that begins or ends has the same. */
  now(): number {
    return this.#clock++
  }

  fail(text: string): void {
    this.failures.push(text)
  }

  async allSettled(): Promise<void> {
    await Promise.all(this.#pending)
  }

  /** A call that goes on while other steps are made. */
  pending(call: Promise<void>): void {
    const all = call
      .catch((error: unknown) => this.fail(String((error as Error).stack)))
      .finally(() => this.#pending.delete(all))
    this.#pending.add(all)
  }

  /** Makes a call that may be cancelled; `use` hears how it ended. */
  call<T>(
    syscall: 'send' | 'recv' | 'drain',
    cancel: Cancel,
    make: (options: WaitOptions) => Promise<T>,
    use: (outcome: Outcome, value?: T) => void
  ): void {
    const controller = new AbortController()
    const { signal } = controller
    const abort = () => controller.abort(CANCELLED)
    let options: WaitOptions = { signal }
    if (cancel === 'never') options = {}
    if (cancel === 'before') abort()
    if (cancel === 'zero') options = { timeout: 0 }
    if (cancel === 'short') options = { timeout: 1 }
    const call = make(options)
    if (cancel === 'at once') abort()
    if (cancel === 'microtask') queueMicrotask(abort)
    if (cancel === 'tick') process.nextTick(abort)
    if (cancel === 'immediate') setImmediate(abort)
    if (cancel === 'soon') setTimeout(abort, 1)
    const done = (outcome: Outcome, value?: T) => {
      const wrong = wrongOutcome(syscall, cancel, this.closing, outcome)
      if (wrong !== undefined) this.fail(`${syscall}, ${cancel}: ${wrong}`)
      use(outcome, value)
    }
    this.pending(
      call.then(
        (value) => done({ ok: true }, value),
        (error: unknown) => done({ ok: false, error })
      )
    )
  }
}
