import { randomBytes } from 'node:crypto'
import * as v8 from 'node:v8'
import * as vm from 'node:vm'
import type { MessageData, PairSocket } from '../lib'
import { time } from '../lib/time'
import { fill } from './support/full'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

/** Text of the numbers from..to, as messages or what became of them. */
function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i))
}

async function take(sock: PairSocket, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) texts.push(String(await sock.recv()))
  return texts
}

const bytes = Uint8Array.from({ length: 32 }, (_, i) => 255 - i)
const shared = new Uint8Array(new SharedArrayBuffer(5))
shared.set([1, 2, 3, 4, 5])

const kinds: [name: string, data: MessageData, expected: Uint8Array][] = [
  ['text', 'hello', Buffer.from('hello')],
  ['no text', '', Buffer.alloc(0)],
  ['text with a NUL', 'a\0b\0', Buffer.from('a\0b\0')],
  ['Latin-1', 'é'.repeat(1000), Buffer.from('é'.repeat(1000))],
  ['every plane', 'ä€𝄞', Buffer.from('c3a4e282acf09d849e', 'hex')],
  ['lone surrogates', '\ud800a\udc00', Buffer.from('\ufffda\ufffd')],
  [
    'a cut rope',
    ('x'.repeat(99) + 'é').slice(1),
    Buffer.from('x'.repeat(98) + 'é')
  ],
  ['Buffer', Buffer.from([0, 1, 255]), Buffer.from([0, 1, 255])],
  [
    'slice of the pool',
    Buffer.from('abcdef').subarray(2, 4),
    Buffer.from('cd')
  ],
  ['Uint8Array', bytes, bytes],
  ['part of a Uint8Array', bytes.subarray(3, 7), bytes.slice(3, 7)],
  ['empty Uint8Array', new Uint8Array(0), Buffer.alloc(0)],
  ['Uint16Array', new Uint16Array(bytes.buffer, 2, 2), bytes.slice(2, 6)],
  ['Float64Array', new Float64Array(bytes.buffer, 8, 1), bytes.slice(8, 16)],
  ['BigInt64Array', new BigInt64Array(bytes.buffer), bytes],
  ['DataView', new DataView(bytes.buffer, 1, 3), bytes.slice(1, 4)],
  ['ArrayBuffer', bytes.buffer, bytes],
  ['empty ArrayBuffer', new ArrayBuffer(0), Buffer.alloc(0)],
  ['SharedArrayBuffer', shared.buffer, Uint8Array.from(shared)],
  ['view of shared memory', shared.subarray(1, 3), shared.slice(1, 3)],
  [
    'another realm',
    vm.runInNewContext('new Uint8Array([7]).buffer') as ArrayBuffer,
    Buffer.from([7])
  ]
]

const wrongData: [name: string, data: unknown][] = [
  ['nothing', undefined],
  ['null', null],
  ['a number', 5],
  ['a bigint', 5n],
  ['a boolean', true],
  ['a symbol', Symbol('s')],
  ['an object', {}],
  ['an array', [1, 2]],
  ['a function', () => 'x']
]

