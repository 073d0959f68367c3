export interface HeapTimer {
  readonly call: () => void
  /** When it is due, and its number among those due at the same time. */
  readonly due: number
  readonly order: number
  /** Where it is in the heap; -1: nowhere. */
  place: number
}

function isBefore(a: HeapTimer, b: HeapTimer): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order)
}

/** Timers, the next one first: a binary heap that any of them may leave. */
export class TimerHeap {
  readonly #timers: HeapTimer[] = []

  get first(): HeapTimer | undefined {
    return this.#timers[0]
  }

  add(timer: HeapTimer): void {
    this.#up(timer, this.#timers.length)
  }

  /** Returns false if it is not there. */
  remove(timer: HeapTimer): boolean {
    const { place } = timer
    if (place < 0) return false
    timer.place = -1
    const last = this.#timers.pop()!
    if (last === timer) return true
    this.#down(last, place)
    this.#up(last, last.place)
    return true
  }

  #up(timer: HeapTimer, place: number): void {
    while (place > 0) {
      const above = (place - 1) >> 1
      const parent = this.#timers[above]!
      if (!isBefore(timer, parent)) break
      this.#put(parent, place)
      place = above
    }
    this.#put(timer, place)
  }

  #down(timer: HeapTimer, place: number): void {
    for (;;) {
      let below = 2 * place + 1
      if (below >= this.#timers.length) break
      const other = this.#timers[below + 1]
      if (other !== undefined && isBefore(other, this.#timers[below]!)) below++
      const child = this.#timers[below]!
      if (!isBefore(child, timer)) break
      this.#put(child, place)
      place = below
    }
    this.#put(timer, place)
  }

  #put(timer: HeapTimer, place: number): void {
    this.#timers[place] = timer
    timer.place = place
  }
}
