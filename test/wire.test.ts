import { once } from 'node:events'
import * as fs from 'node:fs'
import { random } from './support/random'
import {
  socket,
  freeUrl,
  transports,
  type Transport
} from './support/transports'
import {
  RawListener,
  RawPeer,
  SP_HEADER,
  frame,
  lengthHeader
} from './support/rawPeer'
import type { PairSocket, PairSocketOptions } from '../lib'

const roles = ['dials', 'listens'] as const
type Role = (typeof roles)[number]

/** A socket of ours and the raw connection that it made or accepted. */
async function meet(
  transport: Transport,
  role: Role,
  options?: PairSocketOptions
): Promise<{ ours: PairSocket; raw: RawPeer }> {
  const ours = socket(options)
  if (role === 'dials') {
    const { url } = await ours.listen(freeUrl(transport))
    return { ours, raw: await RawPeer.connect(url) }
  }
  const listener = await RawListener.open(transport)
  await ours.dial(listener.url, { retry: true })
  return { ours, raw: await listener.accept() }
}

async function meetShaken(
  transport: Transport,
  role: Role,
  options?: PairSocketOptions
): Promise<{ ours: PairSocket; raw: RawPeer }> {
  const pair = await meet(transport, role, options)
  await pair.raw.shake()
  return pair
}

const article = 'message 0 from node 0.'
const articleBytes = {
  tcp: '0000000000000016',
  ipc: '010000000000000016'
}

/** Bytes that differ from place to place, so that a shift shows. */
function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at += 4096) {
    bytes.fill(`${at} `, at, Math.min(at + 4096, length))
  }
  return bytes
}

async function received(sock: PairSocket, count: number): Promise<string[]> {
  const messages: string[] = []
  while (messages.length < count) messages.push(String(await sock.recv()))
  return messages
}

const each = transports.flatMap((transport) =>
  roles.map((role) => [transport, role] as const)
)

