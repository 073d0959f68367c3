import { native } from './native'

/** Calls; what that throws is an uncaught exception, as of a timer. */
export function attempt(call: () => void): void {
  try {
    call()
  } catch (error) {
    native.uncaught(error)
  }
}
