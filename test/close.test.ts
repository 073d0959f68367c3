import { once } from 'node:events'
import * as fs from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket, WaitOptions } from '../lib'
import { RawListener, RawPeer, SP_HEADER } from './support/rawPeer'
import { fill } from './support/full'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const CLOSED = { name: 'NngError', code: 'ECLOSED', errno: 7 }

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i))
}

/** Everything that comes until the peer is gone. */
async function everything(sock: PairSocket): Promise<Buffer[]> {
  const messages: Buffer[] = []
  const gone = once(sock, 'disconnect')
  const reading = (async () => {
    for await (const message of sock) messages.push(message)
  })()
  await gone
  for (let message; (message = sock.tryRecv());) messages.push(message)
  await sock.close()
  await reading
  return messages
}

describe('close', () => {
  test('fails what is pending and what comes later, and ends iterators', async () => {
    const sock = socket({ sendBuffer: 1 })
    await sock.listen(freeUrl('ipc'))
    await sock.send('the only one')
    const silent = await RawListener.open('ipc')
    const calls: ((options?: WaitOptions) => Promise<unknown>)[] = [
      (options) => sock.recv(options),
      (options) => sock.recvMany(3, options),
      (options) => sock.send('x', options),
      (options) => sock.sendMany(['x', 'y'], options),
      (options) => sock.dial(silent.url, options)
    ]
    const iterator = sock[Symbol.asyncIterator]()
    const next = iterator.next()
    const pending = calls.map((call) =>
      expect(call()).rejects.toMatchObject(CLOSED)
    )
    const draining = expect(sock.drain()).rejects.toMatchObject(CLOSED)
    const listening = sock.listen(freeUrl('ipc'))
    const listened = expect(listening).rejects.toMatchObject(CLOSED)

    expect(sock.closed).toBe(false)
    const closing = sock.close()
    expect(sock.closed).toBe(true)
    await Promise.all(pending)
    await listened
    expect(await next).toEqual({ value: undefined, done: true })
    expect(await closing).toEqual({ unsent: 1 })
    await draining

    const later = [
      ...calls,
      () => sock.drain(),
      () => sock.listen(freeUrl('ipc')),
      () => sock.listenOrDial(silent.url)
    ]
    for (const call of later) {
      await expect(call()).rejects.toMatchObject(CLOSED)
    }
    for (const call of calls) {
      await expect(call({ timeout: 0 })).rejects.toMatchObject(CLOSED)
    }
    expect(() => sock.trySend('x')).toThrow(expect.objectContaining(CLOSED))
    expect(sock.tryRecv()).toBeUndefined()
  })

  test('is the same promise however often it is called', async () => {
    const sock = socket()
    await sock.send('unsent')
    const first = sock.close()
    expect(sock.close()).toBe(first)
    expect(sock.close({ timeout: 5 })).toBe(first)
    expect(await first).toEqual({ unsent: 1 })
    expect(sock.close()).toBe(first)
    await sock[Symbol.asyncDispose]()
  })

  test('without a peer it does not wait', async () => {
    const sock = socket()
    await sock.listen(freeUrl('tcp'))
    await sock.dial(`tcp://127.0.0.1:1`, { retry: true })
    await sock.sendMany(numbers(100))
    const waiting = expect(sock.recv()).rejects.toMatchObject(CLOSED)
    expect(await sock.close()).toEqual({ unsent: 100 })
    await waiting
  })

  test('await using closes, in order', async () => {
    const order: string[] = []
    {
      await using listening = socket()
      await using dialing = socket()
      listening.on('close', () => order.push('listening'))
      dialing.on('close', () => order.push('dialing'))
      await using listener = await listening.listen(freeUrl('ipc'))
      await using dialer = await dialing.dial(listener.url)
      expect([listener.type, dialer.type]).toEqual(['listener', 'dialer'])
      await dialing.send('hello')
      expect(String(await listening.recv())).toBe('hello')
    }
    expect(order).toEqual(['dialing', 'listening'])
  })

  test.each([
    ['5', 'TypeError', 'ERR_INVALID_ARG_TYPE'],
    [-1, 'RangeError', 'ERR_OUT_OF_RANGE'],
    [NaN, 'RangeError', 'ERR_OUT_OF_RANGE']
  ])(
    'a timeout of %p is a %s, and nothing is closed',
    async (timeout, name, code) => {
      const sock = socket()
      await expect(
        sock.close({ timeout: timeout as number })
      ).rejects.toMatchObject({ name, code })
      await expect(sock.close(5 as never)).rejects.toMatchObject({
        code: 'ERR_INVALID_ARG_TYPE'
      })
      expect(sock.closed).toBe(false)
    }
  )
})

