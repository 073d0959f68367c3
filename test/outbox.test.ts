import { once } from 'node:events'
import { random } from './support/random'
import { RawPeer } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

// Small messages that are sent in a row take a way of their own. Nobody must be
// able to tell.

describe.each(transports)('small messages in a row over %s', (transport) => {
  test('of many sockets, of all sizes: all arrive, in order', async () => {
    const next = random(3)
    const pairs = await Promise.all(
      Array.from({ length: 5 }, () => connectedPair(transport))
    )
    const expected: Buffer[][] = pairs.map(() => [])
    const message = (i: number) =>
      Buffer.alloc(Math.floor(next() * (next() < 0.05 ? 20_000 : 100)), i)
    const end = Buffer.from('the end')
    const received = pairs.map(async ({ listening }) => {
      const list: Buffer[] = []
      while (!list.at(-1)?.equals(end)) list.push(await listening.recv())
      return list
    })
    const sends: Promise<void>[] = []
    // Bursts of one socket, and now and then of another.
    for (let i = 0, at = 0; i < 20_000; i++) {
      if (next() < 0.01) at = Math.floor(next() * pairs.length)
      const { dialing } = pairs[at]!
      const list = [message(i)]
      if (next() < 0.9) {
        sends.push(dialing.send(list[0]!))
      } else if (next() < 0.5) {
        sends.push(dialing.sendMany(list))
      } else {
        // Those of a longer list wait together, and others could come between.
        list.length = Math.floor(next() * (next() < 0.1 ? 1000 : 10))
        for (let j = 0; j < list.length; j++) list[j] = message(i)
        await Promise.all(sends.splice(0))
        await dialing.sendMany(list)
      }
      expected[at]!.push(...list)
    }
    await Promise.all(sends)
    for (const [at, { dialing }] of pairs.entries()) {
      await dialing.send(end)
      expected[at]!.push(end)
    }
    for (const [at, list] of (await Promise.all(received)).entries()) {
      expect(Buffer.concat(list).equals(Buffer.concat(expected[at]!))).toBe(
        true
      )
      expect(list.map(({ length }) => length)).toEqual(
        expected[at]!.map(({ length }) => length)
      )
    }
  })

  test('nothing of a list is sent if there is anything in it that cannot be', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      dialing: { maxMessageSize: 1000 }
    })
    await dialing.send('first')
    const small = Array<string>(100).fill('small')
    await expect(
      dialing.sendMany([...small, Buffer.alloc(1001)])
    ).rejects.toMatchObject({ code: 'EMSGSIZE' })
    await expect(
      dialing.sendMany([...small, 17 as unknown as string])
    ).rejects.toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' })
    await dialing.sendMany(['second', 'third'])
    for (const text of ['first', 'second', 'third']) {
      expect(String(await listening.recv())).toBe(text)
    }
  })

  test.each(['trySend', 'stats'] as const)(
    'a list that calls %s when it is read is sent once, in order',
    async (call) => {
      const { listening, dialing } = await connectedPair(transport)
      await dialing.send('first')
      const list = ['a', '', 'c']
      Object.defineProperty(list, 1, {
        get() {
          dialing[call]('from within')
          return 'b'
        }
      })
      await dialing.sendMany(list)
      await dialing.sendMany(['last'])
      const got: string[] = []
      while (got.at(-1) !== 'last') got.push(String(await listening.recv()))
      expect(got.filter((text) => text !== 'from within')).toEqual([
        'first',
        'a',
        'b',
        'c',
        'last'
      ])
    }
  )

  test('text is what Node makes of it', async () => {
    const next = random(5)
    const { listening, dialing } = await connectedPair(transport)
    // Every kind of character, halves of pairs among them.
    const units = ['a', '\0', 'é', '\u07ff', '世', '😀', '\ud83d', '\ude00']
    const texts = Array.from({ length: 3000 }, () =>
      Array.from(
        { length: next() * (next() < 0.02 ? 5000 : 30) },
        () => units[Math.floor(next() * units.length)]
      ).join('')
    )
    const sent = Promise.all(texts.map((text) => dialing.send(text)))
    for (const text of texts) {
      expect((await listening.recv()).equals(Buffer.from(text))).toBe(true)
    }
    await sent
  })

  test('as many as there are, as long as there is room', async () => {
    const sock = socket({ sendBuffer: 3 })
    const { url } = await sock.listen(freeUrl(transport))
    const connected = once(sock, 'connect')
    const raw = await RawPeer.shake(url)
    await connected
    let sent = 0
    let bytes = 0
    const size = (i: number) => (i * 37) % 4500
    while (sock.trySend(Buffer.alloc(size(sent), sent))) bytes += size(sent++)
    // The kernel is full, and so is the send buffer.
    const { messagesSent, unsentMessages, bytesSent, unsentBytes } =
      sock.stats()
    expect(messagesSent + unsentMessages).toBe(sent)
    expect(bytesSent + unsentBytes).toBe(bytes)
    for (let i = 0; i < sent; i++) {
      const data = Buffer.alloc(size(i), i)
      expect((await raw.recv()).equals(data)).toBe(true)
    }
    await sock.drain()
    expect(sock.stats()).toMatchObject({
      messagesSent: sent,
      bytesSent: bytes,
      unsentMessages: 0
    })
  })

  test('thousands of empty ones in one turn', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const sends = Array.from({ length: 10_000 }, () => dialing.send(''))
    let bytes = 0
    for (const send of sends) {
      bytes += (await listening.recv()).length
      await send
    }
    expect(bytes).toBe(0)
  })

  test('empty ones fill the send buffer like others', async () => {
    const sock = socket({ sendBuffer: 5 })
    await sock.send('')
    for (let i = 1; i < 5; i++) expect(sock.trySend('')).toBe(true)
    expect(sock.trySend('')).toBe(false)
    expect(sock.stats()).toMatchObject({ unsentMessages: 5 })
  })

  test('each is counted once when the peer goes meanwhile', async () => {
    for (let round = 0; round < 60; round++) {
      const { listening, dialing } = await connectedPair(transport)
      const gone = once(dialing, 'disconnect')
      let accepted = 0
      const send = async () => {
        for (let i = 0; i < 300; i++) {
          if (dialing.trySend(String(i))) accepted++
          if (i % 50 === round % 50) await Promise.resolve()
        }
      }
      const closed = listening.close({ timeout: 0 })
      await send()
      await gone
      await send()
      await closed
      const { messagesSent, messagesLost, unsentMessages } = dialing.stats()
      expect(messagesSent + messagesLost + unsentMessages).toBe(accepted)
      await dialing.close({ timeout: 0 })
    }
  })

  test('close() sends what was left in this turn', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const texts = Array.from({ length: 500 }, (_, i) => `message ${i}`)
    for (const text of texts) expect(dialing.trySend(text)).toBe(true)
    const closed = dialing.close()
    for (const text of texts) expect(String(await listening.recv())).toBe(text)
    expect(await closed).toEqual({ unsent: 0 })
  })

  test('a recv() that waits sends what is left first', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const answered = listening.recv().then((text) => listening.send(text))
    dialing.trySend('a')
    dialing.trySend('b')
    const answer = dialing.recv()
    expect(dialing.stats()).toMatchObject({
      messagesSent: 2,
      unsentMessages: 0
    })
    expect(String(await answer)).toBe('a')
    await answered
    await until(() => listening.stats().messagesReceived === 2)
  })
})

