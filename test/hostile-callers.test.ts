// What callers hand in: objects that lie about themselves, whose memory is
// gone, or that run code when they are looked at.

import { once } from 'node:events'
import * as vm from 'node:vm'
import type { MessageData, PairSocket } from '../lib'
import {
  connectedPair,
  freeUrl,
  socket,
  transports,
  type Pair
} from './support/transports'

/** The memory of it goes to another thread, as it were. */
function detached<T extends MessageData>(data: T): T {
  const buffer = ArrayBuffer.isView(data) ? data.buffer : data
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
  return data
}

interface Resizable extends ArrayBuffer {
  resize(size: number): void
}

function resizable(size: number, maxByteLength: number): Resizable {
  const Resizable = ArrayBuffer as unknown as new (
    size: number,
    options: { maxByteLength: number }
  ) => Resizable
  return new Resizable(size, { maxByteLength })
}

/** A view of it, or of its rest: then its length follows that of the buffer. */
function shrunk(
  View: new (memory: ArrayBuffer, at: number, size?: number) => ArrayBufferView,
  size?: number
): ArrayBufferView {
  const memory = resizable(32, 32)
  const view = new View(memory, 16, size)
  memory.resize(8)
  return view
}

interface Way {
  name: string
  send(sock: PairSocket, data: MessageData): Promise<unknown>
  /** What arrives where that was sent. */
  arrives(message: string): string[]
}

const alone = (message: string) => [message]

const ways: Way[] = [
  { name: 'send', send: (sock, data) => sock.send(data), arrives: alone },
  {
    name: 'trySend',
    send: (sock, data) =>
      new Promise<void>((resolve) => {
        expect(sock.trySend(data)).toBe(true)
        resolve()
      }),
    arrives: alone
  },
  {
    name: 'sendMany',
    send: (sock, data) => sock.sendMany([data]),
    arrives: alone
  },
  {
    name: 'sendMany, among others',
    send: (sock, data) => sock.sendMany(['before', data, 'after']),
    arrives: (message) => ['before', message, 'after']
  },
  {
    name: 'a longer sendMany',
    send: (sock, data) =>
      sock.sendMany([...Array<string>(1500).fill('before'), data]),
    arrives: (message) => [...Array<string>(1500).fill('before'), message]
  },
  {
    name: 'sendMany of a generator',
    send: (sock, data) =>
      sock.sendMany(
        (function* () {
          yield data
          yield 'after'
        })()
      ),
    arrives: (message) => [message, 'after']
  },
  {
    name: 'duplex',
    send: (sock, data) =>
      new Promise<void>((resolve, reject) => {
        const stream = sock.duplex()
        stream.on('error', () => {})
        stream.write(data, (error) => (error ? reject(error) : resolve()))
      }),
    arrives: alone
  }
]

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')

async function take(sock: PairSocket, count: number): Promise<string[]> {
  const got: string[] = []
  while (got.length < count) got.push(latin1(await sock.recv()))
  return got
}

/** Everything until the message that says so. */
async function upTo(end: string, sock: PairSocket): Promise<string[]> {
  const got: string[] = []
  for (;;) {
    const text = latin1(await sock.recv())
    if (text === end) return got
    got.push(text)
  }
}

/** Each has sent a secret, which must not be seen again, and small ones go quickly. */
async function warm(...socks: PairSocket[]): Promise<void> {
  for (const sock of socks) {
    await sock.send('the secret '.repeat(100))
    await sock.sendMany(['warm', 'warm'])
  }
}

async function cool(sock: PairSocket): Promise<void> {
  await take(sock, 3)
}

const numbers = (size: number) => Uint8Array.from({ length: size }, (_, i) => i)