describe.each(transports)('send over %s', (transport) => {
  test('every kind of data arrives byte for byte', async () => {
    const { listening, dialing } = await connectedPair(transport)
    for (const [name, data, expected] of kinds) {
      await dialing.send(data)
      const received = await listening.recv()
      expect([name, [...received]]).toEqual([name, [...expected]])
    }
  })

  test('10 MiB messages, both ways at once', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const there = Array.from({ length: 3 }, () => randomBytes(10 * 2 ** 20))
    const back = Array.from({ length: 3 }, () => randomBytes(10 * 2 ** 20))
    await Promise.all([
      ...there.map((data) => dialing.send(data)),
      ...back.map((data) => listening.send(data))
    ])
    for (const data of there) {
      expect((await listening.recv()).equals(data)).toBe(true)
    }
    for (const data of back) {
      expect((await dialing.recv()).equals(data)).toBe(true)
    }
  })

  test('the buffer of the caller is free when the call returns', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      dialing: { sendBuffer: 1 }
    })
    const data = Buffer.alloc(256 * 1024)
    const sent: Promise<void>[] = []
    for (let i = 0; i < 50; i++) {
      data.fill(i)
      sent.push(dialing.send(data))
    }
    data.fill(255)
    for (let i = 0; i < 50; i++) {
      const message = await listening.recv()
      expect(message.length).toBe(data.length)
      expect(message.every((byte) => byte === i)).toBe(true)
    }
    await Promise.all(sent)
  })

  test('received memory is its holder’s, also after a collection', async () => {
    v8.setFlagsFromString('--expose-gc')
    const gc = vm.runInNewContext('gc') as () => void
    const { listening, dialing } = await connectedPair(transport)
    const sizes = [1, 100, 4096, 32 * 1024 - 1, 32 * 1024, 100_000, 2 ** 20]
    const held: Buffer[] = []
    for (let round = 0; round < 5; round++) {
      for (const size of sizes) {
        await dialing.send(Buffer.alloc(size, size % 251))
        const message = await listening.recv()
        // Of every other one only a part is kept.
        held.push(round % 2 === 0 ? message : message.subarray(size >> 1))
        if (round === 1) message.fill(7) // it can be written to
      }
      gc()
    }
    for (const [i, message] of held.entries()) {
      const size = sizes[i % sizes.length]!
      const byte = i >= 7 && i < 14 ? 7 : size % 251
      expect(message.every((b) => b === byte)).toBe(true)
    }
  })

  test.each([0, 1, 128])(
    'a peer that does not read: sendBuffer %d and one on its way',
    async (sendBuffer) => {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer: 0 },
        dialing: { sendBuffer }
      })
      const message = (i: number) => String(i).padEnd(256 * 1024)
      const count = await fill(dialing, transport, message)
      expect(dialing.stats()).toMatchObject({
        unsentMessages: sendBuffer + 1,
        messagesSent: count - sendBuffer - 1
      })
      const order: string[] = []
      const waiting = [0, 1, 2].map((i) =>
        dialing.send(message(count + i)).then(() => order.push(String(i)))
      )
      expect(dialing.stats().waitingSends).toBe(3)
      expect(dialing.trySend('no')).toBe(false)
      await expect(dialing.send('no', { timeout: 0 })).rejects.toMatchObject({
        code: 'ETIMEDOUT'
      })
      const got = (await take(listening, count + 3)).map((text) => text.trim())
      expect(got).toEqual(numbers(0, count + 3))
      await Promise.all(waiting)
      expect(order).toEqual(['0', '1', '2'])
      expect(listening.tryRecv()).toBeUndefined()
    }
  )

  test('a peer that reads nothing is waited for once', async () => {
    const { dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 }
    })
    const data = Buffer.alloc(64 * 1024)
    const pauses = jest.spyOn(time, 'after')
    // Each time it takes something there is another pause, and that ends.
    while (dialing.stats().unsentMessages < 100) await dialing.send(data)
    const count = pauses.mock.calls.length
    pauses.mockRestore()
    expect(count).toBeGreaterThan(0)
    expect(count).toBeLessThan(10)
  })

  test('a later call is not settled before one that is far ahead', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 }
    })
    const data = Buffer.alloc(64 * 1024)
    await fill(dialing, transport, () => data)
    // There is room for more, and half a megabyte waits before them.
    while (dialing.stats().unsentMessages > 100) await listening.recv()
    const order: string[] = []
    await Promise.all([
      dialing.send(data).then(() => order.push('large')),
      dialing.send('small').then(() => order.push('small')),
      dialing.send(data).then(() => order.push('large')),
      dialing.send('small').then(() => order.push('small'))
    ])
    expect(order).toEqual(['large', 'small', 'large', 'small'])
  })

  test('nor is one that waits for room, with the last place taken', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 },
      dialing: { sendBuffer: 16 }
    })
    const data = Buffer.alloc(64 * 1024)
    await fill(dialing, transport, () => data)
    const { unsentMessages } = dialing.stats()
    while (dialing.stats().unsentMessages === unsentMessages) {
      await listening.recv()
    }
    const order: number[] = []
    const sent = Array.from({ length: 20 }, (_, i) =>
      dialing.send(data).then(() => order.push(i))
    )
    const reading = (async () => {
      for await (const message of listening) if (message.length === 0) break
    })()
    await Promise.all(sent)
    await dialing.send('')
    await reading
    expect(order).toEqual(Array.from(order.keys()))
  })

  test('memory stays bounded, however fast the caller is', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 4 },
      dialing: { sendBuffer: 4 }
    })
    const size = 128 * 1024
    let most = 0
    const sending = (async () => {
      for (let i = 0; i < 300; i++) {
        await dialing.send(Buffer.alloc(size, i))
        most = Math.max(most, dialing.stats().unsentBytes)
      }
    })()
    for (let i = 0; i < 300; i++) {
      const stats = listening.stats()
      expect(stats.unreadMessages).toBeLessThanOrEqual(4)
      expect((await listening.recv())[0]).toBe(i & 255)
    }
    await sending
    expect(most).toBeLessThanOrEqual(5 * size)
  })

  test('concurrent calls are served in order, with no room at all', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 },
      dialing: { sendBuffer: 0 }
    })
    const done: number[] = []
    const sends = Array.from({ length: 2000 }, (_, i) =>
      dialing.send(String(i)).then(() => done.push(i))
    )
    expect(await take(listening, 2000)).toEqual(numbers(0, 2000))
    await Promise.all(sends)
    expect(done).toEqual(Array.from(done.keys()))
  })

  describe('sendMany', () => {
    test('more than fits, from a generator', async () => {
      const { listening, dialing } = await connectedPair(transport, {
        dialing: { sendBuffer: 3 }
      })
      function* messages() {
        for (let i = 0; i < 5000; i++)
          yield i % 2 ? String(i) : Buffer.from(`${i}`)
      }
      const sent = dialing.sendMany(messages())
      expect(await take(listening, 5000)).toEqual(numbers(0, 5000))
      await sent
    })

    test('each batch in order among concurrent sends, none lost', async () => {
      const { listening, dialing } = await connectedPair(transport, {
        dialing: { sendBuffer: 2 }
      })
      const sent: Promise<void>[] = []
      for (let caller = 0; caller < 10; caller++) {
        sent.push(
          dialing.sendMany(numbers(0, 100).map((n) => `m${caller} ${n}`))
        )
        for (const n of numbers(0, 20))
          sent.push(dialing.send(`s${caller} ${n}`))
      }
      const got = new Map<string, string[]>()
      for (const text of await take(listening, 1200)) {
        const [caller, n] = text.split(' ') as [string, string]
        got.set(caller, [...(got.get(caller) ?? []), n])
      }
      await Promise.all(sent)
      for (const [caller, list] of got) {
        expect(list).toEqual(numbers(0, caller.startsWith('m') ? 100 : 20))
      }
      expect(got.size).toBe(20)
    })

    test('cancelled, what was accepted is sent and nothing else', async () => {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer: 0 },
        dialing: { sendBuffer: 2 }
      })
      const pad = (n: string) => n.padEnd(256 * 1024)
      const controller = new AbortController()
      const sent = dialing.sendMany(numbers(0, 1000).map(pad), {
        signal: controller.signal
      })
      const failed = expect(sent).rejects.toBe('enough')
      await until(() => dialing.stats().messagesSent > 0)
      controller.abort('enough')
      await failed
      const { unsentMessages, messagesSent } = dialing.stats()
      const last = dialing.send('last')
      const got = await take(listening, unsentMessages + messagesSent + 1)
      await last
      expect(got.pop()).toBe('last')
      expect(got).toEqual(numbers(0, got.length).map(pad))
      expect(got.length).toBeLessThan(1000)
    })
  })
})