describe.each(transports)('a graceful close over %s', (transport) => {
  test('many small messages', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      dialing: { sendBuffer: 8192 }
    })
    const received = everything(listening)
    for (let i = 0; i < 5; i++) await dialing.sendMany(numbers(4000))
    expect(await dialing.close()).toEqual({ unsent: 0 })
    expect((await received).map(String)).toEqual(
      Array.from({ length: 5 }, () => numbers(4000)).flat()
    )
  })

  test('more than the kernel holds, to a peer that reads late and slowly', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 1 }
    })
    const count = await fill(dialing, transport, (i) =>
      String(i).padEnd(2 ** 18)
    )
    let closed = false
    const closing = dialing.close().then((result) => {
      closed = true
      return result
    })
    for (let i = 0; i < count; i++) {
      if (i < count - 20) expect(closed).toBe(false)
      expect(Number(await listening.recv())).toBe(i)
      await turn()
    }
    expect(await closing).toEqual({ unsent: 0 })
  })

  test('huge messages, while the peer sends as well', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 1, sendBuffer: 2 },
      dialing: { recvBuffer: 1 }
    })
    const huge = Buffer.alloc(6 * 2 ** 20)
    let sending = true
    const flood = (async () => {
      while (sending) {
        await listening.send(huge, { timeout: 50 }).catch(() => {})
        await turn()
      }
    })()
    await dialing.recv()
    for (let i = 0; i < 4; i++) {
      huge.writeUInt32LE(i)
      await dialing.send(huge)
    }
    const closing = dialing.close()
    for (let i = 0; i < 4; i++) {
      const message = await listening.recv()
      expect([message.readUInt32LE(), message.length]).toEqual([i, huge.length])
      if (i === 2) sending = false
    }
    expect(await closing).toEqual({ unsent: 0 })
    await flood
  })

  test('both at once, with messages on their way in both directions', async () => {
    for (let round = 0; round < 20; round++) {
      const { listening, dialing } = await connectedPair(transport)
      await Promise.all([
        listening.sendMany(numbers(50)),
        dialing.sendMany(numbers(50))
      ])
      expect(await Promise.all([listening.close(), dialing.close()])).toEqual([
        { unsent: 0 },
        { unsent: 0 }
      ])
    }
  })

  test('one after the other, with messages that nobody read', async () => {
    for (let round = 0; round < 5; round++) {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer: round },
        dialing: { recvBuffer: round }
      })
      await listening.sendMany(numbers(100))
      await dialing.sendMany(numbers(100))
      expect(await listening.close()).toEqual({ unsent: 0 })
      expect(await dialing.close()).toEqual({ unsent: 0 })
    }
  })

  test('a drain that is pending goes on', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 }
    })
    const count = await fill(dialing, transport, () => Buffer.alloc(2 ** 18))
    const drained = dialing.drain()
    const closing = dialing.close()
    for (let i = 0; i < count; i++) await listening.recv()
    await drained
    expect(await closing).toEqual({ unsent: 0 })
  })

  test.each([
    ['timeout 0', (sock: PairSocket) => sock.close({ timeout: 0 })],
    ['a short timeout', (sock: PairSocket) => sock.close({ timeout: 30 })],
    [
      'a second call that shortens it',
      (sock: PairSocket) => {
        void sock.close()
        void sock.close({ timeout: 30 })
        return sock.close({ timeout: 1_000_000 })
      }
    ]
  ])('%s: what a peer that does not read was not sent', async (_, close) => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 },
      dialing: { sendBuffer: 10 }
    })
    const count = await fill(dialing, transport, (i) =>
      String(i).padEnd(2 ** 18)
    )
    const drained = expect(dialing.drain()).rejects.toMatchObject(CLOSED)
    const { unsent } = await close(dialing)
    // At most ten in the buffer, and one in the middle of being sent: the
    // kernel may still have taken some.
    expect(unsent).toBeGreaterThan(0)
    expect(unsent).toBeLessThanOrEqual(11)
    await drained
    const received = await everything(listening)
    expect(received.map((message) => Number(message))).toEqual(
      numbers(count - unsent).map(Number)
    )
  })

  test('a peer that dies meanwhile: what it was not sent', async () => {
    const sock = socket({ sendBuffer: 3 })
    const raw = await RawPeer.shake((await sock.listen(freeUrl(transport))).url)
    await until(() => sock.peer !== undefined)
    await fill(sock, transport, () => Buffer.alloc(2 ** 20))
    const closing = sock.close()
    await raw.reset()
    expect(await closing).toEqual({ unsent: 4 })
  })

  test('the peer is not taken back, nor sought again', async () => {
    for (let round = 0; round < 40; round++) {
      const options = { reconnectMin: 1, reconnectMax: 1 }
      const { listening, dialing } = await connectedPair(transport, {
        listening: options,
        dialing: options
      })
      const notes: string[] = []
      const [closing, staying] =
        round % 2 ? [listening, dialing] : [dialing, listening]
      staying.on('connect', () => notes.push('connect'))
      staying.on('disconnect', () => notes.push('disconnect'))
      await closing.send('last words')
      const closed = closing.close()
      const words = await staying.recv()
      expect(String(words)).toBe('last words')
      await until(() => notes.length > 0)
      // For the next peer, not for one that is about to close.
      await staying.send('kept')
      await closed
      expect(notes).toEqual(['disconnect'])
      expect(staying.stats()).toMatchObject({
        messagesSent: 0,
        messagesLost: 0
      })
      expect(await staying.close()).toEqual({ unsent: 1 })
    }
  })

  test('the address is free at once', async () => {
    const { listening, dialing, url } = await connectedPair(transport, {
      listening: { recvBuffer: 0 }
    })
    await fill(dialing, transport, () => Buffer.alloc(2 ** 18))
    await listening.close({ timeout: 0 })
    const next = socket()
    await next.listen(url)
    await dialing.close({ timeout: 0 })
  })
})