/** A view of those bytes that says everything else of itself. */
function lying(data: Uint8Array | DataView | ArrayBufferLike, length: number) {
  const lie = (value: unknown) => ({ get: () => value, configurable: true })
  return Object.defineProperties(data, {
    length: lie(length),
    byteLength: lie(length),
    byteOffset: lie(3),
    buffer: lie(new ArrayBuffer(500)),
    constructor: lie(Array),
    [Symbol.toStringTag]: lie('Float64Array'),
    [Symbol.iterator]: lie(() => [7, 7, 7].values()),
    [Symbol.toPrimitive]: lie(() => 'primitive'),
    [Symbol.species]: lie(Array),
    toString: lie(() => 'text'),
    valueOf: lie(() => 'value')
  })
}

class Longer extends Uint8Array {
  override get length() {
    return 400 as never
  }
}

class Shorter extends Uint8Array {
  static get [Symbol.species](): never {
    throw new Error('called')
  }
  override get length() {
    return 1 as never
  }
  override get byteLength() {
    return 1 as never
  }
}

const two = Uint8Array.of(1, 2)
const sharedBytes = new Uint8Array(new SharedArrayBuffer(5)).fill(6)

const liars: [name: string, data: unknown, expected: Uint8Array][] = [
  ['longer', new Longer(4).fill(9), Uint8Array.of(9, 9, 9, 9)],
  ['longer, of no bytes', new Longer(0), new Uint8Array(0)],
  ['shorter', Shorter.from(numbers(300)), numbers(300)],
  ['shorter, large', new Shorter(9000).fill(65), new Uint8Array(9000).fill(65)],
  ['own properties', lying(numbers(4), 400), numbers(4)],
  ['own properties, large', lying(new Uint8Array(9000), 4), Buffer.alloc(9000)],
  ['a negative length', lying(numbers(4), -1), numbers(4)],
  ['no number for a length', lying(numbers(4), NaN), numbers(4)],
  ['a Buffer', lying(Buffer.from([1, 2]), 400), two],
  ['a DataView', lying(new DataView(two.buffer), 400), two],
  ['an ArrayBuffer', lying(Uint8Array.of(1, 2).buffer, 400), two],
  ['shared memory', lying(sharedBytes.buffer, 1), Uint8Array.from(sharedBytes)],
  [
    'a Uint16Array',
    lying(new Uint16Array([258, 772]) as never, 400),
    new Uint8Array(Uint16Array.of(258, 772).buffer)
  ],
  [
    'a Uint16Array that looks like a Uint8Array',
    Object.setPrototypeOf(Uint16Array.of(258, 772), Uint8Array.prototype),
    new Uint8Array(Uint16Array.of(258, 772).buffer)
  ],
  [
    'a Uint8Array that looks like a Float64Array',
    Object.setPrototypeOf(numbers(9), Float64Array.prototype),
    numbers(9)
  ],
  ['no prototype', Object.setPrototypeOf(numbers(3), null), numbers(3)],
  [
    'a prototype that runs code',
    Object.setPrototypeOf(
      numbers(3),
      new Proxy(Uint8Array.prototype, {
        get() {
          throw new Error('called')
        }
      })
    ),
    numbers(3)
  ],
  [
    'another realm',
    vm.runInNewContext('Uint8Array.of(1, 2, 3, 4).subarray(1, 3)'),
    Uint8Array.of(2, 3)
  ],
  [
    'another realm, longer',
    vm.runInNewContext(
      'new (class extends Uint8Array { get length() { return 400 } })(2)'
    ),
    new Uint8Array(2)
  ],
  [
    'a DataView of another realm',
    vm.runInNewContext('new DataView(Uint8Array.of(1, 2, 3).buffer, 1)'),
    Uint8Array.of(2, 3)
  ],
  [
    'shared memory of another realm',
    vm.runInNewContext('new SharedArrayBuffer(2)'),
    new Uint8Array(2)
  ],
  ['signed', Int8Array.of(-1, 1), Uint8Array.of(255, 1)],
  ['clamped', Uint8ClampedArray.of(255, 1), Uint8Array.of(255, 1)]
]

/** Their getters, methods and traps must not be called. */
const called = jest.fn((): never => {
  throw new Error('called')
})
const trap = new Proxy({}, { get: called })

