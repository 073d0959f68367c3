import { once } from 'node:events'
import * as net from 'node:net'
import { PairSocket } from '../lib'
import {
  PAIR1_HEADER,
  RawListener,
  RawPeer,
  SP_HEADER,
  address,
  frame,
  lengthHeader
} from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports,
  type Transport
} from './support/transports'

const MAX = 1024 * 1024

/** One of ours dials, is let in, and both are heard. */
async function expectGoodPeer(ours: PairSocket, url: string): Promise<void> {
  const peer = socket()
  await peer.dial(url)
  await expectExchange(ours, peer)
  const gone = once(ours, 'disconnect')
  await peer.close()
  await gone
}

async function expectExchange(a: PairSocket, b: PairSocket): Promise<void> {
  await Promise.all([a.send('from a'), b.send('from b')])
  expect(String(await a.recv())).toBe('from b')
  expect(String(await b.recv())).toBe('from a')
}

/** We hang up: it sees our header at most, and then the end. */
async function expectHungUp(raw: RawPeer): Promise<void> {
  const rest = await raw.rest()
  expect(SP_HEADER.subarray(0, rest.length).equals(rest)).toBe(true)
  expect([undefined, 'ECONNRESET', 'EPIPE']).toContain(raw.error?.code)
}

type Deed = (raw: RawPeer) => Promise<unknown>

function withByte(at: number, value: number): Buffer {
  const header = Buffer.from(SP_HEADER)
  header[at] = value
  return header
}

function says(...bytes: Uint8Array[]): Deed {
  return async (raw) => {
    await raw.write(...bytes)
    await expectHungUp(raw)
  }
}

// Deeds of a connection that never becomes a peer.
const unshaken: Record<string, Deed> = {
  'connects and ends': (raw) => raw.finish().then(() => raw.close()),
  'connects and closes': (raw) => raw.close(),
  'connects and resets': (raw) => raw.reset(),
  'ends and resets': (raw) => raw.finish().then(() => raw.reset()),
  'closes within its header': (raw) =>
    raw.write(SP_HEADER.subarray(0, 4)).then(() => raw.close()),
  'ends within its header': (raw) =>
    raw
      .write(SP_HEADER.subarray(0, 7))
      .then(() => raw.finish())
      .then(() => expectHungUp(raw)),
  'resets within its header': (raw) =>
    raw.write(SP_HEADER.subarray(0, 1)).then(() => raw.reset()),
  'sends zeros': says(Buffer.alloc(64)),
  'sends a request of HTTP': says(Buffer.from('GET / HTTP/1.1\r\n\r\n')),
  'has a wrong first byte': says(withByte(0, 1)),
  'has a wrong letter': says(withByte(2, 0x51)),
  'has a wrong version': says(withByte(3, 1)),
  'has a reserved byte set': says(withByte(7, 1)),
  'speaks pair v1': says(PAIR1_HEADER),
  'speaks req': says(withByte(5, 0x30)),
  'speaks an unknown protocol': says(withByte(4, 0xff))
}

function announces(length: number | bigint): Deed {
  return async (raw) => {
    await raw.write(lengthHeader(raw.transport, length))
    await expectHungUp(raw)
  }
}

// Deeds of a connection that has completed the handshake.
const shaken: Record<string, Deed> = {
  'announces one byte too many': announces(MAX + 1),
  'announces 2 to the 31st': announces(2 ** 31),
  'announces 2 to the 32nd': announces(2 ** 32),
  'announces 2 to the 63rd': announces(2n ** 63n),
  'announces the most': announces(2n ** 64n - 1n),
  'announces what overflows with a header': announces(0xffff_ffff_ffff_ffe0n),
  'closes within a length': (raw) =>
    raw
      .write(lengthHeader(raw.transport, 5).subarray(0, 3))
      .then(() => raw.close()),
  'closes within a message': (raw) =>
    raw
      .write(frame(raw.transport, 'cut off').subarray(0, 12))
      .then(() => raw.close()),
  'resets within a message': (raw) =>
    raw
      .write(frame(raw.transport, 'cut off').subarray(0, 12))
      .then(() => raw.reset())
}

const wrongTypes: Record<string, Deed> = Object.fromEntries(
  [0, 2, 255].map((type) => [
    `sends a message of type ${type}`,
    async (raw) => {
      await raw.write(lengthHeader('ipc', 1, type), Buffer.from('x'))
      await expectHungUp(raw)
    }
  ])
)

