import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { PairSocket, PairSocketStats } from '../lib'
import { fill } from './support/full'
import { RawPeer, SP_HEADER, address, frame } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const NOTHING: PairSocketStats = {
  messagesSent: 0,
  bytesSent: 0,
  messagesReceived: 0,
  bytesReceived: 0,
  messagesLost: 0,
  rejects: 0,
  unsentMessages: 0,
  unsentBytes: 0,
  waitingSends: 0,
  unreadMessages: 0
}

const SIZES = [0, 1, 22, 4096, 4097, 16_376, 16_384, 100_000, 2 ** 20]
const TOTAL = SIZES.reduce((sum, size) => sum + size)

/** Everything that comes on the wire until the end, as messages. */
async function messagesOf(raw: RawPeer): Promise<Buffer[]> {
  expect(await raw.read(SP_HEADER.length)).toEqual(SP_HEADER)
  const bytes = await raw.rest()
  const head = raw.transport === 'ipc' ? 9 : 8
  const messages: Buffer[] = []
  for (let at = 0; at + head <= bytes.length;) {
    const end = at + head + Number(bytes.readBigUInt64BE(at + head - 8))
    if (end > bytes.length) break
    messages.push(bytes.subarray(at + head, end))
    at = end
  }
  return messages
}

/** A listening socket and a peer that takes nothing from its kernel. */
async function deafPair(
  transport: (typeof transports)[number],
  sendBuffer: number
): Promise<{ sock: PairSocket; raw: RawPeer }> {
  const sock = socket({ sendBuffer })
  const { url } = await sock.listen(freeUrl(transport))
  const connected = once(sock, 'connect')
  const raw = await RawPeer.connect(url)
  await raw.write(SP_HEADER)
  await connected
  return { sock, raw }
}

describe('stats with no peer', () => {
  test('of a new socket are zero', async () => {
    const sock = socket()
    expect(sock.stats()).toEqual(NOTHING)
    await sock.close()
    expect(sock.stats()).toEqual(NOTHING)
  })

  test('tell what is accepted, and what waits for room', async () => {
    const sock = socket({ sendBuffer: 2 })
    await sock.send('four')
    expect(sock.stats()).toEqual({
      ...NOTHING,
      unsentMessages: 1,
      unsentBytes: 4
    })
    await sock.send('')
    const aborted = new AbortController()
    const cancelled = sock.send('cancelled', { signal: aborted.signal })
    const waiting = sock.send('waiting')
    const accepted = { ...NOTHING, unsentMessages: 2, unsentBytes: 4 }
    expect(sock.stats()).toEqual({ ...accepted, waitingSends: 2 })
    aborted.abort()
    await expect(cancelled).rejects.toBe(aborted.signal.reason)
    expect(sock.stats()).toEqual({ ...accepted, waitingSends: 1 })
    expect(sock.trySend('refused')).toBe(false)
    expect(sock.stats()).toEqual({ ...accepted, waitingSends: 1 })
    const closed = sock.close()
    await expect(waiting).rejects.toMatchObject({ code: 'ECLOSED' })
    expect(await closed).toEqual({ unsent: 2 })
    // What was never sent stays so.
    expect(sock.stats()).toEqual(accepted)
  })
})

