import { setImmediate } from 'node:timers/promises'

/** Lets the event loop turn until something is so that no event tells of. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setImmediate()
}