const noMessages: [name: string, make: () => unknown][] = [
  ['a String', () => new String('text')],
  ['a proxy of a view', () => new Proxy(Buffer.from('abc'), {})],
  ['a proxy that runs code', () => new Proxy(Buffer.from('abc'), trap)],
  ['a proxy of a buffer', () => new Proxy(new ArrayBuffer(3), trap)],
  [
    'a revoked proxy',
    () => {
      const { proxy, revoke } = Proxy.revocable(Buffer.from('abc'), {})
      revoke()
      return proxy
    }
  ],
  [
    'what only looks like a Uint8Array',
    () =>
      Object.create(Uint8Array.prototype, {
        length: { value: 2 },
        byteLength: { get: called },
        0: { get: called },
        1: { get: called },
        [Symbol.toStringTag]: { value: 'Uint8Array' },
        [Symbol.iterator]: { get: called }
      })
  ],
  ['what only looks like a Buffer', () => Object.create(Buffer.prototype)],
  ['what only looks like a DataView', () => Object.create(DataView.prototype)],
  ['what only looks like memory', () => Object.create(ArrayBuffer.prototype)],
  [
    'what says that it is text',
    () => ({ length: 3, toString: called, [Symbol.toPrimitive]: called })
  ],
  ['the class itself', () => Uint8Array],
  ['its prototype', () => Uint8Array.prototype]
]

const gone: [name: string, make: () => MessageData][] = [
  ['Uint8Array', () => detached(new Uint8Array(8))],
  ['Buffer', () => detached(Buffer.allocUnsafeSlow(8))],
  ['large Buffer', () => detached(Buffer.allocUnsafeSlow(100_000))],
  ['subclass', () => detached(new Longer(8))],
  ['Uint16Array', () => detached(new Uint16Array(8))],
  ['BigInt64Array', () => detached(new BigInt64Array(8))],
  ['DataView', () => detached(new DataView(new ArrayBuffer(8)))],
  ['ArrayBuffer', () => detached(new ArrayBuffer(8))],
  ['empty Uint8Array', () => detached(new Uint8Array(0))],
  ['empty DataView', () => detached(new DataView(new ArrayBuffer(0)))],
  ['empty ArrayBuffer', () => detached(new ArrayBuffer(0))],
  [
    'memory that WebAssembly has left',
    () => {
      const { WebAssembly } = globalThis as unknown as {
        WebAssembly: {
          Memory: new (size: { initial: number }) => {
            buffer: ArrayBuffer
            grow(pages: number): void
          }
        }
      }
      const memory = new WebAssembly.Memory({ initial: 1 })
      const view = new Uint8Array(memory.buffer, 0, 8)
      memory.grow(1)
      return view
    }
  ],
  ['Uint8Array out of bounds', () => shrunk(Uint8Array, 8)],
  ['Uint16Array out of bounds', () => shrunk(Uint16Array, 4)],
  ['DataView out of bounds', () => shrunk(DataView, 8)],
  ['rest out of bounds', () => shrunk(Uint8Array)],
  ['rest of a DataView out of bounds', () => shrunk(DataView)],
  ['nothing out of bounds', () => shrunk(Uint8Array, 0)],
  [
    'another realm',
    () => detached(vm.runInNewContext('new Uint8Array(8)') as Uint8Array)
  ]
]

const empty: [name: string, data: MessageData][] = [
  ['Uint8Array', new Uint8Array(0)],
  ['Float64Array', new Float64Array(0)],
  ['DataView', new DataView(new ArrayBuffer(0))],
  ['ArrayBuffer', new ArrayBuffer(0)],
  ['SharedArrayBuffer', new SharedArrayBuffer(0)],
  ['end of a buffer', Buffer.from('abc').subarray(3)],
  ['rest of a buffer', new Uint8Array(resizable(8, 16), 8)],
  ['rest of a buffer as a DataView', new DataView(resizable(8, 16), 8)],
  [
    'rest of a buffer that has shrunk to it',
    (() => {
      const memory = resizable(16, 16)
      const rest = new Uint8Array(memory, 8)
      memory.resize(8)
      return rest
    })()
  ]
]