describe.each(each)('over %s, the raw peer %s', (transport, role) => {
  test('we send our header without waiting for the other', async () => {
    const { raw } = await meet(transport, role)
    expect(await raw.read(8)).toEqual(SP_HEADER)
  })

  test('we send exactly these bytes, and end after them', async () => {
    const { ours, raw } = await meetShaken(transport, role)
    const binary = Buffer.from(Array.from({ length: 300 }, (_, i) => i & 255))
    await ours.send(article)
    expect(String(await raw.recv())).toBe(article) // we know our peer
    await ours.send(article)
    await ours.send('')
    await ours.send(binary)
    await ours.send('Grüße')
    const closed = ours.close()
    const size = transport === 'ipc' ? '01' : ''
    expect((await raw.rest()).toString('hex')).toBe(
      articleBytes[transport] +
        Buffer.from(article).toString('hex') +
        `${size}0000000000000000` +
        `${size}000000000000012c${binary.toString('hex')}` +
        `${size}00000000000000074772c3bcc39f65`
    )
    expect(raw.error).toBeUndefined()
    await raw.close()
    expect(await closed).toEqual({ unsent: 0 })
  })

  test('one byte at a time', async () => {
    const { ours, raw } = await meet(transport, role)
    const bytes = Buffer.concat([
      SP_HEADER,
      frame(transport, article),
      frame(transport, ''),
      frame(transport, 'x')
    ])
    await raw.writePieces([...bytes].map((byte) => Uint8Array.of(byte)))
    expect(await received(ours, 3)).toEqual([article, '', 'x'])
  })

  test('the headers split at every place', async () => {
    for (let at = 1; at < SP_HEADER.length; at++) {
      const { ours, raw } = await meet(transport, role)
      await raw.writePieces([SP_HEADER.subarray(0, at), SP_HEADER.subarray(at)])
      await raw.send(String(at))
      expect(await received(ours, 1)).toEqual([String(at)])
    }
    const { ours, raw } = await meetShaken(transport, role)
    const message = frame(transport, article)
    for (let at = 1; at < message.length; at++) {
      await raw.writePieces([message.subarray(0, at), message.subarray(at)])
      expect(await received(ours, 1)).toEqual([article])
    }
  })

  test('a header and four messages in one segment', async () => {
    const { ours, raw } = await meet(transport, role)
    const messages = ['one', '', article, 'four']
    await raw.write(SP_HEADER, ...messages.map((m) => frame(transport, m)))
    expect(await received(ours, 4)).toEqual(messages)
  })

  test('segments that end inside the next message', async () => {
    const { ours, raw } = await meetShaken(transport, role)
    const messages = Array.from({ length: 50 }, (_, i) => 'm'.repeat(i))
    const bytes = Buffer.concat(messages.map((m) => frame(transport, m)))
    const pieces: Buffer[] = []
    for (let at = 0; at < bytes.length; at += 31) {
      pieces.push(bytes.subarray(at, at + 31))
    }
    await raw.writePieces(pieces)
    expect(await received(ours, 50)).toEqual(messages)
  })

  test.each([0, 1, 128])(
    'sizes of every kind in pieces of any size, recvBuffer %d',
    async (recvBuffer) => {
      const { ours, raw } = await meetShaken(transport, role, { recvBuffer })
      const next = random(recvBuffer)
      const any = (list: number[]) => list[Math.floor(next() * list.length)]!
      // On both sides of where a message takes another way.
      const sizes = [0, 1, 64, 1000, 4095, 4096, 4097, 16_384, 16_385, 70_000]
      const messages = Array.from({ length: 600 }, (_, i) =>
        Buffer.alloc(any(next() < 0.8 ? sizes.slice(0, 3) : sizes), `${i} `)
      )
      const bytes = Buffer.concat(messages.map((m) => frame(transport, m)))
      const pieces: Buffer[] = []
      for (let at = 0; at < bytes.length;) {
        const size = Math.ceil(next() * any([10, 300, 10_000, 200_000]))
        pieces.push(bytes.subarray(at, at + size))
        at += size
      }
      const written = raw.writePieces(pieces)
      for (const message of messages) {
        expect((await ours.recv()).equals(message)).toBe(true)
      }
      await written
    }
  )

  test('what is sent leaves at once, whatever part of the loop it is in', async () => {
    const { ours, raw } = await meetShaken(transport, role)
    if (ours.peer === undefined) await once(ours, 'connect')
    const phases: Record<string, (send: () => void) => void> = {
      tick: (send) => process.nextTick(send),
      microtask: (send) => queueMicrotask(send),
      immediate: (send) => setImmediate(send),
      timer: (send) => setTimeout(send, 1),
      poll: (send) => fs.stat('.', send),
      message: (send) => {
        void ours.recv().then(send)
        void raw.send('now')
      }
    }
    for (const [phase, enter] of Object.entries(phases)) {
      // Two of them, which take different ways.
      enter(() => {
        ours.trySend(phase)
        ours.trySend(phase)
      })
      // With nothing else to do the loop sleeps until they have come.
      expect(String(await raw.recv())).toBe(phase)
      expect(String(await raw.recv())).toBe(phase)
    }
  })

  test('a large message each way at the same time', async () => {
    const { ours, raw } = await meetShaken(transport, role)
    const body = pattern(20 * 2 ** 20 + 3)
    const [, , theirs, mine] = await Promise.all([
      ours.send(body),
      raw.send(body),
      raw.recv(),
      ours.recv()
    ])
    expect(theirs.equals(body)).toBe(true)
    expect(mine.equals(body)).toBe(true)
  })

  test('a thousand messages each way at the same time', async () => {
    const { ours, raw } = await meetShaken(transport, role)
    const messages = Array.from({ length: 1000 }, (_, i) => `number ${i}`)
    const sending = ours.sendMany(messages)
    const writing = raw.writePieces(messages.map((m) => frame(transport, m)))
    const theirs: string[] = []
    const reading = (async () => {
      for (const _ of messages) theirs.push(String(await raw.recv()))
    })()
    expect(await received(ours, 1000)).toEqual(messages)
    await Promise.all([sending, writing, reading])
    expect(theirs).toEqual(messages)
  })

  test('a message of exactly maxMessageSize', async () => {
    const { ours, raw } = await meetShaken(transport, role, {
      maxMessageSize: 4096
    })
    await raw.write(lengthHeader(transport, 4096), pattern(4096))
    expect((await ours.recv()).equals(pattern(4096))).toBe(true)
    await ours.send(pattern(4096))
    expect((await raw.recv()).equals(pattern(4096))).toBe(true)
  })
})
