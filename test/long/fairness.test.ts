import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../../lib'
import { inProcess } from '../support/childProcess'
import { unusedUrl } from '../support/command'
import { RawPeer, SP_HEADER, address, frame } from '../support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from '../support/transports'
import { until } from '../support/until'

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

  test('while calls by the thousand that wait are served', async () => {
    const listening = socket()
    const { url } = await listening.listen(freeUrl(transport))
    const raw = await RawPeer.shake(url)
    let settled = 0
    const calls = Array.from({ length: 8000 }, () =>
      listening.recv().then(() => settled++)
    )
    // All of it is in the kernel before the next turn.
    void raw.write(...list.slice(0, 8000).map((m) => frame(transport, m)))
    let most = 0
    while (settled < calls.length) {
      const before = settled
      await turn()
      most = Math.max(most, settled - before)
    }
    // By a wake-up and by what is left of the one before.
    expect(most).toBeLessThanOrEqual(2 * 1024)
    await Promise.all(calls)
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
  { lib, once }: import('../support/childProcess').Tools,
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

/** A child that sends the same messages for ever, and never hangs up. */
const floodWithFrames = (
  { net }: import('../support/childProcess').Tools,
  to: import('node:net').NetConnectOpts,
  header: string,
  frame: string
) => {
  const socket = net.connect({ ...to, allowHalfOpen: true })
  const frames = Buffer.from(
    frame.repeat(Math.ceil(800_000 / frame.length)),
    'hex'
  )
  socket.on('error', () => process.exit(0))
  socket.on('close', () => process.exit(0))
  socket.resume()
  socket.write(Buffer.from(header, 'hex'))
  const write = () => {
    while (socket.write(frames));
    socket.once('drain', write)
  }
  write()
}

describe.each(transports)('a raw flood over %s', (transport) => {
  const start = async (sock: PairSocket, size: number) => {
    const { url } = await sock.listen(freeUrl(transport))
    const connected = once(sock, 'connect')
    const body = Buffer.alloc(size)
    const child = inProcess(
      floodWithFrames,
      address(url),
      SP_HEADER.toString('hex'),
      frame(transport, body).toString('hex')
    )
    await connected
    return child
  }

  test.each([0, 64])(
    'of messages of %d bytes leaves the loop its turns while we close',
    async (size) => {
      for (let i = 0; i < 5; i++) {
        const sock = socket()
        const child = await start(sock, size)
        let closing = true
        const closed = sock.close({ timeout: 400 })
        void closed.finally(() => (closing = false))
        let before = sock.stats().messagesReceived
        let most = 0
        let turns = 0
        for (; closing; turns++) {
          await turn()
          const { messagesReceived } = sock.stats()
          most = Math.max(most, messagesReceived - before)
          before = messagesReceived
        }
        expect(turns).toBeGreaterThanOrEqual(10)
        // With the engine on a thread of its own that says nothing.
        if (process.env.NNG_PAIR_DRIVER !== 'thread') {
          expect(most).toBeLessThan(200_000)
        }
        child.kill('SIGKILL')
        await child.exit
      }
    }
  )

  test.each([0, 64])(
    'of messages of %d bytes comes in bounded batches, whatever is asked for',
    async (size) => {
      const sock = socket({ recvBuffer: 8192 })
      const child = await start(sock, size)
      let most = 0
      const received = (async () => {
        for (let i = 0; i < 200; i++) {
          const { length } = await sock.recvMany(1_000_000)
          most = Math.max(most, length)
        }
      })()
      expect(await turnsDuring(received)).toBeGreaterThan(0)
      expect(most).toBeLessThanOrEqual(1024)
      child.kill('SIGKILL')
      await child.exit
    }
  )
})

// A listener of events that takes longer than it takes for the next to come.
const slowListener = (
  { lib, say }: import('../support/childProcess').Tools,
  urls: string[]
) => {
  const sock = new lib.PairSocket()
  const busy = (ms: number) => {
    const since = performance.now()
    while (performance.now() - since < ms);
  }
  sock.on('reject', () => busy(1))
  for (const url of urls) {
    const dialer = new lib.PairSocket({ reconnectMin: 1, reconnectMax: 1 })
    void dialer.dial(url, { retry: true })
    void sock.listen(url)
  }
  let turns = 0
  const turn = () => {
    if (++turns < 8) setTimeout(turn, 1)
    else say('turned')
  }
  sock.once('reject', turn)
}

test.each(transports)(
  'a storm of strangers over %s, and a slow listener of events, leave the loop its turns',
  async (transport) => {
    const urls = await Promise.all([1, 2, 3, 4].map(() => unusedUrl(transport)))
    const child = inProcess(slowListener, urls)
    await child.line('turned')
    child.kill('SIGKILL')
    await child.exit
  }
)