test('two instances of the library in a thread do not mix their messages', async () => {
  const connect = async (lib: typeof import('../lib')) => {
    const ours = new lib.PairSocket()
    const peer = socket()
    await ours.dial((await peer.listen(freeUrl('ipc'))).url)
    return { ours, peer }
  }
  const libs: (typeof import('../lib'))[] = []
  for (let i = 0; i < 2; i++) {
    jest.isolateModules(() => {
      // eslint-disable-next-line @typescript-eslint/no-require-imports
      libs.push(require('../lib') as typeof import('../lib'))
    })
  }
  expect(libs[0]!.PairSocket).not.toBe(libs[1]!.PairSocket)
  const a = await connect(libs[0]!)
  const b = await connect(libs[1]!)
  // Each has sent, and goes on where the other one may be by now.
  for (let i = 0; i < 50; i++) {
    for (const { ours } of [a, b, b, a])
      ours.trySend(ours === a.ours ? 'a' : 'b')
    if (i % 10 === 0) await a.ours.drain()
  }
  for (const [{ peer }, name] of [
    [a, 'a'],
    [b, 'b']
  ] as const) {
    for (let i = 0; i < 100; i++) expect(String(await peer.recv())).toBe(name)
  }
  await a.ours.close()
  await b.ours.close()
})