describe.each(transports)('stats over %s', (transport) => {
  test('count every message and its bytes, on both sides', async () => {
    const { listening, dialing } = await connectedPair(transport)
    for (const size of SIZES) await dialing.send(Buffer.alloc(size))
    await dialing.drain()
    const sent = {
      ...NOTHING,
      messagesSent: SIZES.length,
      bytesSent: TOTAL
    }
    expect(dialing.stats()).toEqual(sent)

    await until(() => listening.stats().messagesReceived === SIZES.length)
    const received = {
      ...NOTHING,
      messagesReceived: SIZES.length,
      bytesReceived: TOTAL
    }
    for (const [i, size] of SIZES.entries()) {
      expect(listening.stats()).toEqual({
        ...received,
        unreadMessages: SIZES.length - i
      })
      expect((await listening.recv()).length).toBe(size)
    }
    expect(listening.stats()).toEqual(received)

    await listening.send('back')
    expect(String(await dialing.recv())).toBe('back')
    await dialing.close()
    await listening.close()
    const back = { messagesReceived: 1, bytesReceived: 4 }
    expect(dialing.stats()).toEqual({ ...sent, ...back })
    expect(listening.stats()).toEqual({
      ...received,
      messagesSent: 1,
      bytesSent: 4
    })
  })

  test('go on over several connections', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    for (let i = 1; i <= 3; i++) {
      const peer = socket()
      const gone = once(sock, 'disconnect')
      await peer.dial(url)
      await peer.send('12345')
      await sock.recv()
      await sock.send('123')
      await peer.recv()
      await peer.close()
      await gone
      expect(sock.stats()).toEqual({
        ...NOTHING,
        messagesSent: i,
        bytesSent: 3 * i,
        messagesReceived: i,
        bytesReceived: 5 * i
      })
    }
  })

  test('what has only gathered is not sent yet', async () => {
    const { listening, dialing } = await connectedPair(transport)
    // In one turn: the loop's driver writes at its end, and the engine on a
    // thread of its own at any time.
    for (let i = 1; i <= 10; i++) {
      expect(dialing.trySend('12345')).toBe(true)
      const stats = dialing.stats()
      expect(stats.messagesSent + stats.unsentMessages).toBe(i)
      expect(stats.bytesSent).toBe(5 * stats.messagesSent)
      expect(stats.unsentBytes).toBe(5 * stats.unsentMessages)
      if (process.env.NNG_PAIR_DRIVER !== 'thread') {
        expect(stats.messagesSent).toBe(0)
      }
    }
    await dialing.drain()
    expect(dialing.stats()).toEqual({
      ...NOTHING,
      messagesSent: 10,
      bytesSent: 50
    })
    for (let i = 0; i < 10; i++) await listening.recv()
  })

  test.each([100, 4000, 2 ** 18])(
    'add up at any time, with messages of %d bytes to a slow peer',
    async (size) => {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer: 4 },
        dialing: { sendBuffer: 50 }
      })
      const message = Buffer.alloc(size)
      const total = size < 1000 ? 1000 : 300
      const check = () => {
        const { messagesSent, unsentMessages, ...ours } = dialing.stats()
        const { messagesReceived, unreadMessages, ...theirs } =
          listening.stats()
        expect([
          messagesSent + unsentMessages,
          ours.bytesSent,
          ours.unsentBytes,
          messagesReceived - unreadMessages,
          theirs.bytesReceived
        ]).toEqual([
          accepted,
          size * messagesSent,
          size * unsentMessages,
          received,
          size * messagesReceived
        ])
      }
      let accepted = 0
      let received = 0
      while (received < total) {
        while (accepted < total && dialing.trySend(message)) {
          accepted++
          check()
        }
        await listening.recv()
        received++
        check()
      }
      await dialing.drain()
      expect(dialing.stats()).toEqual({
        ...NOTHING,
        messagesSent: total,
        bytesSent: size * total
      })
    }
  )

  // Small ones gather, and the kernel takes a part of what has gathered.
  test.each([100, 5000, 2 ** 18])(
    'tell exactly which messages of %d bytes a deaf peer’s kernel has',
    async (size) => {
      const { sock, raw } = await deafPair(transport, 20)
      let asked = 0
      let drained = 0
      const count = await fill(sock, transport, (i) => {
        if (i > asked) {
          asked = i
          sock.drain().then(
            () => (drained = i),
            () => {}
          )
        }
        return Buffer.alloc(size)
      })
      await until(() => drained >= sock.stats().messagesSent)
      const { messagesSent, unsentMessages, bytesSent, unsentBytes } =
        sock.stats()
      expect(drained).toBe(messagesSent)
      expect(messagesSent + unsentMessages).toBe(count)
      expect(bytesSent).toBe(size * messagesSent)
      expect(unsentBytes).toBe(size * unsentMessages)
      const { unsent } = await sock.close({ timeout: 0 })
      const got = await messagesOf(raw)
      expect(got.length).toBe(count - unsent)
      const after = sock.stats()
      expect(after.messagesSent).toBe(got.length)
      expect(after.bytesSent).toBe(size * got.length)
      expect(after.unsentMessages + after.messagesLost).toBe(unsent)
      expect(after.unsentBytes).toBe(size * after.unsentMessages)
    }
  )

  test('what went down with its connection is lost, and no more', async () => {
    const { sock, raw } = await deafPair(transport, 20)
    const count = await fill(sock, transport, () => Buffer.alloc(2 ** 18))
    const gone = once(sock, 'disconnect')
    await raw.reset()
    await gone
    const { messagesSent, unsentMessages, ...stats } = sock.stats()
    // The kernel may have taken one more at the last moment.
    expect(messagesSent + 1 + unsentMessages).toBe(count)
    expect(unsentMessages).toBeGreaterThan(0)
    expect(unsentMessages).toBeLessThanOrEqual(20)
    expect(stats).toMatchObject({
      bytesSent: messagesSent * 2 ** 18,
      messagesLost: 1,
      unsentBytes: unsentMessages * 2 ** 18
    })
  })

  // The header of the connection has gathered, too, and is no message.
  test('a peer that has gone before it was noticed', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    const gone = once(sock, 'disconnect')
    // It does not wait for us: the kernel takes the connection and the bytes.
    spawnSync(process.execPath, [
      '-e',
      `const peer = require('node:net').connect(${JSON.stringify(address(url))})
      peer.on('error', () => {})
      const header = Buffer.from('${SP_HEADER.toString('hex')}', 'hex')
      peer.write(header, () => peer.destroy())`
    ])
    expect(sock.trySend('for the next peer')).toBe(true)
    const drained = sock.drain()
    await gone
    // Which of them depends on what is noticed first.
    const { messagesSent, messagesLost, unsentMessages } = sock.stats()
    expect([messagesSent, messagesLost, unsentMessages].sort()).toEqual([
      0, 0, 1
    ])
    if (unsentMessages > 0) await RawPeer.shake(url)
    await drained
    expect(sock.stats()).toMatchObject({
      messagesSent: 1 - messagesLost,
      messagesLost,
      unsentMessages: 0
    })
  })

  test('rejects', async () => {
    const { listening, url } = await connectedPair(transport)
    for (let i = 1; i <= 3; i++) {
      const rejected = once(listening, 'reject')
      const raw = await RawPeer.shake(url)
      await rejected
      await raw.rest()
      expect(listening.stats()).toEqual({ ...NOTHING, rejects: i })
    }
  })

  test('half a message is none', async () => {
    const { sock, raw } = await deafPair(transport, 1)
    const gone = once(sock, 'disconnect')
    await raw.send('whole')
    await raw.write(frame(transport, 'cut off').subarray(0, 12))
    await raw.finish()
    await gone
    expect(sock.stats()).toEqual({
      ...NOTHING,
      messagesReceived: 1,
      bytesReceived: 5,
      unreadMessages: 1
    })
  })

  test('messages that a closed socket drops were received', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await dialing.sendMany(['one', 'two'])
    await until(() => listening.stats().unreadMessages === 2)
    await listening.close()
    expect(listening.stats()).toEqual({
      ...NOTHING,
      messagesReceived: 2,
      bytesReceived: 6
    })
  })
})
