import { setImmediate } from 'node:timers/promises'

// A test that has failed by its limit of time may have left such a loop, which
// would keep jest from ending: what a test waits for is not to come after it.
let over = 0
afterEach(() => over++)

/** Lets the event loop turn until something is so that no event tells of. */
export async function until(condition: () => boolean): Promise<void> {
  const before = over
  while (!condition()) {
    if (over !== before) await new Promise(() => {})
    await setImmediate()
  }
}