function afterShake(transport: Transport): Record<string, Deed> {
  return transport === 'ipc' ? { ...shaken, ...wrongTypes } : shaken
}

// A handshake may take ten seconds, which pass while the other tests run.
const beset: PairSocket[] = []
const silent: net.Socket[] = []
/** How many bytes each has sent whose header comes drop by drop. */
const dripped: number[] = []
let hungUp: Promise<unknown>
let start: number

/** Sends all of a header but its last byte; how much of it, in the end. */
async function drip(conn: net.Socket): Promise<number> {
  let sent = 0
  const drops = setInterval(() => {
    if (sent < SP_HEADER.length - 1)
      conn.write(SP_HEADER.subarray(sent, ++sent))
  }, 1900)
  // The last drop may meet the end.
  conn.on('error', () => {})
  conn.resume()
  await new Promise((resolve) => conn.once('close', resolve))
  clearInterval(drops)
  return sent
}

beforeAll(async () => {
  start = performance.now()
  const ends: Promise<unknown>[] = []
  for (const transport of transports) {
    const sock = new PairSocket()
    beset.push(sock)
    const { url } = await sock.listen(freeUrl(transport))
    for (const said of [0, 5]) {
      const conn = net.connect(address(url))
      await once(conn, 'connect')
      conn.write(SP_HEADER.subarray(0, said))
      conn.on('error', () => {})
      conn.resume()
      ends.push(once(conn, 'close'))
      silent.push(conn)
    }
    const slow = net.connect(address(url))
    ends.push(drip(slow).then((sent) => dripped.push(sent)))
    silent.push(slow)
  }
  hungUp = Promise.all(ends)
})

afterAll(async () => {
  for (const conn of silent) conn.destroy()
  await Promise.all(beset.map((sock) => sock.close()))
})

describe.each(transports)('over %s, a connection that', (transport) => {
  test.each(Object.entries(unshaken))(
    '%s does not keep a good peer out',
    async (_, deed) => {
      const ours = socket()
      const { url } = await ours.listen(freeUrl(transport))
      await deed(await RawPeer.connect(url))
      await expectGoodPeer(ours, url)
    }
  )

  // With a pause after each, as NNG has it, this would take half a minute.
  test('comes again and again does not make the good ones wait', async () => {
    const ours = socket()
    const { url } = await ours.listen(freeUrl(transport))
    const deeds = [
      unshaken['ends within its header']!,
      unshaken['sends zeros']!
    ]
    for (let i = 0; i < 300; i++) {
      await deeds[i % 2]!(await RawPeer.connect(url))
      await expectGoodPeer(ours, url)
    }
  }, 15_000)

  test.each(Object.entries(afterShake(transport)))(
    '%s is hung up on, and a good peer gets in',
    async (_, deed) => {
      const ours = socket({ maxMessageSize: MAX })
      const { url } = await ours.listen(freeUrl(transport))
      const gone = once(ours, 'disconnect')
      await deed(await RawPeer.shake(url))
      await gone
      expect(ours.tryRecv()).toBeUndefined()
      await expectGoodPeer(ours, url)
    }
  )

  test('does any of this leaves a connected pair alone', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const events: string[] = []
    for (const sock of [listening, dialing]) {
      sock.on('connect', () => events.push('connect'))
      sock.on('disconnect', () => events.push('disconnect'))
    }
    for (const deed of Object.values(unshaken)) {
      await deed(await RawPeer.connect(url))
      await expectExchange(listening, dialing)
    }
    // They are turned away before they can go on.
    for (const deed of Object.values(afterShake(transport))) {
      const raw = await RawPeer.shake(url)
      await deed(raw).catch((error: NodeJS.ErrnoException) => {
        expect(['EPIPE', 'ECONNRESET']).toContain(error.code)
      })
      await expectExchange(listening, dialing)
    }
    expect(events).toEqual([])
  })

  test('is one of hundreds keeps nobody out', async () => {
    const ours = socket()
    const { url } = await ours.listen(freeUrl(transport))
    const flood: RawPeer[] = []
    for (let wave = 0; wave < 10; wave++) {
      flood.push(
        ...(await Promise.all(
          Array.from({ length: 40 }, () => RawPeer.connect(url))
        ))
      )
    }
    // While they are all there, silent or in the middle of their headers:
    await Promise.all(
      flood.map((raw, i) => raw.write(SP_HEADER.subarray(0, i % 8)))
    )
    await expectGoodPeer(ours, url)

    const { listening, dialing, url: pairUrl } = await connectedPair(transport)
    const deeds = Object.values(unshaken)
    await Promise.all([
      ...flood.map((raw, i) => (i % 2 === 0 ? raw.close() : raw.reset())),
      ...Array.from({ length: 100 }, async (_, i) =>
        deeds[i % deeds.length]!(await RawPeer.connect(pairUrl))
      ),
      ...Array.from({ length: 100 }, () => expectExchange(listening, dialing))
    ])
    await expectGoodPeer(ours, url)
    await expectExchange(listening, dialing)
  })
})

