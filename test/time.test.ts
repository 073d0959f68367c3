// The library's own timers and turns of the loop (lib/time.ts).

import { time, type Timer } from '../lib/time'
import type { HeapTimer } from '../lib/timerHeap'
import { ending, inProcess } from './support/childProcess'
import { random } from './support/random'

const SUCCESS = { code: 0, signal: null }

describe('timers', () => {
  test('fire in the order of their times, those of a kind in turn', async () => {
    const next = random(1)
    const fired: Timer[] = []
    const timers: Timer[] = []
    const begun = time.now()
    await new Promise<void>((resolve) => {
      for (let i = 0; i < 2000; i++) {
        const ms = 1 + Math.floor(next() * 100)
        const timer = time.after(ms, () => {
          expect(time.now() - begun).toBeGreaterThanOrEqual(ms)
          fired.push(timer)
        })
        timers.push(timer)
        if (next() < 0.4) {
          const [gone] = timers.splice(Math.floor(next() * timers.length), 1)
          time.cancel(gone!)
        }
      }
      time.after(150, resolve)
    })
    // None had fired when the last was set.
    const inOrder = (timers as HeapTimer[]).toSorted(
      (a, b) => a.due - b.due || a.order - b.order
    )
    expect(fired.length).toBe(timers.length)
    expect(fired.every((timer, i) => timer === inOrder[i])).toBe(true)
  })

  test('may set and cancel others when they fire, and themselves', async () => {
    const notes: string[] = []
    await new Promise<void>((resolve) => {
      const first = time.after(5, () => {
        notes.push('first')
        time.cancel(first)
        time.cancel(second)
        time.after(1, () => notes.push('third'))
      })
      const second = time.after(5, () => notes.push('second'))
      time.after(50, resolve)
    })
    expect(notes).toEqual(['first', 'third'])
  })

  test('keep the process alive until they fire, or are cancelled', async () => {
    const run = inProcess(({ lib, say }) => {
      const begun = performance.now()
      process.on('exit', () => {
        say(performance.now() - begun < 10_000 ? 'in time' : 'late')
      })
      // No endpoint, and nothing else either.
      const sock = new lib.PairSocket()
      const ended = new AbortController()
      const { signal } = ended
      sock.recv({ timeout: 60_000, signal }).catch(() => say('cancelled'))
      sock.recv({ timeout: 50 }).catch(() => {
        say('out of time')
        ended.abort()
      })
    })
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['out of time', 'cancelled', 'in time'])
  })
})

describe('a turn of the loop', () => {
  test('lets everything else go first, however often', async () => {
    const COUNT = 50
    let over = false
    let turns = 0
    let immediates = 0
    let timeouts = 0
    const immediate = () => {
      immediates++
      if (!over) setImmediate(immediate)
    }
    const timeout = () => {
      timeouts++
      if (!over) setTimeout(timeout, 0)
    }
    setImmediate(immediate)
    setTimeout(timeout, 0)
    // A timer has its turn after a millisecond, whatever a turn takes.
    while (turns < COUNT || timeouts === 0) {
      await new Promise<void>((resolve) => time.afterTurn(resolve))
      turns++
    }
    over = true
    expect(immediates).toBeGreaterThanOrEqual(turns - 1)
  })

  test('keeps the process alive until it has come', async () => {
    const run = inProcess(({ lib, say }) => {
      // Many more than may go on in one turn.
      const sock = new lib.PairSocket({ sendBuffer: 8192 })
      void (async () => {
        for (let i = 0; i < 4000; i++) await sock.send('x')
        say('accepted')
      })()
    })
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['accepted'])
  })
})
