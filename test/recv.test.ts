import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../lib'
import { settle } from './support/full'
import { RawPeer, frame } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i))
}

/** Has `count` numbered messages wait in the inbox of `receiver`. */
async function ready(
  sender: PairSocket,
  receiver: PairSocket,
  count: number
): Promise<void> {
  await sender.sendMany(numbers(count))
  await until(() => receiver.stats().unreadMessages === count)
}

describe.each(transports)('recv over %s', (transport) => {
  test.each([0, 1, 128])(
    'recvBuffer %d: exactly so many are read ahead',
    async (recvBuffer) => {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer }
      })
      await dialing.sendMany(numbers(recvBuffer + 50))
      await until(() => listening.stats().unreadMessages === recvBuffer)
      await settle(transport)
      expect(listening.stats()).toMatchObject({
        messagesReceived: recvBuffer,
        unreadMessages: recvBuffer
      })
      const got: string[] = []
      while (got.length < recvBuffer + 50) {
        got.push(String(await listening.recv()))
        const { unreadMessages, messagesReceived } = listening.stats()
        expect(unreadMessages).toBeLessThanOrEqual(recvBuffer)
        expect(messagesReceived).toBe(got.length + unreadMessages)
      }
      expect(got).toEqual(numbers(recvBuffer + 50))
    }
  )

  test.each([0, 1, 128])(
    'recvBuffer %d: a message that found no room outlives its connection, and holds nobody up',
    async (recvBuffer) => {
      const large = Buffer.alloc(10_000, 'x')
      const listening = socket({ recvBuffer })
      const listener = await listening.listen(freeUrl(transport))
      const dialing = socket()
      const connected = once(listening, 'connect')
      await dialing.dial(listener.url)
      await connected
      await dialing.sendMany(Array<Buffer>(recvBuffer + 10).fill(large))
      await until(() => listening.stats().unreadMessages === recvBuffer)
      // One more has arrived, and finds no room; others may have.
      await settle(transport)
      const gone = once(listening, 'disconnect')
      await listener.close()
      await gone
      const { url } = await listening.listen(freeUrl(transport))
      const sender = socket()
      await sender.dial(url)
      await sender.sendMany(numbers(300))
      let arrived = 0
      let message = await listening.recv()
      for (; message.equals(large); message = await listening.recv()) arrived++
      expect(arrived).toBeGreaterThan(recvBuffer)
      for (const text of numbers(300)) {
        expect(String(message)).toBe(text)
        if (text !== '299') message = await listening.recv()
      }
    }
  )

  test.each([
    ['small', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['large', [5000, 5000, 4097, 5000]],
    ['all kinds', [0, 5000, 0, 4096, 4097, 0, 10_000, 0]]
  ])(
    'what was read when the connection is closed here is not lost: %s',
    async (_, sizes) => {
      const messages = sizes.map((size, i) => `${i}`.padEnd(size, '.'))
      const listening = socket({ recvBuffer: 1 })
      const listener = await listening.listen(freeUrl(transport))
      const raw = await RawPeer.shake(listener.url)
      // All at once: it is one read.
      await raw.write(...messages.map((text) => frame(transport, text)))
      await until(() => listening.stats().unreadMessages === 1)
      const gone = once(listening, 'disconnect')
      await listener.close()
      await gone
      for (const text of messages) {
        expect(String(await listening.recv())).toBe(text)
      }
      expect(listening.stats().messagesReceived).toBe(messages.length)
    }
  )

  test('thousands of calls are served first come, first served', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const got: string[] = []
    const calls = numbers(3000).map(() =>
      listening.recv().then((message) => got.push(String(message)))
    )
    await dialing.sendMany(numbers(3000))
    await Promise.all(calls)
    expect(got).toEqual(numbers(3000))
  })

  test('messages that are ready are handed over in order as well', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 2000 }
    })
    await ready(dialing, listening, 2000)
    const got: string[] = []
    const calls = numbers(2050).map(() =>
      listening.recv().then((message) => got.push(String(message)))
    )
    await dialing.sendMany(numbers(2050).slice(2000))
    await Promise.all(calls)
    expect(got).toEqual(numbers(2050))
  })

  test('recvMany takes what is ready, at most so many', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const first = listening.recvMany(10)
    const second = listening.recv()
    await dialing.send('0')
    expect((await first).map(String)).toEqual(['0'])
    await dialing.send('1')
    expect(String(await second)).toBe('1')

    await ready(dialing, listening, 100)
    const got = [
      await listening.recvMany(30),
      await listening.recvMany(1),
      await listening.recvMany(1000)
    ]
    expect(got.map((list) => list.length)).toEqual([30, 1, 69])
    expect(got.flat().map(String)).toEqual(numbers(100))
    await expect(listening.recvMany(5, { timeout: 0 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      syscall: 'recv'
    })
  })

  test('tryRecv does not overtake a call that waits', async () => {
    const listening = socket({ recvBuffer: 2000 })
    const { url } = await listening.listen(freeUrl(transport))
    const raw = await RawPeer.shake(url)
    const calls = numbers(1100).map(() => listening.recv())
    // All at once: it is one read.
    await raw.write(...numbers(1200).map((text) => frame(transport, text)))
    // Of the calls that wait, 1024 are served, and the others in a later turn.
    expect(String(await calls[1023])).toBe('1023')
    expect(listening.stats().unreadMessages).toBe(1200 - 1024)
    expect(listening.tryRecv()).toBeUndefined()
    expect(String(await calls[1024])).toBe('1024')
    expect(String(await calls[1099])).toBe('1099')
    expect(String(listening.tryRecv())).toBe('1100')
  })

  test('"only if ready" finds the messages, with recvBuffer 0 too', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0, recvTimeout: 0 }
    })
    await expect(listening.recv()).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    await dialing.sendMany(['one', 'two', 'three', 'four'])
    let message: Buffer | undefined
    await until(() => (message = listening.tryRecv()) !== undefined)
    expect(String(message)).toBe('one')
    await until(() => (message = listening.tryRecv()) !== undefined)
    expect(String(message)).toBe('two')
    const got = await (async () => {
      for (;;) {
        try {
          return await listening.recv()
        } catch (error) {
          expect(error).toMatchObject({ code: 'ETIMEDOUT' })
          await turn()
        }
      }
    })()
    expect(String(got)).toBe('three')
    expect(String(await listening.recv({ timeout: 10_000 }))).toBe('four')
    expect(listening.stats().messagesReceived).toBe(4)
  })

  test('what a dead peer sent can be received, until close', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const gone = once(listening, 'disconnect')
    await dialing.sendMany(numbers(100))
    await dialing.close()
    await gone
    expect(listening.peer).toBeUndefined()
    for (const n of numbers(99)) {
      expect(String(await listening.recv())).toBe(n)
    }
    await listening.close()
    expect(listening.tryRecv()).toBeUndefined()
    await expect(listening.recv()).rejects.toMatchObject({ code: 'ECLOSED' })
  })

  test('small messages do not share what can be written to', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await ready(dialing, listening, 50)
    const messages = await listening.recvMany(50)
    for (const message of messages) {
      expect(Buffer.isBuffer(message)).toBe(true)
      message.fill(0x78)
      expect(messages.filter((m) => m[0] === 0x78).length).toBe(
        messages.indexOf(message) + 1
      )
    }
  })

  test('a loop that never has to wait lets others run', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 8192 },
      dialing: { sendBuffer: 8192 }
    })
    let turns = 0
    const looping = new AbortController()
    const counting = (async () => {
      for (; !looping.signal.aborted; turns++) await turn()
    })()
    for (let i = 0; i < 8000; i++) await dialing.send('x')
    const sendTurns = turns
    await until(() => listening.stats().unreadMessages === 8000)
    turns = 0
    for (let i = 0; i < 8000; i++) await listening.recv()
    looping.abort()
    await counting
    // At least one in 1024 messages.
    expect(sendTurns).toBeGreaterThanOrEqual(7)
    expect(turns).toBeGreaterThanOrEqual(7)
  })

  describe('for await', () => {
    test('leaving the loop does not close the socket', async () => {
      const { listening, dialing } = await connectedPair(transport)
      await dialing.sendMany(['one', 'two'])
      for await (const message of listening) {
        expect(String(message)).toBe('one')
        break
      }
      expect(listening.closed).toBe(false)
      expect(String(await listening.recv())).toBe('two')
    })

    test('two loops share the messages, each in order', async () => {
      const { listening, dialing } = await connectedPair(transport)
      const shares: number[][] = [[], []]
      const loops = shares.map(async (share) => {
        for await (const message of listening) {
          share.push(Number(message))
          if (
            share.length +
              (shares[0] === share ? shares[1]! : shares[0]!).length ===
            1000
          ) {
            void listening.close()
          }
        }
      })
      await dialing.sendMany(numbers(1000))
      await Promise.all(loops)
      for (const share of shares) {
        expect(share.length).toBeGreaterThan(0)
        expect(share).toEqual(share.slice().sort((a, b) => a - b))
      }
      expect(
        shares
          .flat()
          .sort((a, b) => a - b)
          .map(String)
      ).toEqual(numbers(1000))
    })

    test('recvTimeout applies to each message', async () => {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvTimeout: 50 }
      })
      await dialing.sendMany(['one', 'two'])
      const got: string[] = []
      await expect(
        (async () => {
          for await (const message of listening) got.push(String(message))
        })()
      ).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'recv' })
      expect(got).toEqual(['one', 'two'])
      expect(listening.closed).toBe(false)
    })
  })
})