describe.each(transports)('the event reject over %s', (transport) => {
  test('tells of a second peer', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const rejected = once(listening, 'reject')
    const raw = await RawPeer.connect(url)
    await raw.write(SP_HEADER)
    const [peer, reason] = (await rejected) as [unknown, string]
    expect(reason).toBe('busy')
    expect(peer).toMatchObject(
      transport === 'tcp'
        ? { transport, address: '127.0.0.1', port: raw.socket.localPort }
        : { transport, pid: process.pid, uid: process.getuid?.() }
    )
    await expectHungUp(raw)
    expect(listening.stats().rejects).toBe(1)
    await expectExchange(listening, dialing)
  })

  test('tells of a peer that speaks pair v1', async () => {
    const ours = socket()
    const { url } = await ours.listen(freeUrl(transport))
    const rejected = once(ours, 'reject')
    const raw = await RawPeer.connect(url)
    await raw.write(PAIR1_HEADER)
    expect((await rejected)[1]).toBe('protocol')
    await expectHungUp(raw)
    expect(ours.stats().rejects).toBe(1)
    expect(ours.peer).toBeUndefined()
  })
})

describe.each(transports)('over %s, a listener that', (transport) => {
  const failures: [string, Deed, string][] = [
    ['closes at once', (raw) => raw.close(), 'ECONNRESET'],
    ['resets at once', (raw) => raw.reset(), 'ECONNRESET'],
    ['ends and resets', unshaken['ends and resets']!, 'ECONNRESET'],
    [
      'closes within its header',
      unshaken['closes within its header']!,
      'ECONNRESET'
    ],
    ['sends zeros', unshaken['sends zeros']!, 'EPROTO'],
    ['speaks pair v1', unshaken['speaks pair v1']!, 'EPROTO']
  ]
  test.each(failures)('%s is an error of dial()', async (_, deed, code) => {
    const listener = await RawListener.open(transport)
    const ours = socket()
    const dialed = ours.dial(listener.url)
    const [error] = await Promise.all([
      dialed.catch((e: unknown) => e),
      listener.accept().then(deed)
    ])
    expect(error).toMatchObject({
      name: 'NngError',
      syscall: 'dial',
      address: listener.url,
      code
    })
    // Nothing of it is left that would be in the way of another.
    const other = await RawListener.open(transport)
    const again = ours.dial(other.url)
    const raw = await other.accept()
    await raw.shake()
    await again
    await raw.send('hello')
    expect(String(await ours.recv())).toBe('hello')
  })

  test('goes on misbehaving is dialed again until it behaves', async () => {
    const listener = await RawListener.open(transport)
    const ours = socket({
      maxMessageSize: MAX,
      reconnectMin: 1,
      reconnectMax: 5
    })
    await ours.dial(listener.url, { retry: true })
    for (const deed of Object.values(unshaken)) {
      await deed(await listener.accept())
    }
    for (const deed of Object.values(afterShake(transport))) {
      const raw = await listener.accept()
      await raw.shake()
      await deed(raw)
    }
    const raw = await listener.accept()
    await raw.shake()
    await raw.send('at last')
    expect(String(await ours.recv())).toBe('at last')
  })
})

test('a silent connection is ended after ten seconds', async () => {
  await hungUp
  expect(performance.now() - start).toBeGreaterThan(9_000)
  expect(beset.every((sock) => sock.peer === undefined)).toBe(true)
})

// Each byte would be given ten seconds by NNG.
test('a header that comes drop by drop has no longer than that', async () => {
  await hungUp
  expect(dripped).toHaveLength(transports.length)
  for (const sent of dripped) expect(sent).toBeLessThan(SP_HEADER.length - 1)
})
