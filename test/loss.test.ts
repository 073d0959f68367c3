import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket, PairSocketOptions } from '../lib'
import { inProcess } from './support/childProcess'
import { RawPeer, SP_HEADER, frame } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports,
  type Transport
} from './support/transports'

function numbered(count: number, size = 0): string[] {
  return Array.from({ length: count }, (_, i) => `${i}`.padEnd(size, '.'))
}

/** A listening socket of ours and its peer, which has read nothing so far. */
async function rawPair(
  transport: Transport,
  options?: PairSocketOptions
): Promise<{ ours: PairSocket; raw: RawPeer; url: string }> {
  const ours = socket(options)
  const { url } = await ours.listen(freeUrl(transport))
  const connected = once(ours, 'connect')
  const raw = await RawPeer.connect(url)
  await raw.write(SP_HEADER)
  await connected
  return { ours, raw, url }
}

async function recvAll(sock: PairSocket, count: number): Promise<string[]> {
  const messages: string[] = []
  while (messages.length < count) messages.push(String(await sock.recv()))
  return messages
}

// How many messages of 256 KiB a connection takes down with it: on Windows also
// one that is under way as a whole (docs/guarantees.md).
const UNDER_WAY = process.platform === 'win32' ? 2 : 1

describe.each(transports)('a graceful close over %s', (transport) => {
  test('loses nothing to a slow reader that sends all the time', async () => {
    // More than the kernel takes, so that most of it is still to be sent.
    const messages = numbered(128, 128 * 1024)
    const { ours, raw } = await rawPair(transport)
    for (const message of messages) await ours.send(message)
    const closed = ours.close()

    let sent = 0
    let reading = true
    const chatter = frame(transport, 'x'.repeat(1000))
    const sending = (async () => {
      for (; reading; sent++) {
        await raw.write(chatter)
        await turn()
      }
    })()
    expect(await raw.read(SP_HEADER.length)).toEqual(SP_HEADER)
    for (const message of messages) {
      const got = await raw.recv()
      expect(got.equals(Buffer.from(message))).toBe(true)
      await turn()
    }
    // Then a clean end, and no reset that could have destroyed anything.
    expect(await raw.rest()).toHaveLength(0)
    expect(raw.error).toBeUndefined()
    expect(raw.socket.readableEnded).toBe(true)
    reading = false
    await sending
    expect(sent).toBeGreaterThan(0)
    await raw.close()
    expect(await closed).toEqual({ unsent: 0 })
  })

  test('waits for a peer that sends for a while before it reads', async () => {
    const messages = numbered(20, 1000)
    const { ours, raw } = await rawPair(transport)
    for (const message of messages) await ours.send(message)
    const closed = ours.close()
    const start = performance.now()
    while (performance.now() - start < 600) {
      await raw.send('x'.repeat(1000))
      await turn()
    }
    expect(await raw.read(SP_HEADER.length)).toEqual(SP_HEADER)
    for (const message of messages) {
      expect(String(await raw.recv())).toBe(message)
    }
    expect(await raw.rest()).toHaveLength(0)
    expect(raw.error).toBeUndefined()
    await raw.close()
    expect(await closed).toEqual({ unsent: 0 })
  })

  test('knows of a peer that has come this very moment', async () => {
    const listening = socket()
    const dialing = socket()
    const { url } = await listening.listen(freeUrl(transport))
    const messages = numbered(100)
    listening.trySend('first')
    // The listening side has not heard of it yet, or only just.
    await dialing.dial(url)
    for (const message of messages) listening.trySend(message)
    const closed = listening.close()
    expect(await recvAll(dialing, 101)).toEqual(['first', ...messages])
    expect(await closed).toEqual({ unsent: 0 })
  })

  test('of both sides at the same time comes to an end', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const messages = numbered(100, 10_000)
    for (const message of messages) {
      listening.trySend(message)
      dialing.trySend(message)
    }
    // What the other does not want any more may stay unsent.
    await Promise.all([listening.close(), dialing.close()])
    expect(listening.peer).toBeUndefined()
    expect(dialing.peer).toBeUndefined()
  })
})

const deaths = {
  'with a FIN': async (raw: RawPeer) => {
    await raw.finish()
    expect(await raw.read(SP_HEADER.length)).toEqual(SP_HEADER)
    await raw.close()
  },
  'with our bytes unread': (raw: RawPeer) => raw.close(),
  'with a reset': (raw: RawPeer) => raw.reset()
}

