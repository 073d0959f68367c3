import { AsyncLocalStorage } from 'node:async_hooks'
import { getEventListeners, on, once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../lib'
import { ending, inProcess } from './support/childProcess'
import { RawPeer, frame } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i))

/** Collects what comes, and tells when so many have come. */
function collect(sock: PairSocket, count: number) {
  const list: string[] = []
  const all = new Promise<void>((resolve) => {
    sock.on('message', (message) => {
      if (list.push(String(message)) === count) resolve()
    })
  })
  return { list, all }
}

/** Both are connected, and so many messages are there to be received. */
async function filledPair(transport: (typeof transports)[number], n: number) {
  const pair = await connectedPair(transport, {
    listening: { recvBuffer: 8192 }
  })
  await pair.dialing.sendMany(numbers(0, n))
  await until(() => pair.listening.stats().unreadMessages === n)
  return pair
}

describe.each(transports)("on('message') over %s", (transport) => {
  test('gives every message of a flood, in order', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const expected = numbers(0, 50_000)
    const { list, all } = collect(listening, expected.length)
    await dialing.sendMany(expected)
    await all
    expect(list).toEqual(expected)
  })

  test('gives large and empty messages', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const sizes = [0, 1, 4096, 4097, 2 ** 20, 0, 10]
    const came: number[] = []
    const all = new Promise<void>((resolve) => {
      listening.on('message', (message) => {
        expect(Buffer.isBuffer(message)).toBe(true)
        if (came.push(message.length) === sizes.length) resolve()
      })
    })
    for (const size of sizes) await dialing.send(Buffer.alloc(size))
    await all
    expect(came).toEqual(sizes)
  })

  test('gives what came before there was a listener, not at once', async () => {
    const { listening } = await filledPair(transport, 3)
    const { list, all } = collect(listening, 3)
    expect(list).toEqual([])
    await all
    expect(list).toEqual(['0', '1', '2'])
  })

  test('leaves the event loop its turns', async () => {
    const { listening } = await filledPair(transport, 8192)
    const { list, all } = collect(listening, 8192)
    let pending = true
    void all.then(() => (pending = false))
    let most = 0
    while (pending) {
      const before = list.length
      await turn()
      most = Math.max(most, list.length - before)
    }
    // By a wake-up and by what is left of the one before.
    expect(most).toBeLessThanOrEqual(2 * 1024)
    expect(list).toHaveLength(8192)
  })

  test('leaves the event loop its turns with large messages', async () => {
    const { listening, dialing } = await connectedPair(transport)
    for (let i = 0; i < 32; i++) await dialing.send(Buffer.alloc(2 ** 20))
    await until(() => listening.stats().unreadMessages === 32)
    const { list, all } = collect(listening, 32)
    let pending = true
    void all.then(() => (pending = false))
    let most = 0
    while (pending) {
      const before = list.length
      await turn()
      most = Math.max(most, list.length - before)
    }
    expect(most).toBeLessThanOrEqual(8)
  })

  test('comes after a recv() that waits', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const waiting = [listening.recv(), listening.recv()]
    const { list, all } = collect(listening, 2)
    await dialing.sendMany(numbers(0, 4))
    expect((await Promise.all(waiting)).map(String)).toEqual(['0', '1'])
    await all
    expect(list).toEqual(['2', '3'])
  })

  test('shares with recv(), recvMany(), tryRecv() and for await that it calls', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const given: string[] = []
    const asked: string[] = []
    const calls: Promise<void>[] = []
    const take = (messages: Buffer | Buffer[]) => {
      asked.push(...[messages].flat().map(String))
    }
    const ask = (call: Promise<Buffer | Buffer[]>) => {
      calls.push(call.then(take))
    }
    const iterator = listening[Symbol.asyncIterator]()
    let told = 0
    listening.on('message', (message) => {
      given.push(String(message))
      switch (told++ % 4) {
        case 0:
          ask(listening.recv())
          break
        case 1:
          ask(listening.recvMany(2))
          break
        case 2:
          take(listening.tryRecv() ?? [])
          break
        case 3:
          ask(iterator.next().then((next) => (next.done ? [] : next.value)))
      }
    })
    const expected = numbers(0, 20_000)
    await dialing.sendMany(expected)
    await until(() => given.length + asked.length === expected.length)
    // Calls of the last listeners may have found nothing, and end with the socket.
    const ends = Promise.allSettled(calls)
    await listening.close()
    for (const end of await ends) {
      if (end.status === 'rejected') {
        expect(end.reason).toMatchObject({ code: 'ECLOSED' })
      }
    }
    const sorted = (list: string[]) => [...list].sort((a, b) => +a - +b)
    expect(sorted(given)).toEqual(given)
    expect(sorted([...given, ...asked])).toEqual(expected)
    expect(asked.length).toBeGreaterThan(1000)
  })

  test('a thousand calls that wait do not hold it up afterwards', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const calls = Array.from({ length: 3000 }, () => listening.recv())
    const { list, all } = collect(listening, 1000)
    await dialing.sendMany(numbers(0, 4000))
    expect((await Promise.all(calls)).map(String)).toEqual(numbers(0, 3000))
    await all
    expect(list).toEqual(numbers(3000, 4000))
  })

  test('once takes one message, and the next one stays', async () => {
    const { listening } = await filledPair(transport, 5)
    const given: string[] = []
    await new Promise<void>((resolve) =>
      listening.once('message', (message) => {
        given.push(String(message))
        resolve()
      })
    )
    expect(given).toEqual(['0'])
    expect(listening.stats().unreadMessages).toBe(4)
    expect(String((await once(listening, 'message'))[0])).toBe('1')
    const first = new Promise((resolve) =>
      listening.prependOnceListener('message', (message) =>
        resolve(String(message))
      )
    )
    expect(await first).toBe('2')
    expect((await listening.recvMany(5)).map(String)).toEqual(['3', '4'])
  })

  test('a loop of once() misses none', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const expected = numbers(0, 500)
    const sending = dialing.sendMany(expected)
    const list: string[] = []
    while (list.length < expected.length) {
      const [message] = (await once(listening, 'message')) as [Buffer]
      list.push(String(message))
    }
    await sending
    expect(list).toEqual(expected)
  })

  test('events.on() gives all of them', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const expected = numbers(0, 3000)
    const came = on(listening, 'message')
    await dialing.sendMany(expected)
    const list: string[] = []
    for await (const [message] of came) {
      list.push(String(message))
      if (list.length === expected.length) break
    }
    expect(list).toEqual(expected)
    expect(listening.listenerCount('message')).toBe(0)
  })

  test.each(['off', 'removeListener', 'removeAllListeners'] as const)(
    '%s in the midst of a batch leaves the rest',
    async (remove) => {
      const { listening } = await filledPair(transport, 100)
      const list: string[] = []
      await new Promise<void>((resolve) => {
        const listener = (message: Buffer) => {
          if (list.push(String(message)) < 10) return
          if (remove === 'removeAllListeners') listening[remove]('message')
          else listening[remove]('message', listener)
          resolve()
        }
        listening.addListener('message', listener)
      })
      await turn()
      expect(list).toEqual(numbers(0, 10))
      expect(String(await listening.recv())).toBe('10')
      // Another listener goes on where that one was.
      const rest = collect(listening, 89)
      await rest.all
      expect(rest.list).toEqual(numbers(11, 100))
    }
  )

  test('a listener that leaves for good leaves what comes later', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const never = jest.fn()
    listening.prependListener('message', never)
    listening.off('message', never)
    await dialing.sendMany(['a', 'b'])
    expect(String(await listening.recv())).toBe('a')
    expect(String(await listening.recv())).toBe('b')
    expect(never).not.toHaveBeenCalled()
  })

  test('disconnect comes after the messages, and connect before', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 8192 }
    })
    const events: string[] = []
    listening.on('connect', () => events.push('connect'))
    listening.on('disconnect', () => events.push('disconnect'))
    await dialing.sendMany(numbers(0, 5000))
    await until(() => listening.stats().unreadMessages === 5000)
    // It waits for the other side to read nothing more.
    const gone = once(listening, 'disconnect')
    listening.on('message', (message) => events.push(String(message)))
    await dialing.close()
    await gone
    expect(events).toEqual([...numbers(0, 5000), 'disconnect'])
  })

  test('connect comes first when the listener was there before', async () => {
    const listening = socket()
    const dialing = socket()
    const events: string[] = []
    listening.on('connect', () => events.push('connect'))
    const all = new Promise<void>((resolve) =>
      listening.on('message', (message) => {
        events.push(String(message))
        if (events.length > 3) resolve()
      })
    )
    await dialing.sendMany(['0', '1', '2'])
    const { url } = await listening.listen(freeUrl(transport))
    await dialing.dial(url)
    await all
    expect(events).toEqual(['connect', '0', '1', '2'])
  })

  test('the end of a connection comes behind its messages, and the next peer before its own', async () => {
    const sock = socket({ recvBuffer: 8192 })
    const { url } = await sock.listen(freeUrl(transport))
    const log: string[] = []
    sock
      .on('connect', () => log.push('connect'))
      .on('disconnect', () => log.push('disconnect'))
      .on('message', (message) => {
        // Of the peer that has sent it.
        expect(sock.peer).toBeDefined()
        log.push(String(message))
      })
    const count = 5000
    for (let round = 0; round < 4; round++) {
      const raw = await RawPeer.shake(url)
      const frames = numbers(round * count, (round + 1) * count).map((text) =>
        frame(transport, text)
      )
      await raw.write(Buffer.concat(frames))
      await raw.finish()
      // It has read everything, and told a part of it: the next one comes.
      await raw.rest()
    }
    await until(() => log.length === 4 * (count + 2))
    const expected = [0, 1, 2, 3].flatMap((round) => [
      'connect',
      ...numbers(round * count, (round + 1) * count),
      'disconnect'
    ])
    expect(log).toEqual(expected)
  })

  // With an engine on its own thread, all of this has happened when the listener
  // is done.
  test('a peer that went and the next one are told apart by a listener that was busy', async () => {
    const sock = socket({ recvBuffer: 8192 })
    const { url } = await sock.listen(freeUrl(transport))
    const log: string[] = []
    const all = new Promise<void>((resolve) => {
      sock
        .on('connect', () => log.push('connect'))
        .on('disconnect', () => log.push('disconnect'))
        .on('message', (message) => {
          if (log.push(String(message)) === 2) {
            const never = new Int32Array(new SharedArrayBuffer(4))
            Atomics.wait(never, 0, 0, 500)
          }
          if (String(message) === 'next') resolve()
        })
    })
    const peers = inProcess(async ({ lib, once }, url) => {
      const first = new lib.PairSocket()
      await first.dial(url)
      await first.sendMany(Array.from({ length: 3000 }, (_, i) => String(i)))
      await first.close()
      const next = new lib.PairSocket({ reconnectMin: 1, reconnectMax: 1 })
      await next.dial(url)
      await next.send('next')
      await once(next, 'disconnect')
      await next.close()
    }, url)
    await all
    await sock.close()
    expect(await ending(peers)).toEqual({ code: 0, signal: null })
    expect(log.slice(0, -1)).toEqual([
      'connect',
      ...numbers(0, 3000),
      'disconnect',
      'connect',
      'next'
    ])
  })

  test('the end of a connection is told when nobody listens any more', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 8192 }
    })
    await dialing.sendMany(numbers(0, 5000))
    await until(() => listening.stats().unreadMessages === 5000)
    const gone = once(listening, 'disconnect')
    const texts: string[] = []
    listening.on('message', (message) => {
      if (texts.push(String(message)) < 1500) return
      listening.removeAllListeners('message')
    })
    await dialing.close()
    await gone
    expect(texts).toEqual(numbers(0, 1500))
    expect(String(await listening.recv())).toBe('1500')
  })

  test('close() ends it, also in the midst of a batch', async () => {
    const { listening } = await filledPair(transport, 3000)
    const list: string[] = []
    listening.on('message', (message) => {
      if (list.push(String(message)) === 10) void listening.close()
    })
    await once(listening, 'close')
    await turn()
    expect(list).toEqual(numbers(0, 10))
    // Nothing happens with a socket that is closed.
    listening.on('message', () => list.push('more'))
    await turn()
    expect(list).toHaveLength(10)
  })

  test('runs in the async context of the call that made the endpoint', async () => {
    const context = new AsyncLocalStorage<string>()
    const listening = socket()
    const dialing = socket()
    const { url } = await context.run('listen', () =>
      listening.listen(freeUrl(transport))
    )
    await dialing.dial(url)
    const seen = new Promise((resolve) =>
      context.run('listener', () =>
        listening.on('message', () => resolve(context.getStore()))
      )
    )
    await context.run('send', () => dialing.send('x'))
    expect(await seen).toBe('listen')
  })

  test('a listener that throws is an uncaught exception, and no message is lost', async () => {
    const run = inProcess(
      async ({ lib, say }, ...urls) => {
        const caught: string[] = []
        process.on('uncaughtException', (error) => caught.push(error.message))
        const pairs = await Promise.all(
          urls.map(async (at) => {
            const listening = new lib.PairSocket()
            const dialing = new lib.PairSocket()
            const { url: bound } = await listening.listen(at)
            await dialing.dial(bound)
            return { listening, dialing }
          })
        )
        const seen: string[] = []
        const other: string[] = []
        const done = Promise.all(
          pairs.map(
            ({ listening }, i) =>
              new Promise<void>((resolve) =>
                listening.on('message', (message) => {
                  const list = i === 0 ? seen : other
                  if (list.push(String(message)) === 2000) resolve()
                  if (i === 0 && list.length % 3 === 0) {
                    throw new Error(`at ${list.length}`)
                  }
                })
              )
          )
        )
        const list = Array.from({ length: 2000 }, (_, i) => String(i))
        await Promise.all(pairs.map(({ dialing }) => dialing.sendMany(list)))
        await done
        for (const { listening, dialing } of pairs) {
          await dialing.close({ timeout: 0 })
          await listening.close({ timeout: 0 })
        }
        say(
          JSON.stringify([
            String(seen) === String(list) && String(other) === String(list),
            caught.length,
            caught[0]
          ])
        )
      },
      freeUrl(transport),
      freeUrl(transport)
    )
    await run.line(JSON.stringify([true, 666, 'at 3']))
    expect((await ending(run)).code).toBe(0)
  })

  test('a listener that throws ends a process that does not listen to that', async () => {
    const run = inProcess(async ({ lib }, url) => {
      const listening = new lib.PairSocket()
      const dialing = new lib.PairSocket()
      const { url: bound } = await listening.listen(url)
      await dialing.dial(bound)
      listening.on('message', () => {
        throw new Error('thrown by a listener')
      })
      await dialing.sendMany(['x', 'y'])
    }, freeUrl(transport))
    const { code } = await ending(run)
    expect(code).toBe(1)
    expect(run.stamped.join('\n')).toContain('thrown by a listener')
  })
})

test('an idle socket has no listener and no wrapper that anybody sees', () => {
  const sock = socket()
  expect(sock.eventNames()).toEqual([])
  const listener = () => {}
  expect(sock.on('message', listener)).toBe(sock)
  expect(sock.eventNames()).toEqual(['message'])
  expect(getEventListeners(sock, 'message')).toEqual([listener])
  expect(sock.on.name).toBe('on')
})

test('the methods refuse what those of an EventEmitter refuse', () => {
  const sock = socket()
  expect(() => sock.on('message', 'no function' as never)).toThrow(
    'must be of type function'
  )
  expect(sock.listenerCount('message')).toBe(0)
})

test('it keeps no process alive', async () => {
  const run = inProcess(({ lib }) => {
    new lib.PairSocket().on('message', () => {})
  })
  expect(await ending(run)).toEqual({ code: 0, signal: null })
})