describe.each(transports)('over %s', (transport) => {
  describe.each(ways)('$name', ({ send, arrives }) => {
    test('sends what there is, whatever it says of itself', async () => {
      const { listening, dialing } = await connectedPair(transport)
      for (const [name, data, expected] of liars) {
        await warm(dialing)
        const sent = send(dialing, data as MessageData)
        await cool(listening)
        const texts = arrives(latin1(expected))
        expect([name, ...(await take(listening, texts.length))]).toEqual([
          name,
          ...texts
        ])
        await sent
      }
      await dialing.send('end')
      expect(await upTo('end', listening)).toEqual([])
    })

    test('sends no bytes of memory that is there', async () => {
      const { listening, dialing } = await connectedPair(transport)
      for (const [name, data] of empty) {
        const sent = send(dialing, data)
        const texts = arrives('')
        expect([name, ...(await take(listening, texts.length))]).toEqual([
          name,
          ...texts
        ])
        await sent
      }
    })

    /** They fail, and nothing of them is sent, nor lost of what follows. */
    async function expectRefused(
      all: [name: string, make: () => unknown][],
      code: string
    ): Promise<void> {
      let pair: Pair | undefined
      let disconnected: Promise<unknown> | undefined
      for (const [name, make] of all) {
        if (pair === undefined) {
          pair = await connectedPair(transport)
          await warm(pair.dialing)
          await cool(pair.listening)
          disconnected = once(pair.listening, 'disconnect')
        }
        const { listening, dialing } = pair
        const error = await send(dialing, make() as MessageData).then(
          () => 'no error',
          (error: NodeJS.ErrnoException) => `${error.name} ${error.code}`
        )
        expect([name, error]).toEqual([name, `TypeError ${code}`])
        if (dialing.closed) {
          // The error was the stream's, which has closed the socket.
          await disconnected
          expect(listening.stats().messagesReceived).toBe(3)
          pair = undefined
          continue
        }
        expect(dialing.stats()).toMatchObject({
          unsentMessages: 0,
          waitingSends: 0
        })
        await dialing.sendMany(['more', 'end'])
        expect([name, await upTo('end', listening)]).toEqual([name, ['more']])
      }
    }

    test('refuses what is no message', async () => {
      await expectRefused(noMessages, 'ERR_INVALID_ARG_TYPE')
      expect(called).not.toHaveBeenCalled()
    })

    test('refuses memory that is gone', async () => {
      await expectRefused(gone, 'ERR_INVALID_STATE')
    })
  })

  // Each runs the code once, before "B" is read, or somewhere else.
  const lists: [
    name: string,
    make: (run: () => void) => [Iterable<string>, object?]
  ][] = [
    [
      'a getter',
      (run) => [
        Object.defineProperty(['A', '', 'C'], 1, {
          get() {
            run()
            return 'B'
          }
        })
      ]
    ],
    [
      'a getter of the first',
      (run) => [
        Object.defineProperty(['', 'B', 'C'], 0, {
          get() {
            run()
            return 'A'
          }
        })
      ]
    ],
    [
      'a proxy',
      (run) => [
        new Proxy(['A', 'B', 'C'], {
          get(target, name) {
            if (name === '1') run()
            return target[name as unknown as number]
          }
        })
      ]
    ],
    [
      'a getter of the iterator',
      (run) => [
        Object.defineProperty(['A', 'B', 'C'], Symbol.iterator, {
          get() {
            run()
            return Array.prototype.values
          }
        })
      ]
    ],
    [
      'an iterator of its own',
      (run) => {
        const list = ['not', 'these']
        list[Symbol.iterator] = function* () {
          yield 'A'
          run()
          yield 'B'
          yield 'C'
          return undefined
        }
        return [list]
      }
    ],
    [
      'a generator',
      (run) => [
        (function* () {
          yield 'A'
          run()
          yield 'B'
          yield 'C'
        })()
      ]
    ],
    [
      'options',
      (run) => [
        ['A', 'B', 'C'],
        {
          get timeout() {
            run()
            return 1000
          }
        }
      ]
    ]
  ]

  type Both = [sock: PairSocket, other: PairSocket]
  const calls: [name: string, run: (...both: Both) => unknown][] = [
    ['sendMany of another socket', (_, other) => other.sendMany(['x', 'y'])],
    ['sendMany of this socket', (sock) => sock.sendMany(['x', 'y'])],
    ['send of another socket', (_, other) => other.send('x')],
    ['send of this socket', (sock) => sock.send('x')],
    ['trySend of both', (...both) => both.map((sock) => sock.trySend('x'))],
    ['stats of both', (...both) => both.map((sock) => sock.stats())],
    ['what is wrong', (_, other) => other.sendMany(['x', 5 as never])]
  ]

  describe.each(lists)('a list that runs code by %s', (_, make) => {
    test.each(calls)('and calls %s', async (name, run) => {
      const pairs = await Promise.all([
        connectedPair(transport),
        connectedPair(transport)
      ])
      const both = pairs.map(({ dialing }) => dialing) as Both
      await warm(both[1], both[0])
      let result: unknown
      const runOnce = () => {
        result ??= run(...both)
      }
      await both[0].sendMany(...make(runOnce))
      const wrong = name === 'what is wrong'
      await (wrong
        ? expect(result).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
        : result)
      // Those that follow find the same way.
      await both[1].sendMany(['1', '2', '3'])
      await both[0].sendMany(['D', 'E'])
      for (const sock of both) await sock.send('end')
      const got: string[][] = []
      for (const [i, { listening }] of pairs.entries()) {
        await cool(listening)
        const texts = await upTo('end', listening)
        got.push(texts.filter((text) => !/^[xy]$/.test(text)))
        const { messagesSent } = both[i]!.stats()
        expect(messagesSent).toBe(3 + texts.length + 1)
        // What was called from within came whole, and before the list.
        const within = texts.filter((text) => /^[xy]$/.test(text))
        expect(texts.slice(0, within.length)).toEqual(within)
      }
      expect(got).toEqual([
        ['A', 'B', 'C', 'D', 'E'],
        ['1', '2', '3']
      ])
      const within = pairs.map(({ listening }) => listening.stats())
      const sent = name.startsWith('sendMany') ? 2 : /send/i.test(name) ? 1 : 0
      const times = name.endsWith('both') ? 2 : 1
      expect(within[0]!.messagesReceived + within[1]!.messagesReceived).toBe(
        2 * 3 + 5 + 3 + 2 + sent * times
      )
    })

    test('and closes the socket: nothing of it is sent', async () => {
      const { listening, dialing } = await connectedPair(transport)
      await warm(dialing)
      let closed: Promise<unknown> | undefined
      const sent = dialing.sendMany(
        ...make(() => void (closed ??= dialing.close()))
      )
      await expect(sent).rejects.toMatchObject({ code: 'ECLOSED' })
      await cool(listening)
      expect(await closed).toEqual({ unsent: 0 })
      expect(listening.stats().messagesReceived).toBe(3)
    })

    test('and throws: nothing of it is sent', async () => {
      const { listening, dialing } = await connectedPair(transport)
      await warm(dialing)
      const error = new Error('mine')
      const fail = () => {
        throw error
      }
      await expect(dialing.sendMany(...make(fail))).rejects.toBe(error)
      await dialing.send('end')
      await cool(listening)
      expect(await upTo('end', listening)).toEqual([])
    })
  })

  test('options that take the data away: nothing is sent', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await warm(dialing)
    await cool(listening)
    const data = new Uint8Array(8)
    const options = {
      get timeout() {
        if (data.length > 0) detached(data)
        return 1000
      }
    }
    await expect(dialing.send(data, options)).rejects.toMatchObject({
      code: 'ERR_INVALID_STATE'
    })
    await dialing.send('end')
    expect(await upTo('end', listening)).toEqual([])
  })

  test('options that send: that comes first', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await warm(dialing)
    await cool(listening)
    let within: Promise<void> | undefined
    const options = {
      get timeout() {
        within ??= dialing.sendMany(['x', 'y'])
        return 1000
      }
    }
    await dialing.send('A', options)
    await within
    await dialing.send('end')
    expect(await upTo('end', listening)).toEqual(['x', 'y', 'A'])
  })

  test('what cannot be sent is found at any place of a list', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await warm(dialing)
    await cool(listening)
    for (const at of [0, 1, 255, 511, 1023, 2999]) {
      const list = Array.from({ length: 3000 }, () => Buffer.alloc(64))
      list[at] = detached(Buffer.allocUnsafeSlow(64))
      await expect(dialing.sendMany(list)).rejects.toMatchObject({
        code: 'ERR_INVALID_STATE'
      })
      await expect(
        dialing.sendMany(list.slice(0, at + 1))
      ).rejects.toMatchObject({ code: 'ERR_INVALID_STATE' })
    }
    await dialing.send('end')
    expect(await upTo('end', listening)).toEqual([])
  })

  test('the list is the caller’s again when sendMany has returned', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 },
      dialing: { sendBuffer: 1 }
    })
    const list = Array.from({ length: 3000 }, (_, i) => `${i}`.padEnd(1000))
    const expected = [...list]
    const sent = dialing.sendMany(list)
    list.fill('wrong')
    list.length = 2000
    expect(await take(listening, 3000)).toEqual(expected)
    await sent
  })
})

