// What the garbage collector can see of sockets and messages. Each case runs
// in a process that can ask for a collection.

import { ending, inProcessWith, type Main } from './support/childProcess'
import { freeUrl, transports } from './support/transports'

const SUCCESS = { code: 0, signal: null }

/** Runs it in a process that must end well; returns what it said. */
async function inCollected<A extends readonly unknown[]>(
  main: Main<A>,
  ...args: A
): Promise<string[]> {
  const run = inProcessWith(['--expose-gc'], main, ...args)
  const exit = await ending(run)
  expect([exit, run.lines]).toEqual([SUCCESS, expect.anything()])
  return run.lines
}

describe('a socket that was dropped', () => {
  test('is collected when it has no endpoint', async () => {
    const lines = await inCollected(async ({ lib, say, turn }) => {
      const COUNT = 100
      const refs: WeakRef<object>[] = []
      const make = () => {
        for (let i = 0; i < COUNT; i++) {
          const sock = new lib.PairSocket()
          sock.on('connect', () => sock.stats())
          sock.trySend('never sent')
          refs.push(new WeakRef(sock))
        }
      }
      make()
      // The collector has its own mind about the last few.
      while (refs.filter((ref) => ref.deref()).length > COUNT / 10) {
        await turn()
        global.gc!()
      }
      say('collected')
    })
    expect(lines).toEqual(['collected'])
  })

  test('is not needed by those who wait: they are served no more', async () => {
    const lines = await inCollected(async ({ lib, say, turn }) => {
      let settled = false
      const make = () => {
        const sock = new lib.PairSocket()
        const done = () => (settled = true)
        sock.recv().then(done, done)
        return new WeakRef(sock)
      }
      const refs = Array.from({ length: 20 }, make)
      while (refs.filter((ref) => ref.deref()).length > 2) {
        await turn()
        global.gc!()
      }
      say(`settled: ${settled}`)
    })
    expect(lines).toEqual(['settled: false'])
  })

  test('is collected in time for the sake of what it holds', async () => {
    // Nobody asks for a collection: V8 has to know of the megabytes.
    const lines = await inCollected(async ({ lib, say, turn }) => {
      const data = Buffer.alloc(1_000_000)
      let most = 0
      for (let i = 0; i < 1500; i++) {
        new lib.PairSocket().trySend(data)
        most = Math.max(most, process.memoryUsage.rss())
        await turn()
      }
      say(most < 700_000_000 ? 'in time' : `${most} bytes`)
    })
    expect(lines).toEqual(['in time'])
  })
})

describe.each(transports)('a socket with an endpoint over %s', (transport) => {
  test('is not collected, and works', async () => {
    const lines = await inCollected(async ({ lib, say, turn }, at) => {
      const make = async () => {
        const sock = new lib.PairSocket()
        const { url } = await sock.listen(at)
        // An echo that nobody holds but itself.
        void (async () => {
          for await (const message of sock) {
            await sock.send(message)
            if (message.length === 0) break
          }
          await sock.close()
        })()
        return [new WeakRef(sock), url] as const
      }
      const [ref, url] = await make()
      for (let i = 0; i < 20; i++) {
        await turn()
        global.gc!()
      }
      say(ref.deref() === undefined ? 'collected' : 'there')
      const peer = new lib.PairSocket()
      await peer.dial(url)
      for (const text of ['hello', '']) {
        await peer.send(text)
        global.gc!()
        say(`echo ${String(await peer.recv())}`)
      }
      await peer.close()
    }, freeUrl(transport))
    expect(lines).toEqual(['there', 'echo hello', 'echo '])
  })

  test('is collected after its endpoint was closed', async () => {
    const lines = await inCollected(async ({ lib, say, turn }, at) => {
      const refs: WeakRef<object>[] = []
      for (let i = 0; i < 20; i++) {
        const sock = new lib.PairSocket()
        await (await sock.listen(at)).close()
        refs.push(new WeakRef(sock))
      }
      while (refs.filter((ref) => ref.deref()).length > 2) {
        await turn()
        global.gc!()
      }
      say('collected')
    }, freeUrl(transport))
    expect(lines).toEqual(['collected'])
  })
})

describe.each(transports)('memory of messages over %s', (transport) => {
  test('is freed with large messages that were received', async () => {
    const lines = await inCollected(async ({ lib, say, turn }, at) => {
      const SIZE = 100_000
      const one = new lib.PairSocket()
      const other = new lib.PairSocket()
      await other.dial((await one.listen(at)).url)
      const external = () => process.memoryUsage().external
      const before = external()
      const keep: Buffer[] = []
      const data = Buffer.alloc(SIZE, 'x')
      for (let i = 0; i < 200; i++) {
        await one.send(data)
        keep.push(await other.recv())
      }
      global.gc!()
      const held = external() - before
      say(held >= 200 * SIZE ? 'counted' : `counted ${held}`)
      if (!keep.every((message) => message.equals(data))) say('changed')
      keep.length = 0
      while (external() - before > 10 * SIZE) {
        await turn()
        global.gc!()
      }
      say('freed')
      await Promise.all([one.close(), other.close()])
    }, freeUrl(transport))
    expect(lines).toEqual(['counted', 'freed'])
  })

  test.each(['recv', 'recvMany'] as const)(
    'is not kept by the batch it came in: %s',
    async (way) => {
      const lines = await inCollected(
        async ({ lib, say, turn }, at, way) => {
          const COUNT = 40
          const one = new lib.PairSocket()
          const other = new lib.PairSocket()
          await other.dial((await one.listen(at)).url)
          for (let i = 0; i <= COUNT; i++) one.trySend(Buffer.alloc(10_000))
          while (other.stats().unreadMessages <= COUNT) await turn()
          // All but the last, so that the batch is not at its end.
          const refs: WeakRef<Buffer>[] = []
          const receive = async () => {
            const messages =
              way === 'recv'
                ? [await other.recv()]
                : await other.recvMany(COUNT / 4)
            for (const message of messages) refs.push(new WeakRef(message))
          }
          while (refs.length < COUNT) await receive()
          // The collector has its own mind about the last few.
          while (refs.filter((ref) => ref.deref()).length > COUNT / 10) {
            await turn()
            global.gc!()
          }
          say('collected')
          await Promise.all([one.close(), other.close()])
        },
        freeUrl(transport),
        way
      )
      expect(lines).toEqual(['collected'])
    }
  )

  test('is kept for a moment, and then given back to the system', async () => {
    const lines = await inCollected(async ({ lib, fs, say, sleep }, at) => {
      const one = new lib.PairSocket()
      const other = new lib.PairSocket()
      await other.dial((await one.listen(at)).url)
      const mebibytes = () =>
        Number(
          /^Rss: +(\d+) kB$/m.exec(
            fs.readFileSync('/proc/self/smaps_rollup', 'latin1')
          )![1]
        ) / 1024
      const before = mebibytes()
      // A hundred at once, most of them on this side.
      const data = Buffer.alloc(2 ** 20, 'x')
      for (let i = 0; i < 100; i++) one.trySend(data)
      const kept: Buffer[] = []
      for (let i = 0; i < 100; i++) kept.push(await other.recv())
      say(mebibytes() - before > 90 ? 'held' : 'too little')
      kept.length = 0
      // The sockets stay open, and are idle.
      for (;;) {
        global.gc!()
        if (mebibytes() - before < 30) break
        await sleep(100)
      }
      say('given back')
      await Promise.all([one.close(), other.close()])
    }, freeUrl(transport))
    expect(lines).toEqual(['held', 'given back'])
  })
})
