import { NNG, NngError, at, type CallSite } from './errors'
import type { WaitOptions } from './options'
import { offAbort, onAbort, reasonOf } from './signals'
import { time, type Timer } from './time'

/**
 * A call that waits: a promise that is settled once, by whichever comes
 * first of its completion, its deadline and its signal. The timer and the
 * signal's listener are gone afterwards.
 */
export class Pending<T> {
  readonly promise: Promise<T>
  /** True once it is settled: whoever completes it must look first. */
  settled = false
  /**
   * Where the call was made. Finding out takes some microseconds: who is in
   * a hurry sets it before the call returns, after what is urgent.
   */
  site: CallSite | undefined

  #resolve!: (value: T) => void
  #reject!: (reason: unknown) => void
  #timer: Timer | undefined
  #signal: AbortSignal | undefined
  #aborted: (() => void) | undefined
  readonly #syscall: string
  readonly #address: string | undefined
  readonly #onCancel: (() => void) | undefined

  /**
   * @param syscall names the call in its errors
   * @param site where the call was made
   * @param options the deadline (ms from now) and the signal
   * @param onCancel called when the deadline or the signal won
   * @param address the URL for its errors
   */
  constructor(
    syscall: string,
    site: CallSite | undefined,
    options: WaitOptions,
    onCancel?: () => void,
    address?: string
  ) {
    this.#syscall = syscall
    this.#address = address
    this.site = site
    this.#onCancel = onCancel
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { timeout, signal } = options
    if (timeout !== undefined && timeout !== Infinity) {
      this.#timer = time.after(timeout, () => {
        this.fail(NNG.ETIMEDOUT)
        this.#onCancel?.()
      })
    }
    if (signal !== undefined) {
      this.#signal = signal
      this.#aborted = () => {
        if (!this.#settle()) return
        this.#reject(reasonOf(signal))
        this.#onCancel?.()
      }
      onAbort(signal, this.#aborted)
    }
  }

  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value)
  }

  /** Rejects with an error whose stack becomes that of the call. */
  reject(error: Error): void {
    if (this.#settle()) this.#reject(at(error, this.site!))
  }

  /** Rejects with an NNG error. */
  fail(errno: number): void {
    if (this.settled) return
    this.reject(new NngError(errno, this.#syscall, { address: this.#address }))
  }

  #settle(): boolean {
    if (this.settled) return false
    this.settled = true
    if (this.#timer !== undefined) time.cancel(this.#timer)
    if (this.#signal !== undefined) offAbort(this.#signal, this.#aborted!)
    return true
  }
}