// More than the kernel takes for an ipc socket: what was read is what was sent.
test.each([0, 1, 5])(
  'recvBuffer %d: the connection holds one message more',
  async (recvBuffer) => {
    const { listening, dialing } = await connectedPair('ipc', {
      listening: { recvBuffer }
    })
    const large = Buffer.alloc(2 ** 20)
    await dialing.sendMany(Array.from({ length: 10 }, () => large))
    await until(() => dialing.stats().messagesSent === recvBuffer + 1)
    await settle('ipc')
    expect(dialing.stats().messagesSent).toBe(recvBuffer + 1)
    expect(listening.stats().messagesReceived).toBe(recvBuffer)
    await listening.recv()
    await until(() => dialing.stats().messagesSent === recvBuffer + 2)
    await settle('ipc')
    expect(dialing.stats().messagesSent).toBe(recvBuffer + 2)
  }
)

describe('recv on its own', () => {
  test('the socket’s deadline, the call’s, and none', async () => {
    const sock = socket({ recvTimeout: 10 })
    const timedOut = { code: 'ETIMEDOUT', syscall: 'recv' }
    await expect(sock.recv()).rejects.toMatchObject(timedOut)
    await expect(sock.recv({ timeout: 0 })).rejects.toMatchObject(timedOut)
    await expect(sock.recvMany(2)).rejects.toMatchObject(timedOut)
    const forever = sock.recv({ timeout: Infinity })
    const late = sock.recv({ timeout: 30 })
    await expect(sock.recv({ timeout: undefined })).rejects.toMatchObject(
      timedOut
    )
    await expect(late).rejects.toMatchObject(timedOut)
    const closed = expect(forever).rejects.toMatchObject({ code: 'ECLOSED' })
    await sock.close()
    await closed
  })

  test('an iterator of a closed socket ends, however it is asked', async () => {
    const sock = socket()
    const iterator = sock[Symbol.asyncIterator]()
    const waiting = iterator.next()
    await sock.close()
    expect(await waiting).toEqual({ value: undefined, done: true })
    expect(await iterator.next()).toEqual({ value: undefined, done: true })
    for await (const _ of sock) throw new Error(`not reached: ${String(_)}`)
  })

  test.each([
    [0, 'RangeError', 'ERR_OUT_OF_RANGE'],
    [-1, 'RangeError', 'ERR_OUT_OF_RANGE'],
    [1.5, 'RangeError', 'ERR_OUT_OF_RANGE'],
    [NaN, 'RangeError', 'ERR_OUT_OF_RANGE'],
    ['5', 'TypeError', 'ERR_INVALID_ARG_TYPE'],
    [undefined, 'TypeError', 'ERR_INVALID_ARG_TYPE'],
    [Object.create(null), 'TypeError', 'ERR_INVALID_ARG_TYPE']
  ])('recvMany(%p) is a %s', async (max, name, code) => {
    await expect(socket().recvMany(max as number)).rejects.toMatchObject({
      name,
      code
    })
  })
})
