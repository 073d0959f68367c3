// The event `message`: messages flow to whoever listens for them.

import { AsyncLocalStorage } from 'node:async_hooks'
import { on, once } from 'node:events'
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

function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => String(from + i))
}

/** What its listener for messages is told, from now on. */
function told(sock: PairSocket): string[] {
  const texts: string[] = []
  sock.on('message', (message) => texts.push(String(message)))
  return texts
}

describe.each(transports)('the event message over %s', (transport) => {
  test('tells every message, in order', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const texts = told(listening)
    const sent = Array.from(
      { length: 5000 },
      (_, i) => `${i} ${'x'.repeat(i % 100 === 0 ? 70_000 : i % 50)}`
    )
    await dialing.sendMany(sent)
    await dialing.send('')
    await until(() => texts.length > sent.length)
    expect(texts).toEqual([...sent, ''])
    expect(listening.stats()).toMatchObject({ unreadMessages: 0 })
  })

  test('tells what was there before anybody listened', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await dialing.sendMany(numbers(100))
    await until(() => listening.stats().unreadMessages > 0)
    const texts = told(listening)
    // Not from within the call.
    expect(texts).toEqual([])
    await until(() => texts.length === 100)
    expect(texts).toEqual(numbers(100))
  })

  test('answers from within a listener', async () => {
    const { listening, dialing } = await connectedPair(transport)
    listening.on('message', (message) => void listening.send(message))
    for (const text of numbers(100)) {
      await dialing.send(text)
      expect(String(await dialing.recv())).toBe(text)
    }
  })

  test.each([
    ['small', 10],
    ['large', 100_000]
  ])('leaves the loop its turns: %s messages', async (_, size) => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 8192 }
    })
    const count = size > 1000 ? 200 : 20_000
    const sent = dialing.sendMany(
      Array.from({ length: count }, () => Buffer.alloc(size))
    )
    let most = 0
    let inTurn = 0
    let total = 0
    let done = false
    listening.on('message', () => {
      total++
      most = Math.max(most, ++inTurn)
    })
    const turns = async () => {
      while (!done) {
        await turn()
        inTurn = 0
      }
    }
    const turning = turns()
    await until(() => total === count)
    done = true
    await turning
    await sent
    expect(most).toBeLessThanOrEqual(size > 1000 ? 42 : 1024)
  })

  test('a recv() that waits comes first', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const texts = told(listening)
    const first = listening.recv()
    const second = listening.recvMany(1)
    await dialing.sendMany(['a', 'b', 'c', 'd'])
    expect(String(await first)).toBe('a')
    expect(String((await second)[0])).toBe('b')
    await until(() => texts.length === 2)
    expect(texts).toEqual(['c', 'd'])
  })

  test('a recv() from within a listener has the next message', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const texts: string[] = []
    listening.on('message', (message) => {
      texts.push(String(message))
      if (texts.length !== 3) return
      void listening.recv().then((next) => texts.push(`next ${String(next)}`))
    })
    await dialing.sendMany(numbers(6))
    await until(() => texts.length === 6)
    expect(texts.filter((text) => !text.startsWith('next'))).toEqual([
      '0',
      '1',
      '2',
      '4',
      '5'
    ])
    expect(texts).toContain('next 3')
  })

  test('once() takes one, and the rest is for others', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await dialing.sendMany(numbers(6))
    await until(() => listening.stats().unreadMessages === 6)
    const [first] = (await once(listening, 'message')) as [Buffer]
    expect(String(first)).toBe('0')
    listening.prependOnceListener('message', (message) => {
      expect(String(message)).toBe('1')
    })
    await until(() => listening.stats().unreadMessages === 4)
    expect(String(await listening.recv())).toBe('2')
    expect(String(listening.tryRecv())).toBe('3')
    for await (const message of listening) {
      expect(String(message)).toBe('4')
      break
    }
    expect((await listening.recvMany(9)).map(String)).toEqual(['5'])
  })

  test.each(['off', 'removeAllListeners'] as const)(
    'stops in the middle with %s, loses nothing, and goes on',
    async (how) => {
      const { listening, dialing } = await connectedPair(transport)
      const sent = dialing.sendMany(numbers(10_000))
      const texts: string[] = []
      const listener = (message: Buffer) => {
        texts.push(String(message))
        if (texts.length % 700 !== 0) return
        if (how === 'off') listening.off('message', listener)
        else listening.removeAllListeners('message')
      }
      while (texts.length < 10_000) {
        listening.on('message', listener)
        await until(
          () =>
            listening.listenerCount('message') === 0 || texts.length === 10_000
        )
        if (texts.length === 10_000) break
        texts.push(String(await listening.recv()))
        for (const message of await listening.recvMany(3)) {
          texts.push(String(message))
        }
      }
      expect(texts).toEqual(numbers(10_000))
      await sent
    }
  )

  test('is for events.on()', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const texts: string[] = []
    const sent = dialing.sendMany(numbers(2000))
    for await (const [message] of on(listening, 'message') as AsyncIterable<
      [Buffer]
    >) {
      if (texts.push(String(message)) === 2000) break
    }
    await sent
    expect(texts).toEqual(numbers(2000))
    expect(listening.listenerCount('message')).toBe(0)
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
      const frames = numbers(count, round * count).map((text) =>
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
      ...numbers(count, round * count),
      'disconnect'
    ])
    expect(log).toEqual(expected)
  })

  test('the end of a connection is told when nobody listens any more', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 8192 }
    })
    await dialing.sendMany(numbers(5000))
    await until(() => listening.stats().unreadMessages === 5000)
    const gone = once(listening, 'disconnect')
    const texts: string[] = []
    listening.on('message', (message) => {
      if (texts.push(String(message)) < 1500) return
      listening.removeAllListeners('message')
    })
    await dialing.close()
    await gone
    expect(texts).toEqual(numbers(1500))
    expect(String(await listening.recv())).toBe('1500')
  })

  test('comes no more once close() is called', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const texts: string[] = []
    let closed: Promise<unknown> | undefined
    listening.on('message', (message) => {
      texts.push(String(message))
      if (texts.length === 10) closed = listening.close({ timeout: 0 })
    })
    await dialing.sendMany(numbers(100))
    await until(() => closed !== undefined)
    await closed
    expect(texts).toEqual(numbers(10))
    // Nor does a late listener hear of anything.
    listening.on('message', () => texts.push('late'))
    await turn()
    expect(texts).toHaveLength(10)
  })

  test('comes in the context of who was the first to listen', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const storage = new AsyncLocalStorage<string>()
    const contexts: (string | undefined)[] = []
    const heard = () => contexts.push(storage.getStore())
    storage.run('first', () => listening.on('message', heard))
    storage.run('second', () => listening.on('message', heard))
    await storage.run('sender', () => dialing.send('x'))
    await until(() => contexts.length === 2)
    expect(contexts).toEqual(['first', 'first'])
  })
})

