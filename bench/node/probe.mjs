// How long the event loop lets others wait: what `setImmediate` and a timer of one millisecond see
// while messages stream through the process. Milliseconds.

import { summary } from '../statistics.mjs'

export function startProbe() {
  const turns = []
  const late = []
  let running = true
  let before = performance.now()

  const onTurn = () => {
    if (!running) return
    const now = performance.now()
    turns.push(now - before)
    before = now
    setImmediate(onTurn)
  }
  setImmediate(onTurn)

  const arm = () => {
    const due = performance.now() + 1
    setTimeout(() => {
      if (!running) return
      late.push(performance.now() - due)
      arm()
    }, 1)
  }
  arm()

  return {
    stop() {
      running = false
      // A loop that never got a turn has no turns to show.
      const end = performance.now()
      turns.push(end - before)
      return { immediate: summary(turns), timer: summary(late) }
    }
  }
}