describe.each(transports)('closing in the middle over %s', (transport) => {
  test('of a dial, a listen, a handshake', async () => {
    const silent = await RawListener.open(transport)
    const other = socket()
    const { url } = await other.listen(freeUrl(transport))
    for (let round = 0; round < 60; round++) {
      const sock = socket()
      const outcomes = Promise.allSettled([
        sock.dial(silent.url),
        sock.dial(url),
        sock.dial(silent.url, { retry: true }),
        sock.listen(freeUrl(transport)),
        sock.listenOrDial(url)
      ])
      for (let turns = round % 6; turns > 0; turns--) await turn()
      await sock.close()
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') {
          expect(outcome.reason).toMatchObject(CLOSED)
        }
      }
      expect(sock.peer).toBeUndefined()
    }
  })

  test('of the handshakes of many: every one of them is told', async () => {
    const descriptors = () => fs.readdirSync('/proc/self/fd').length
    const before = process.platform === 'linux' ? descriptors() : 0
    for (let round = 0; round < 60; round++) {
      const sock = socket()
      const { url } = await sock.listen(freeUrl(transport))
      const peers = await Promise.all(
        Array.from({ length: 5 }, () => RawPeer.connect(url))
      )
      const ends = peers.map(async (peer) => {
        await peer.write(SP_HEADER).catch(() => {})
        await peer.rest()
        await peer.close()
      })
      await sock.close({ timeout: 0 })
      await Promise.all(ends)
    }
    if (process.platform === 'linux') {
      // The reaper closes them a little later.
      await until(() => descriptors() <= before + 2)
    }
  })
})