test('nothing of it shows', () => {
  const sock = socket()
  expect(sock.eventNames()).toEqual([])
  sock.on('message', () => {})
  expect(sock.eventNames()).toEqual(['message'])
})

test('a listener that throws ends the process, if nobody catches that', async () => {
  const run = inProcess(async ({ lib, say }) => {
    const sock = new lib.PairSocket()
    const peer = new lib.PairSocket()
    const { url } = await sock.listen('tcp://127.0.0.1:0')
    await peer.dial(url)
    sock.on('message', () => {
      throw new Error('of the listener')
    })
    await peer.send('x')
    setTimeout(() => say('still there'), 10_000)
  })
  expect(await ending(run)).toEqual({ code: 1, signal: null })
  expect(run.lines.join('\n')).not.toContain('still there')
})

test('a listener that throws keeps no message from being told', async () => {
  const run = inProcess(async ({ lib, say }) => {
    const sock = new lib.PairSocket()
    const peer = new lib.PairSocket()
    const errors: string[] = []
    process.on('uncaughtException', (error) => errors.push(error.message))
    const { url } = await sock.listen('tcp://127.0.0.1:0')
    await peer.dial(url)
    let count = 0
    sock.on('message', (message) => {
      if (++count === 3000) {
        say(`${count} told, ${errors.length} errors, ${errors[299]}`)
        void peer.close()
        void sock.close()
      }
      if (count % 10 === 0) throw new Error(`at ${String(message)}`)
    })
    await peer.sendMany(Array.from({ length: 3000 }, (_, i) => String(i)))
  })
  expect(await ending(run)).toEqual({ code: 0, signal: null })
  expect(run.lines).toEqual(['3000 told, 299 errors, undefined'])
})

test('it keeps no process alive', async () => {
  const run = inProcess(({ lib }) => {
    new lib.PairSocket().on('message', () => {})
  })
  expect(await ending(run)).toEqual({ code: 0, signal: null })
})
