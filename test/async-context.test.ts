// What async_hooks sees: in which context events are told, what of a context is
// kept, and what is reported as open.

import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import * as path from 'node:path'
import { PairSocket, type Peer } from '../lib'
import { childJest } from './support/childJest'
import { ending } from './support/childProcess'
import { Run, buildIfStale, unusedUrl } from './support/command'
import { PAIR1_HEADER, RawPeer } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'

const DIST = path.join(__dirname, '..', 'dist')
const store = new AsyncLocalStorage<string>()

/** Notes in which context each event is told. */
function record(sock: PairSocket): string[] {
  const notes: string[] = []
  const events = ['connect', 'disconnect', 'reject', 'close'] as const
  for (const event of events) {
    sock.on(event, () => notes.push(`${event} in ${store.getStore()}`))
  }
  return notes
}

describe.each(transports)('events over %s', (transport) => {
  test('are told in the context of the call that led to them', async () => {
    const listening = store.run('making', () => socket())
    const dialing = store.run('making', () => socket({ reconnectMin: 1 }))
    const heard = store.run('listening to events', () => record(listening))
    const told = store.run('listening to events', () => record(dialing))
    const listener = await store.run('listen', () =>
      listening.listen(freeUrl(transport))
    )
    const dialer = await store.run('dial', () => dialing.dial(listener.url))
    if (listening.peer === undefined) await once(listening, 'connect')

    const stranger = socket()
    const rejected = once(listening, 'reject')
    await store.run('another dial', () => stranger.dial(listener.url))
    await rejected
    await stranger.close()

    const gone = once(listening, 'disconnect')
    await store.run('close the dialer', () => dialer.close())
    await gone
    await store.run('close', () => dialing.close())
    await store.run('close', () => listening.close())
    expect(heard).toEqual([
      'connect in listen',
      'reject in listen',
      'disconnect in listen',
      'close in close'
    ])
    expect(told).toEqual([
      'connect in dial',
      'disconnect in dial',
      'close in close'
    ])
  })

  test('of a dialer that dials again are told in that of its dial', async () => {
    const dialing = socket({ reconnectMin: 1, reconnectMax: 1 })
    const notes = record(dialing)
    const first = socket()
    const { url } = await first.listen(freeUrl(transport))
    await store.run('dial', () => dialing.dial(url, { retry: true }))
    if (dialing.peer === undefined) await once(dialing, 'connect')
    const gone = once(dialing, 'disconnect')
    await first.close()
    await gone
    const again = once(dialing, 'connect')
    const second = socket()
    await second.listen(url)
    await again
    expect(notes).toEqual([
      'connect in dial',
      'disconnect in dial',
      'connect in dial'
    ])
  })

  test('of another protocol are told in the context of listen()', async () => {
    const sock = socket()
    const notes = record(sock)
    const { url } = await store.run('listen', () =>
      sock.listen(freeUrl(transport))
    )
    const rejected = once(sock, 'reject')
    const peer = await RawPeer.connect(url)
    await peer.write(PAIR1_HEADER)
    await rejected
    expect(notes).toEqual(['reject in listen'])
  })

  test('of several endpoints are told in the context of each', async () => {
    const CALLS = ['one', 'two', 'three']
    for (let round = 0; round < 5; round++) {
      const free = await Promise.all(CALLS.map(() => unusedUrl(transport)))
      const dialers = free.map((url) => {
        const dialer = socket({ reconnectMin: 1, reconnectMax: 1 })
        void dialer.dial(url, { retry: true })
        return dialer
      })
      const sock = socket()
      const seen: [Peer, string | undefined][] = []
      const all = new Promise<void>((resolve) => {
        const see = (peer: Peer) => {
          seen.push([peer, store.getStore()])
          if (new Set(seen.map(([, call]) => call)).size === CALLS.length) {
            resolve()
          }
        }
        sock.on('connect', see)
        sock.on('reject', see)
      })
      const listeners = CALLS.map((call, i) =>
        store.run(call, () => sock.listen(free[i]!))
      )
      await all
      for (const [peer, call] of seen) {
        if (peer.transport === 'tcp') continue
        expect(call).toBe(CALLS[free.indexOf(peer.url)])
      }
      await Promise.all(listeners)
      await Promise.all(dialers.map((dialer) => dialer.close()))
      await sock.close()
    }
  })

  // The one that dials is there before anybody listens, and may be told before
  // any of the calls has returned.
  test('of one of several endpoints are told in its context', async () => {
    const CALLS = ['one', 'two', 'three']
    for (let round = 0; round < 60; round++) {
      const free = await Promise.all(CALLS.map(() => unusedUrl(transport)))
      const dialer = socket({ reconnectMin: 1, reconnectMax: 1 })
      await dialer.dial(free[2]!, { retry: true })
      const sock = socket()
      const told = new Promise((resolve) => {
        sock.on('connect', () => resolve(store.getStore()))
      })
      const listeners = CALLS.map((call, i) =>
        store.run(call, () => sock.listen(free[i]!))
      )
      expect(await told).toBe('three')
      await Promise.all(listeners)
      await dialer.close()
      await sock.close()
    }
  })
})

test('promises, loops and streams have the context of their calls', async () => {
  const { listening, dialing } = await connectedPair('ipc')
  const notes: (string | undefined)[] = []
  const reading = store.run('recv', async () => {
    await listening.recv()
    notes.push(store.getStore())
  })
  await dialing.send('1')
  await reading
  const looping = store.run('loop', async () => {
    for await (const message of listening) {
      notes.push(store.getStore())
      if (String(message) === '3') break
    }
  })
  await dialing.send('2')
  await dialing.send('3')
  await looping
  const timed = store.run('time limit', async () => {
    await listening.recv({ timeout: 1 }).catch(() => {})
    notes.push(store.getStore())
  })
  await timed
  expect(notes).toEqual(['recv', 'loop', 'loop', 'time limit'])
})