describe('send with no peer', () => {
  test.each([0, 1, 2, 128, 8192])('sendBuffer %d takes so many', async (n) => {
    const sock = socket({ sendBuffer: n })
    for (let i = 0; i < n; i++) {
      if (i % 2) expect(sock.trySend(String(i))).toBe(true)
      else await sock.send(String(i))
    }
    expect(sock.trySend('no')).toBe(false)
    const waiting = sock.send(String(n))
    expect(sock.stats()).toMatchObject({
      unsentMessages: n,
      waitingSends: 1,
      messagesSent: 0
    })
    const peer = socket()
    const { url } = await peer.listen(freeUrl('ipc'))
    await sock.dial(url)
    await waiting
    expect(await take(peer, n + 1)).toEqual(numbers(0, n + 1))
  })

  test('sendMany waits where the buffer ends', async () => {
    const sock = socket({ sendBuffer: 5 })
    const all = sock.sendMany(numbers(0, 20))
    expect(sock.stats()).toMatchObject({ unsentMessages: 5, waitingSends: 1 })
    const behind = sock.send('behind')
    const peer = socket()
    await sock.dial((await peer.listen(freeUrl('ipc'))).url)
    const got = await take(peer, 21)
    await Promise.all([all, behind])
    expect(got.filter((text) => text !== 'behind')).toEqual(numbers(0, 20))
    expect(got.indexOf('behind')).toBeGreaterThan(5)
  })

  test('sendMany with a timeout keeps what was accepted', async () => {
    const sock = socket({ sendBuffer: 5 })
    await expect(
      sock.sendMany(numbers(0, 9), { timeout: 1 })
    ).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'send' })
    expect(sock.stats()).toMatchObject({ unsentMessages: 5, waitingSends: 0 })
    await expect(sock.sendMany(['x'], { timeout: 0 })).rejects.toMatchObject({
      code: 'ETIMEDOUT'
    })
    const peer = socket()
    await sock.dial((await peer.listen(freeUrl('ipc'))).url)
    await sock.send('last')
    expect(await take(peer, 6)).toEqual([...numbers(0, 5), 'last'])
  })

  test('sendMany of nothing', async () => {
    const sock = socket({ sendBuffer: 0 })
    await sock.sendMany([])
    expect(sock.stats().unsentMessages).toBe(0)
  })

  test('an iterable that fails fails the call, and nothing is sent', async () => {
    const sock = socket()
    const error = new Error('mine')
    function* messages() {
      yield 'one'
      throw error
    }
    const { stack } = error
    await expect(sock.sendMany(messages())).rejects.toBe(error)
    expect(error.stack).toBe(stack)
    expect(sock.stats().unsentMessages).toBe(0)
  })

  test.each(wrongData)('%s is not a message', async (_, data) => {
    const sock = socket()
    const wrong = expect.objectContaining({
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE'
    }) as Error
    await expect(sock.send(data as string)).rejects.toEqual(wrong)
    await expect(sock.sendMany(['ok', data as string])).rejects.toEqual(wrong)
    await expect(sock.sendMany(data as string[])).rejects.toEqual(wrong)
    let thrown: unknown
    try {
      sock.trySend(data as string)
    } catch (error) {
      thrown = error
    }
    expect(thrown).toEqual(wrong)
    expect(sock.stats().unsentMessages).toBe(0)
  })

  test('nothing larger than maxMessageSize', async () => {
    const sock = socket({ maxMessageSize: 10 })
    await sock.send('0123456789')
    await sock.send(new Uint16Array(5))
    await sock.send('ééééé')
    const large: MessageData[] = ['01234567890', 'éééééé', Buffer.alloc(11)]
    for (const data of large) {
      const error = { name: 'NngError', code: 'EMSGSIZE', syscall: 'send' }
      await expect(sock.send(data)).rejects.toMatchObject(error)
      await expect(sock.sendMany(['ok', data])).rejects.toMatchObject(error)
      expect(() => sock.trySend(data)).toThrow('EMSGSIZE')
    }
    expect(sock.stats().unsentMessages).toBe(3)
  })
})

test('a line of cancelled sends does not stand in the way', async () => {
  const { listening, dialing } = await connectedPair('ipc', {
    listening: { recvBuffer: 0 },
    dialing: { sendBuffer: 0 }
  })
  const data = Buffer.alloc(100_000)
  const count = await fill(dialing, 'ipc', () => data)
  const controller = new AbortController()
  const sent = dialing.send('never', { signal: controller.signal })
  const aborted = expect(sent).rejects.toThrow('aborted')
  controller.abort()
  await aborted
  expect(dialing.stats().waitingSends).toBe(0)
  for (let i = 0; i < count; i++) await listening.recv()
  while (!dialing.trySend('last')) await new Promise(setImmediate)
  expect(String(await listening.recv())).toBe('last')
})