describe.each(transports)('a peer that dies over %s', (transport) => {
  const messages = numbered(500)

  describe.each(Object.entries(deaths))('%s', (_, die) => {
    test.each([0, 1, 128, 8192])(
      'loses nothing that it sent before (recvBuffer %i)',
      async (recvBuffer) => {
        const { ours, raw, url } = await rawPair(transport, { recvBuffer })
        const gone = once(ours, 'disconnect')
        await raw.write(...messages.map((m) => frame(transport, m)))
        await die(raw)
        expect(await recvAll(ours, 500)).toEqual(messages)
        const next = ours.recv()
        await gone
        const raw2 = await RawPeer.shake(url)
        await raw2.send('from the next peer')
        expect(String(await next)).toBe('from the next peer')
        await raw2.close()
      }
    )

    test('loses nothing although our sends fail', async () => {
      const { ours, raw, url } = await rawPair(transport)
      // Until the kernel takes no more: a send is under way when it dies.
      const big = Buffer.alloc(256 * 1024)
      let sent = 0
      do {
        while (ours.trySend(big)) sent++
        await turn()
      } while (ours.stats().unsentMessages < 128)
      const gone = once(ours, 'disconnect')
      await raw.write(...messages.map((m) => frame(transport, m)))
      await die(raw)
      expect(await recvAll(ours, 500)).toEqual(messages)
      const next = ours.recv()
      await gone

      // What was not on its way goes to the next peer, once.
      const { messagesSent, messagesLost } = ours.stats()
      const raw2 = await RawPeer.shake(url)
      expect(messagesLost).toBeLessThanOrEqual(UNDER_WAY)
      expect(messagesSent + messagesLost).toBeLessThan(sent)
      await raw2.send('from the next peer')
      expect(String(await next)).toBe('from the next peer')
      await ours.send('the end')
      let count = 0
      for (; (await raw2.recv()).equals(big); count++);
      expect(messagesSent + messagesLost + count).toBe(sent)
    })

    test.each(
      [0, 1, 2, 8].flatMap((recvBuffer) =>
        [10, 4096, 4097, 5000, 20_000].map((size) => ({ recvBuffer, size }))
      )
    )(
      'loses nothing although our sends find it dead ($recvBuffer, $size)',
      async ({ recvBuffer, size }) => {
        const few = numbered(3, size)
        const { ours, raw } = await rawPair(transport, { recvBuffer })
        const gone = once(ours, 'disconnect')
        await raw.write(...few.map((m) => frame(transport, m)))
        await die(raw)
        const sends = async () => {
          for (let i = 0; i < 5; i++) {
            ours.trySend(Buffer.alloc(20_000))
            ours.trySend('small')
            await turn()
          }
        }
        const got: string[] = []
        while (got.length < few.length) {
          await sends()
          got.push(String(await ours.recv()))
        }
        expect(got).toEqual(few)
        await gone
      }
    )
  })

  test('killed, loses nothing although our sends find it dead', async () => {
    const ours = socket({ recvBuffer: 1 })
    const { url } = await ours.listen(freeUrl(transport))
    const connected = once(ours, 'connect')
    const gone = once(ours, 'disconnect')
    const run = inProcess(
      async ({ lib, say, sleep }, url, messages) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        for (const message of messages) await sock.send(message)
        await sock.drain()
        say('drained')
        await sleep(2 ** 30)
      },
      url,
      numbered(4, 5000)
    )
    await connected
    await run.line('drained')
    run.kill('SIGKILL')
    await run.exit
    for (let i = 0; i < 5; i++) {
      ours.trySend(Buffer.alloc(20_000))
      await turn()
    }
    expect(await recvAll(ours, 4)).toEqual(numbered(4, 5000))
    await gone
  })

  test('in the middle of a message loses only that one', async () => {
    const { ours, raw, url } = await rawPair(transport)
    const gone = once(ours, 'disconnect')
    await raw.send('whole')
    await raw.write(frame(transport, 'cut off').subarray(0, 12))
    await raw.close()
    expect(String(await ours.recv())).toBe('whole')
    const next = ours.recv()
    await gone
    const raw2 = await RawPeer.shake(url)
    await raw2.send('next')
    expect(String(await next)).toBe('next')
  })

  test('a hundred times under traffic both ways leaves the socket well', async () => {
    const { ours, raw: first, url } = await rawPair(transport)
    let raw = first
    let stop = false
    const sending = (async () => {
      while (!stop) {
        if (!ours.trySend('x'.repeat(1000))) await turn()
        else if (Math.random() < 0.1) await turn()
      }
    })()
    for (let i = 0; i < 100; i++) {
      await raw.write(...messages.slice(0, 10).map((m) => frame(transport, m)))
      const gone = once(ours, 'disconnect')
      await raw.reset()
      expect(await recvAll(ours, 10)).toEqual(messages.slice(0, 10))
      await gone
      raw = await RawPeer.shake(url)
    }
    stop = true
    await sending
    const gone = once(ours, 'disconnect')
    await raw.close()
    await gone
  })
})
