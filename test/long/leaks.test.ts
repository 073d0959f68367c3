// Whatever comes by the thousand leaves nothing behind: no memory, descriptor
// or thread. Each load runs in a process of its own.

import {
  ending,
  sourceInProcess,
  type Main,
  type Tools
} from '../support/childProcess'
import { Run } from '../support/command'
import { freeUrl, transports } from '../support/transports'

const SUCCESS = { code: 0, signal: null }
const onLinux = process.platform === 'linux' ? describe : describe.skip

/** A load: what it does `units` times in a row, in the child. */
interface Load {
  /** Whether it goes over a transport. */
  connects: boolean
  units: number
  /** Less than so many bytes may stay of one unit, since there is noise. */
  perUnit: number
  run: Main<[at: string, units: number]>
}

const loads: Record<string, Load> = {
  'opening and closing sockets': {
    connects: false,
    units: 2_500,
    perUnit: 400,
    run: async ({ lib }, _at, units) => {
      for (let i = 0; i < units; i += 50) {
        const sockets = Array.from({ length: 50 }, () => new lib.PairSocket())
        await Promise.all(sockets.map((sock) => sock.close()))
      }
    }
  },

  'messages that nobody takes': {
    connects: false,
    units: 10_000,
    perUnit: 40,
    run: async ({ lib }, _at, units) => {
      for (let i = 0; i < units; i += 500) {
        const sock = new lib.PairSocket({ sendBuffer: 250 })
        // Half of them are accepted, and half wait in line.
        const sends = Array.from({ length: 500 }, () =>
          sock.send(Buffer.alloc(100)).catch(() => {})
        )
        await sock.close()
        await Promise.all(sends)
      }
    }
  },

  'listening, dialing, and closing the endpoints': {
    connects: true,
    units: 500,
    perUnit: 1_500,
    run: async ({ lib, once }, at, units) => {
      const one = new lib.PairSocket()
      const other = new lib.PairSocket()
      for (let i = 0; i < units; i++) {
        const connected = once(one, 'connect')
        const listener = await one.listen(at)
        const dialer = await other.dial(listener.url)
        await connected
        await Promise.all([dialer.close(), listener.close()])
      }
      await Promise.all([one.close(), other.close()])
    }
  },

  'connections, and their sockets': {
    connects: true,
    units: 500,
    perUnit: 1_500,
    run: async ({ lib }, at, units) => {
      const listening = new lib.PairSocket()
      const { url } = await listening.listen(at)
      const received = (async () => {
        let count = 0
        for await (const _ of listening) count++
        return count
      })()
      for (let i = 0; i < units; i++) {
        const sock = new lib.PairSocket()
        // The one before may be the peer still: then it dials again.
        await sock.dial(url)
        await sock.close()
      }
      await listening.close()
      await received
    }
  },

  'dials that fail': {
    connects: true,
    units: 1_500,
    perUnit: 800,
    run: async ({ lib }, at, units) => {
      // Where nobody ever listens, whatever runs meanwhile.
      const url = at.startsWith('tcp') ? 'tcp://127.0.0.1:1' : `${at}.nobody`
      const sock = new lib.PairSocket()
      for (let i = 0; i < units; i++) {
        await sock.dial(url).then(
          () => {
            throw new Error('nobody was there')
          },
          () => {}
        )
      }
      await sock.close()
    }
  },

  'small messages': {
    connects: true,
    units: 40_000,
    perUnit: 60,
    run: async ({ lib }, at, units) => {
      const one = new lib.PairSocket()
      const other = new lib.PairSocket()
      await other.dial((await one.listen(at)).url)
      const send = async () => {
        for (let i = 0; i < units; i++) await one.send('a small one')
        await one.close()
      }
      const recv = async () => {
        for (let i = 0; i < units; i++) await other.recv()
      }
      await Promise.all([send(), recv()])
      await other.close()
    }
  },

  'batches of messages': {
    connects: true,
    units: 40_000,
    perUnit: 60,
    run: async ({ lib }, at, units) => {
      const one = new lib.PairSocket()
      const other = new lib.PairSocket()
      await other.dial((await one.listen(at)).url)
      const batch = Array<string>(100).fill('one of many')
      const send = async () => {
        for (let i = 0; i < units; i += 100) await one.sendMany(batch)
        await one.close()
      }
      const recv = async () => {
        let count = 0
        while (count < units) count += (await other.recvMany(64)).length
      }
      await Promise.all([send(), recv()])
      await other.close()
    }
  },

  'large messages': {
    connects: true,
    units: 250,
    // Some of their memory is kept for the next ones.
    perUnit: 16_000,
    run: async ({ lib }, at, units) => {
      const one = new lib.PairSocket({ sendBuffer: 4, recvBuffer: 4 })
      const other = new lib.PairSocket({ sendBuffer: 4, recvBuffer: 4 })
      await other.dial((await one.listen(at)).url)
      const send = async () => {
        const data = Buffer.alloc(200_000, 'x')
        for (let i = 0; i < units; i++) await one.send(data)
        await one.close()
      }
      const recv = async () => {
        for (let i = 0; i < units; i++) {
          await other.recv()
          // What they hold is outside of V8's heap.
          if (i % 50 === 0) global.gc!()
        }
      }
      await Promise.all([send(), recv()])
      await other.close()
    }
  },

  'receives that are aborted or run out of time': {
    connects: true,
    units: 20_000,
    perUnit: 100,
    run: async ({ lib }, at, units) => {
      const sock = new lib.PairSocket()
      const peer = new lib.PairSocket()
      await peer.dial((await sock.listen(at)).url)
      let count = 0
      const failed = () => {
        count++
      }
      for (let i = 0; i < units; i += 10) {
        const abort = new AbortController()
        const { signal } = abort
        const calls = Array.from({ length: 10 }, (_, n) =>
          sock.recv(n === 0 ? { timeout: 0 } : { signal }).catch(failed)
        )
        abort.abort()
        await Promise.all(calls)
      }
      if (count !== units) throw new Error(`${count} have failed`)
      await Promise.all([sock.close(), peer.close()])
    }
  },

  'sends that are aborted': {
    connects: false,
    units: 20_000,
    perUnit: 100,
    run: async ({ lib }, _at, units) => {
      const sock = new lib.PairSocket({ sendBuffer: 0 })
      let count = 0
      const failed = () => {
        count++
      }
      for (let i = 0; i < units; i += 10) {
        const abort = new AbortController()
        const { signal } = abort
        const calls = Array.from({ length: 10 }, () =>
          sock.send(Buffer.alloc(1000), { signal }).catch(failed)
        )
        abort.abort()
        await Promise.all(calls)
      }
      if (count !== units) throw new Error(`${count} have failed`)
      await sock.close()
    }
  }
}