describe('maxMessageSize', () => {
  test.each(ways)('is that of the bytes there are: $name', async (way) => {
    for (const data of [new Shorter(11), lying(new Uint8Array(11), 1)]) {
      const sock = socket({ maxMessageSize: 10 })
      await expect(way.send(sock, data as Uint8Array)).rejects.toMatchObject({
        code: 'EMSGSIZE'
      })
      expect(sock.stats().unsentMessages).toBe(0)
    }
  })
})

describe('what waits for room in sendMany', () => {
  const takeFrom = async (sock: PairSocket, count: number) => {
    const peer = socket()
    const { url } = await peer.listen(freeUrl('ipc'))
    await sock.dial(url)
    return take(peer, count)
  }

  test('is as it is when it is accepted', async () => {
    const sock = socket({ sendBuffer: 1 })
    const list = ['one', 'two', 'three', 'four'].map((s) => Buffer.from(s))
    const sent = sock.sendMany(list)
    // The first is accepted, and the second stands in line: both are copied.
    for (const data of list) data.fill('x')
    expect(await takeFrom(sock, 4)).toEqual(['one', 'two', 'xxxxx', 'xxxx'])
    await sent
  })

  test('fails the call when its memory is gone', async () => {
    const sock = socket({ sendBuffer: 1 })
    const list = ['one', 'two', 'three', 'four'].map(
      (text) => new Uint8Array(Buffer.from(text))
    )
    const sent = sock.sendMany(list)
    const failed = expect(sent).rejects.toMatchObject({
      name: 'TypeError',
      code: 'ERR_INVALID_STATE',
      stack: expect.stringContaining('hostile-callers') as string
    })
    detached(list[2]!)
    expect(await takeFrom(sock, 2)).toEqual(['one', 'two'])
    await failed
    await sock.drain()
    expect(sock.stats()).toMatchObject({ messagesSent: 2, unsentMessages: 0 })
  })

  test('fails the call when it has grown too large', async () => {
    const sock = socket({ sendBuffer: 1, maxMessageSize: 10 })
    const memory = resizable(5, 20)
    const sent = sock.sendMany(['one', 'two', new Uint8Array(memory)])
    const failed = expect(sent).rejects.toMatchObject({ code: 'EMSGSIZE' })
    memory.resize(11)
    expect(await takeFrom(sock, 2)).toEqual(['one', 'two'])
    await failed
    await sock.drain()
    expect(sock.stats().messagesSent).toBe(2)
  })
})
