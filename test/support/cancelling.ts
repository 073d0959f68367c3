import type { NngError, WaitOptions } from '../../lib'

/** Ways to cancel a call, from before it is made to long after it. */
export function cancelling(
  next: () => number
): [options: WaitOptions, begun: () => void] {
  const controller = new AbortController()
  const { signal } = controller
  const abort = () => controller.abort('cancelled')
  switch (Math.floor(next() * 10)) {
    case 0:
      abort()
      return [{ signal }, () => {}]
    case 1:
      return [{ signal }, abort]
    case 2:
      return [{ signal }, () => queueMicrotask(abort)]
    case 3:
      return [{ signal }, () => process.nextTick(abort)]
    case 4:
      return [{ signal }, () => setImmediate(abort)]
    case 5:
      return [{ signal }, () => setTimeout(abort, next() * 3)]
    case 6:
      return [{ timeout: 0 }, () => {}]
    case 7:
      return [{ timeout: next() * 3 }, () => {}]
    case 8:
      return [{ signal, timeout: 2 }, () => setTimeout(abort, 2)]
    default:
      return [{}, () => {}]
  }
}

/** Throws what is not what a cancelled or closed call is rejected with. */
export function wasCancelled(error: unknown): void {
  if (error === 'cancelled') return
  const { code } = error as NngError
  if (code !== 'ETIMEDOUT' && code !== 'ECLOSED') throw error
}
