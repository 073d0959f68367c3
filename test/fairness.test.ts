import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../lib'
import { inProcess } from './support/childProcess'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

/** Counts the turns of the event loop while a promise is pending. */
async function turnsDuring(promise: Promise<unknown>): Promise<number> {
  let turns = 0
  let pending = true
  void promise.finally(() => (pending = false))
  for (; pending; turns++) await turn()
  return turns
}

const MESSAGES = 40_000
const list = Array.from({ length: MESSAGES }, (_, i) => String(i))

/** Reads them all, with `many` at once. */
async function receive(sock: PairSocket, many: number): Promise<void> {
  for (let n = 0; n < MESSAGES;) n += (await sock.recvMany(many)).length
}

describe.each(transports)('the event loop turns over %s', (transport) => {
  test('while a long list is sent, and received in large pieces', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      dialing: { sendBuffer: 8192 },
      listening: { recvBuffer: 8192 }
    })
    const received = receive(listening, 8192)
    const turns = await turnsDuring(dialing.sendMany(list))
    // At least once in 1024 messages.
    expect(turns).toBeGreaterThanOrEqual(Math.floor(MESSAGES / 1024) - 1)
    await received
  })

  test('while messages that are there are received in pieces', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 8192 }
    })
    await dialing.sendMany(list.slice(0, 8192))
    await until(() => listening.stats().unreadMessages === 8192)
    const turns = await turnsDuring(
      (async () => {
        for (let n = 0; n < 8192;) n += (await listening.recvMany(256)).length
      })()
    )
    expect(turns).toBeGreaterThanOrEqual(7)
  })

  test('while large messages that are there are received', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const sending = (async () => {
      for (let i = 0; i < 64; i++) await dialing.send(Buffer.alloc(2 ** 20))
    })()
    await until(() => listening.stats().unreadMessages === 64)
    await sending
    const turns = await turnsDuring(
      (async () => {
        for (let i = 0; i < 64; i++) await listening.recv()
      })()
    )
    // At least once in 4 MiB.
    expect(turns).toBeGreaterThanOrEqual(15)
  })
})

// Another process that never stops sending, and never has to wait long.
const flood = (
  { lib, once }: import('./support/childProcess').Tools,
  url: string,
  size: number
) => {
  const sock = new lib.PairSocket()
  const data = Buffer.alloc(size)
  void sock.dial(url).then(async () => {
    void once(sock, 'disconnect').then(() => process.exit(0))
    for (;;) await sock.sendMany(Array.from({ length: 64 }, () => data))
  })
}

describe.each(transports)('a flood over %s', (transport) => {
  test.each([64, 2 ** 20])(
    'of %d bytes a message leaves the others their share',
    async (size) => {
      const flooded = socket()
      const { url } = await flooded.listen(freeUrl(transport))
      const child = inProcess(flood, url, size)
      await new Promise((resolve) => flooded.once('connect', resolve))
      let received = 0
      const receiving = (async () => {
        for await (const message of flooded) received += message.length
      })()

      // As long as it goes on: another socket, a timer, setImmediate.
      const { listening, dialing } = await connectedPair(transport)
      await until(() => received > 0)
      const before = received
      for (let i = 0; i < 50; i++) {
        await dialing.send(String(i))
        await listening.send(await listening.recv())
        expect(String(await dialing.recv())).toBe(String(i))
        await turn()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      expect(received).toBeGreaterThan(before)
      await flooded.close({ timeout: 0 })
      await receiving
      await child.exit
    }
  )

  test('that nobody reads stops at the buffers', async () => {
    const flooded = socket({ recvBuffer: 4 })
    const { url } = await flooded.listen(freeUrl(transport))
    const child = inProcess(flood, url, 2 ** 20)
    await until(() => flooded.stats().unreadMessages === 4)
    const { listening, dialing } = await connectedPair(transport)
    for (let i = 0; i < 100; i++) {
      await dialing.send('x')
      await listening.recv()
    }
    expect(flooded.stats().unreadMessages).toBe(4)
    await flooded.close({ timeout: 0 })
    await child.exit
  })
})