/** Runs a load once to warm up and three times more; says what is held. */
const measure = async (
  tools: Tools,
  run: Load['run'],
  at: string,
  units: number
) => {
  const { fs, say, turn } = tools
  const held = async () => {
    // Finalizers run in turns of the loop, and free what others hold.
    for (let i = 0; i < 4; i++) {
      global.gc!()
      await turn()
    }
    const { heapTotal, heapUsed, arrayBuffers, external } =
      process.memoryUsage()
    // Exact, where memoryUsage() is off by half a megabyte.
    const rollup = fs.readFileSync('/proc/self/smaps_rollup', 'latin1')
    const rss = Number(/^Rss: +(\d+) kB$/m.exec(rollup)![1]) * 1024
    return {
      outside: rss - heapTotal,
      heapUsed,
      arrayBuffers,
      external,
      descriptors: fs.readdirSync('/proc/self/fd').length,
      threads: fs.readdirSync('/proc/self/task').length
    }
  }
  const states = []
  for (let i = 0; i < 6; i++) {
    await run(tools, at, units)
    states.push(await held())
  }
  say(JSON.stringify(states))
}
type State = Record<
  | 'outside'
  | 'heapUsed'
  | 'arrayBuffers'
  | 'external'
  | 'descriptors'
  | 'threads',
  number
>

// V8 would let its heap breathe by many megabytes.
const STEADY_V8 = [
  '--expose-gc',
  '--min-semi-space-size=1',
  '--max-semi-space-size=1'
]

// glibc's allocator gives back what is free as soon as it can, and has one
// pool for all threads.
const FRANK_MALLOC = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '0',
  MALLOC_TOP_PAD_: '0'
}

onLinux('nothing is left behind by', () => {
  describe.each(Object.entries(loads))(
    '%s',
    (_, { connects, units, perUnit, run }) => {
      const over = connects ? transports : (['no transport'] as const)
      test.each(over)('over %s', async (transport) => {
        const url = transport === 'no transport' ? '' : freeUrl(transport)
        const source = sourceInProcess(
          `(tools, ...args) => (${String(measure)})(tools, ${String(run)}, ...args)`,
          url,
          units
        )
        const child = new Run(process.execPath, [...STEADY_V8, '-e', source], {
          env: { ...process.env, ...FRANK_MALLOC }
        })
        expect(await ending(child)).toEqual(SUCCESS)
        const states = JSON.parse(child.lines[0]!) as State[]
        const [first, last] = [states[0]!, states.at(-1)!]
        // The median of the five rounds: a leak is in every one of them, what V8
        // or the allocator takes and gives back is in a few.
        const growth = (what: 'outside' | 'heapUsed') =>
          states
            .slice(1)
            .map((state, i) => (state[what] - states[i]![what]) / units)
            .sort((a, b) => a - b)[2]
        expect(growth('outside')).toBeLessThan(perUnit)
        expect(growth('heapUsed')).toBeLessThan(perUnit)
        expect(last.external - first.external).toBeLessThan(units)
        expect(last.arrayBuffers - first.arrayBuffers).toBeLessThan(units)
        expect(last.descriptors).toBe(first.descriptors)
        expect(last.threads).toBe(first.threads)
      })
    }
  )
})
