import { PairSocket, type MessageData } from '../lib'
import { random } from './support/random'
import { RawPeer, frame } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'

// Around what binding/core and binding/stream treat in different ways.
const KiB = 1024
const sizes = [
  ...[0, 1, 2000, 4 * KiB - 9, 4 * KiB, 5000],
  ...[16 * KiB - 1, 16 * KiB, 16 * KiB + 1, 20_000],
  ...[64 * KiB - 9, 64 * KiB - 8, 64 * KiB, 64 * KiB + 1, 200_000],
  ...[2 ** 20, 2 ** 20 + 1, 3_000_001]
]

// Each 64 bytes say where they are.
const STEP = 64
const pattern = Buffer.allocUnsafe(9 * 2 ** 20)
for (let at = 0; at < pattern.length; at += STEP) {
  pattern.fill(`${at} `, at, at + STEP)
}

/** A body that tells its number, and whether anything in it moved. */
function body(number: number, size: number): Buffer {
  const from = number * STEP
  return pattern.subarray(from, from + size)
}

describe.each(transports)('messages of all sizes over %s', (transport) => {
  test.each([0, 1, 128])(
    'arrive as they were sent, one behind the other, sendBuffer %d',
    async (sendBuffer) => {
      const { listening, dialing } = await connectedPair(transport, {
        dialing: { sendBuffer }
      })
      const next = random(sendBuffer)
      const chosen = Array.from(
        { length: 150 },
        () => sizes[Math.floor(next() * sizes.length)]!
      )
      const sending = (async () => {
        const reused = Buffer.alloc(Math.max(...sizes))
        for (const [i, size] of chosen.entries()) {
          const bytes = body(i, size)
          let data: MessageData = reused.subarray(0, size)
          if (next() < 0.2) data = bytes.toString('latin1')
          else bytes.copy(reused)
          const sent = dialing.send(data)
          // It was copied, or is with the kernel.
          reused.fill(0, 0, size)
          await sent
        }
      })()
      for (const [i, size] of chosen.entries()) {
        const message = await listening.recv()
        expect(message.length).toBe(size)
        expect(message.equals(body(i, size))).toBe(true)
      }
      await sending
      expect(dialing.stats()).toMatchObject({ unsentMessages: 0 })
    }
  )

  test('one that was written in part is lost whole with its peer', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    const first = await RawPeer.shake(url)
    const size = 8 * 2 ** 20
    await sock.send(body(0, size))
    await sock.send(body(1, size))
    // The kernel cannot have had all of it.
    await first.read(1000)
    expect(sock.stats()).toMatchObject({ messagesSent: 0, unsentMessages: 2 })
    const gone = new Promise((resolve) => sock.once('disconnect', resolve))
    first.socket.destroy()
    await gone

    const second = await RawPeer.shake(url)
    const expected = frame(transport, body(1, size))
    expect((await second.read(expected.length)).equals(expected)).toBe(true)
    expect(sock.stats()).toMatchObject({ messagesLost: 1, messagesSent: 1 })
  })

  test('both ways at once', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const exchange = async (from: PairSocket, to: PairSocket) => {
      const sending = (async () => {
        for (let i = 0; i < 40; i++) await from.send(body(i, 500_000 + i))
      })()
      for (let i = 0; i < 40; i++) {
        expect((await to.recv()).equals(body(i, 500_000 + i))).toBe(true)
      }
      await sending
    }
    await Promise.all([
      exchange(listening, dialing),
      exchange(dialing, listening)
    ])
  })

  test('one that is closed while it sends sends all of it', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const size = 6 * 2 ** 20
    await dialing.send(body(0, size))
    const closing = dialing.close()
    expect((await listening.recv()).equals(body(0, size))).toBe(true)
    expect(await closing).toEqual({ unsent: 0 })
  })
})
