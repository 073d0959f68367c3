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

  let due
  const arm = () => {
    due = performance.now() + 1
    setTimeout(onTimer, 1)
  }
  // The timer's own clock has whole milliseconds: it may be early.
  const note = (now) => late.push(Math.max(0, now - due))
  const onTimer = () => {
    if (!running) return
    note(performance.now())
    arm()
  }
  arm()

  return {
    stop() {
      running = false
      // A loop that never gets a turn has nothing to show but its waiting.
      const now = performance.now()
      turns.push(now - before)
      note(now)
      return { immediate: summary(turns), timer: summary(late) }
    }
  }
}
