/**
 * Time, and turns of the event loop, for the library itself.
 *
 * Tests replace the timers of JavaScript for everybody in the process: on the
 * global object, on `process` and `performance`, on the modules of timers, and
 * perhaps before this one is loaded. Whoever waits by these stands still until
 * the test moves its clock on. Sockets do not stand still, and as with those
 * of node:net their time is the real one. So it comes from the addon where
 * that has libuv's loop (Node on Linux and macOS); elsewhere it is what
 * JavaScript has when this is loaded.
 *
 * What is called here is the library's own, and runs in no async context.
 */

import { performance } from 'node:perf_hooks'
import * as timers from 'node:timers'
import { attempt } from './attempt'
import { native, type NativeClock } from './native'
import { TimerHeap, type HeapTimer } from './timerHeap'

/** What `after` returns, for `cancel`. */
export type Timer = NodeJS.Timeout | HeapTimer

interface Time<T extends Timer> {
  /** Milliseconds from some moment on. */
  now(): number
  /** Calls in so many milliseconds; until then the process stays alive. */
  after(ms: number, call: () => void): T
  cancel(timer: T): void
  /** Calls when everything else in the event loop had a turn. */
  afterTurn(call: () => void): void
}

/** By the addon: one alarm for all timers. */
class LoopTime implements Time<HeapTimer> {
  readonly #clock: NativeClock
  readonly #heap = new TimerHeap()
  // When the alarm comes; by then nothing may be due any more.
  #alarm = Infinity
  #timers = 0
  #turns: (() => void)[] = []

  constructor(clock: NativeClock) {
    this.#clock = clock
    clock.ontime = (alarm, turn) => {
      if (alarm) this.#onAlarm()
      if (turn) this.#onTurn()
    }
  }

  now(): number {
    return this.#clock.now()
  }

  after(ms: number, call: () => void): HeapTimer {
    const due = this.#clock.now() + ms
    const timer = { call, due, order: this.#timers++, place: -1 }
    if (this.#heap.first === undefined) this.#clock.keepAlive()
    this.#heap.add(timer)
    this.#setAlarm(due, ms)
    return timer
  }

  cancel(timer: HeapTimer): void {
    if (!this.#heap.remove(timer)) return
    if (this.#heap.first === undefined) this.#clock.letGo()
  }

  afterTurn(call: () => void): void {
    if (this.#turns.push(call) === 1) this.#clock.waitForTurn()
  }

  #setAlarm(due: number, ms: number): void {
    if (due >= this.#alarm) return
    this.#alarm = due
    this.#clock.setAlarm(ms)
  }

  #onAlarm(): void {
    this.#alarm = Infinity
    const now = this.#clock.now()
    let timer = this.#heap.first
    for (; timer !== undefined && timer.due <= now; timer = this.#heap.first) {
      this.cancel(timer)
      attempt(timer.call)
    }
    if (timer !== undefined) this.#setAlarm(timer.due, timer.due - now)
  }

  #onTurn(): void {
    const turns = this.#turns
    this.#turns = []
    turns.forEach(attempt)
  }
}

/** By JavaScript: taken now, since it is properties that are replaced. */
function scriptTime(): Time<NodeJS.Timeout> {
  const { clearTimeout, setImmediate, setTimeout } = timers
  const now = performance.now.bind(performance)
  return {
    now,
    after: (ms, call) => setTimeout(call, ms),
    cancel: (timer) => clearTimeout(timer),
    afterTurn: (call) => void setImmediate(call)
  }
}

export const time = (
  native.Clock === undefined ? scriptTime() : new LoopTime(new native.Clock())
) as Time<Timer>

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => time.after(ms, resolve))
}