/** Runs it in a process of its own, which must end well; returns what it wrote. */
async function alone(
  main: (load: NodeJS.Require, dist: string, url: string) => Promise<void>,
  url: string
): Promise<string> {
  buildIfStale()
  const args = [DIST, url].map((arg) => JSON.stringify(arg)).join()
  const source = `(${String(main)})(require, ${args})`
  const run = new Run(process.execPath, ['--expose-gc', '-e', source])
  const exit = await ending(run)
  expect([exit, run.lines]).toEqual([{ code: 0, signal: null }, []])
  return run.stdout
}

describe.each(transports)('a context over %s', (transport) => {
  test('of who loads the package is not that of events, nor kept', async () => {
    await alone(async (load, dist, url) => {
      const { AsyncLocalStorage: Storage } = load(
        'node:async_hooks'
      ) as typeof import('node:async_hooks')
      const { once } = load('node:events') as typeof import('node:events')
      const als = new Storage()
      const lazily = (): WeakRef<object> => {
        const request = { of: 'who loads it' }
        als.run(request, () => void load(dist))
        return new WeakRef(request)
      }
      const request = lazily()
      const { PairSocket } = load(dist) as typeof import('../lib')
      const stores: unknown[] = []
      const listening = new PairSocket()
      const dialing = new PairSocket()
      for (const sock of [listening, dialing]) {
        for (const event of ['connect', 'disconnect', 'close'] as const) {
          sock.on(event, () => stores.push(als.getStore()))
        }
      }
      const listener = await listening.listen(url)
      await dialing.dial(listener.url)
      await dialing.send('message')
      await listening.recv()
      await dialing.recv({ timeout: 1 }).catch(() => {})
      // Everything is still there, and at work.
      while (request.deref() !== undefined) {
        await new Promise((resolve) => setImmediate(resolve))
        global.gc!()
      }
      const gone = once(listening, 'disconnect')
      await dialing.close()
      await gone
      await listening.close()
      if (stores.length !== 6 || stores.some((each) => each !== undefined)) {
        throw new Error(`told in ${JSON.stringify(stores)}`)
      }
    }, freeUrl(transport))
  })

  test('of an endpoint is kept no longer than the endpoint', async () => {
    await alone(async (load, dist, url) => {
      const { AsyncLocalStorage: Storage } = load(
        'node:async_hooks'
      ) as typeof import('node:async_hooks')
      const { once } = load('node:events') as typeof import('node:events')
      const { PairSocket } = load(dist) as typeof import('../lib')
      const als = new Storage()
      const collected = async (ref: WeakRef<object>) => {
        while (ref.deref() !== undefined) {
          await new Promise((resolve) => setImmediate(resolve))
          global.gc!()
        }
      }
      // A promise has the context that it was made in, too: none may be left.
      const begin = <T>(
        call: () => Promise<T>
      ): [WeakRef<object>, Promise<T>] => {
        const request = { of: 'a call' }
        return [new WeakRef(request), als.run(request, call)]
      }
      const during = async <T>(
        call: () => Promise<T>
      ): Promise<{ request: WeakRef<object>; result?: T }> => {
        const [request, promise] = begin(call)
        return { request, result: await promise }
      }
      const listening = new PairSocket()
      const dialing = new PairSocket()
      const connected = once(listening, 'connect')
      const listen = await during(() => listening.listen(url))
      const dial = await during(() => dialing.dial(listen.result!.url))
      await connected

      const failed = await during(() =>
        dialing.dial('ipc:///nowhere.ipc').catch(() => {})
      )
      await collected(failed.request)
      if ([listen, dial].some(({ request }) => request.deref() === undefined)) {
        throw new Error('it is told in another context')
      }
      const gone = once(listening, 'disconnect')
      await dial.result!.close()
      await gone
      delete dial.result
      await collected(dial.request)
      await listen.result!.close()
      delete listen.result
      await collected(listen.request)

      // With the socket, which is still there.
      const again = await during(() => listening.listen(url))
      await listening.close()
      delete again.result
      await collected(again.request)
      await dialing.close()
      if (!listening.closed) throw new Error('it is open')
    }, freeUrl(transport))
  })
})

describe('jest --detectOpenHandles', () => {
  const detect = (body: string) =>
    childJest(
      `const { PairSocket } = require(${JSON.stringify(DIST)})
      test('a test', async () => {${body}})`,
      {},
      '--detectOpenHandles'
    )

  test('reports nothing of who only loads the package', async () => {
    const report = await detect('new PairSocket().on("connect", () => {})')
    expect(report).not.toMatch(/open handle|nng-pair/)
  })

  test('reports nothing of sockets that are closed', async () => {
    const report = await detect(`
      const listening = new PairSocket()
      const dialing = new PairSocket()
      const { url } = await listening.listen('tcp://127.0.0.1:0')
      await dialing.dial(url)
      await dialing.send('message')
      await listening.recv()
      await dialing.recv({ timeout: 1 }).catch(() => {})
      await dialing.close()
      await listening.close()`)
    expect(report).not.toMatch(/open handle|nng-pair/)
  })

  test('reports nothing of a socket that lets the process go', async () => {
    const report = await detect(`
      const sock = new PairSocket()
      await sock.unref().listen('tcp://127.0.0.1:0')`)
    expect(report).not.toMatch(/open handle|nng-pair/)
  })
})
