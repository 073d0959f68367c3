import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { PairSocket, PairSocketOptions } from '../lib'
import { inProcess } from './support/childProcess'
import { unusedUrl } from './support/command'
import { PAIR1_HEADER, RawListener, RawPeer } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const EAGER = { reconnectMin: 1, reconnectMax: 10 }

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i))
}

function sum(list: number[]): number {
  return list.reduce((total, one) => total + one, 0)
}

async function recvAll(sock: PairSocket, count: number): Promise<string[]> {
  const messages: string[] = []
  while (messages.length < count) messages.push(String(await sock.recv()))
  return messages
}

/** A socket that dials by itself, and the raw listener that it finds. */
async function dialed(
  transport: (typeof transports)[number],
  options: PairSocketOptions
): Promise<{ sock: PairSocket; listener: RawListener }> {
  const listener = await RawListener.open(transport)
  const sock = socket(options)
  await sock.dial(listener.url, { retry: true })
  return { sock, listener }
}

/**
 * Accepts and lets go of so many connections; returns the milliseconds from
 * the end of each to the next one.
 */
async function pauses(
  listener: RawListener,
  count: number,
  letGo: (raw: RawPeer) => Promise<void>
): Promise<number[]> {
  const list: number[] = []
  await letGo(await listener.accept())
  while (list.length < count) {
    const left = performance.now()
    const raw = await listener.accept()
    list.push(performance.now() - left)
    await letGo(raw)
  }
  return list
}

/** Waits as long as an eager dialer takes to dial a dozen times. */
async function aDozenDials(
  transport: (typeof transports)[number]
): Promise<void> {
  const { sock, listener } = await dialed(transport, EAGER)
  await pauses(listener, 12, (raw) => raw.close())
  await sock.close()
}

const lettingGo = {
  'closes at once': (raw: RawPeer) => raw.close(),
  'resets at once': (raw: RawPeer) => raw.reset(),
  'closes after the handshake, as if it were busy': async (raw: RawPeer) => {
    await raw.shake()
    await raw.close()
  }
}

describe.each(transports)('a dialer over %s', (transport) => {
  describe.each(Object.entries(lettingGo))('whose listener %s', (_, letGo) => {
    test('waits for at least half of the shortest back-off', async () => {
      const { listener } = await dialed(transport, {
        reconnectMin: 60,
        reconnectMax: 60
      })
      const list = await pauses(listener, 12, letGo)
      // NNG's clock has milliseconds, and starts a little before ours.
      expect(Math.min(...list)).toBeGreaterThan(20)
    })

    test('waits longer each time', async () => {
      const { listener } = await dialed(transport, {
        reconnectMin: 8,
        reconnectMax: 100_000
      })
      const list = await pauses(listener, 7, letGo)
      // The last back-off is 512 ms, and at least half of it.
      expect(list[6]).toBeGreaterThan(200)
      expect(list[6]! + list[5]!).toBeGreaterThan(sum(list.slice(0, 4)))
    })

    test('waits no longer than the longest', async () => {
      const { listener } = await dialed(transport, EAGER)
      // Doubled forty times, it would be years.
      expect((await pauses(listener, 40, letGo)).length).toBe(40)
    })
  })

  test('that nobody answers backs off, and not beyond the longest', async () => {
    const url = await unusedUrl(transport)
    const sock = socket(EAGER)
    const dialer = await sock.dial(url, { retry: true })
    expect(dialer).toMatchObject({ type: 'dialer', url })
    expect(sock.peer).toBeUndefined()
    const peer = socket()
    const connected = once(sock, 'connect')
    await aDozenDials(transport)
    await peer.listen(url)
    await connected
    await sock.send('here')
    expect(String(await peer.recv())).toBe('here')
  })

  test('waits with the longest back-off that there is', async () => {
    const { sock, listener } = await dialed(transport, {
      reconnectMin: 2 ** 31 - 1,
      reconnectMax: 2 ** 31 - 1
    })
    const gone = once(sock, 'disconnect')
    const raw = await listener.accept()
    await raw.shake()
    await raw.close()
    await gone
    let again = false
    void listener.accept().then(() => (again = true))
    await aDozenDials(transport)
    expect(again).toBe(false)
  })

  test('starts anew with the shortest after a connection that lasted', async () => {
    const { listener } = await dialed(transport, {
      reconnectMin: 10,
      reconnectMax: 100_000
    })
    const close = lettingGo['closes after the handshake, as if it were busy']
    const before = await pauses(listener, 6, close)
    const raw = await listener.accept()
    await raw.shake()
    await sleep(1100)
    await raw.close()
    const left = performance.now()
    await listener.accept()
    // 10 ms, where 640 ms would have been next.
    expect(performance.now() - left).toBeLessThan(before[5]! + before[4]!)
  })

  test('finds the listener again after the peer has closed', async () => {
    const { listening, dialing, url } = await connectedPair(transport, {
      dialing: EAGER
    })
    const notes: string[] = []
    dialing.on('connect', () => notes.push('connect'))
    dialing.on('disconnect', () => notes.push('disconnect'))
    let peer = listening
    for (let round = 1; round <= 5; round++) {
      const gone = once(dialing, 'disconnect')
      await peer.close()
      await gone
      expect(dialing.peer).toBeUndefined()
      peer = socket()
      const connected = once(dialing, 'connect')
      await peer.listen(url)
      await connected
      await peer.send(`round ${round}`)
      expect(String(await dialing.recv())).toBe(`round ${round}`)
      expect(notes.splice(0)).toEqual(['disconnect', 'connect'])
    }
  })

  test('finds a new process after the old one was killed', async () => {
    const url = await unusedUrl(transport)
    const listen = () =>
      inProcess(async ({ lib, say }, address) => {
        const sock = new lib.PairSocket()
        await sock.listen(address)
        say('listening')
        for await (const message of sock) await sock.send(message)
      }, url)
    const sock = socket(EAGER)
    await sock.dial(url, { retry: true })
    for (let round = 0; round < 2; round++) {
      const connected = once(sock, 'connect')
      const run = listen()
      await connected
      await sock.send(`to process ${round}`)
      expect(String(await sock.recv())).toBe(`to process ${round}`)
      const gone = once(sock, 'disconnect')
      run.kill('SIGKILL')
      await gone
      await run.exit
    }
  })

  test('that a busy peer turns away is served once the first is gone', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const second = socket(EAGER)
    let turnedAway = 0
    second.on('disconnect', () => turnedAway++)
    await second.dial(url)
    await until(() => turnedAway >= 5)
    expect(listening.stats().rejects).toBeGreaterThanOrEqual(5)
    await dialing.send('undisturbed')
    expect(String(await listening.recv())).toBe('undisturbed')

    const connected = once(listening, 'connect')
    await dialing.close()
    await connected
    await listening.send('your turn')
    expect(String(await second.recv())).toBe('your turn')
    await second.send('at last')
    expect(String(await listening.recv())).toBe('at last')
  })

  test('whose first attempt failed is gone', async () => {
    const url = await unusedUrl(transport)
    const sock = socket(EAGER)
    const dialing = sock.dial(url)
    await expect(dialing).rejects.toMatchObject({
      name: 'NngError',
      code: 'ECONNREFUSED',
      syscall: 'dial',
      address: url
    })
    const peer = socket()
    let connects = 0
    peer.on('connect', () => connects++)
    await peer.listen(url)
    await aDozenDials(transport)
    expect([connects, sock.peer]).toEqual([0, undefined])
    await sock.dial(url)
    await until(() => connects > 0)
    expect(connects).toBe(1)
  })

  test('that met another protocol does not come back', async () => {
    const marker = Buffer.from('the last one')
    for (let round = 0; round < 20; round++) {
      const sock = socket({ reconnectMin: 1, reconnectMax: 1 })
      const listener = await RawListener.open(transport)
      const failed = expect(sock.dial(listener.url)).rejects.toMatchObject({
        code: 'EPROTO'
      })
      await (await listener.accept()).write(PAIR1_HEADER)
      await failed
      await sock.close()
      // Connections are accepted in the order in which they were made.
      await (await RawPeer.connect(listener.url)).write(marker)
      const next = await listener.accept()
      expect(await next.read(marker.length)).toEqual(marker)
    }
  })

  test('sends what was queued meanwhile to the next peer, in order', async () => {
    const { sock, listener } = await dialed(transport, EAGER)
    const raw = await listener.accept()
    await raw.shake()
    await sock.send('first')
    expect(String(await raw.recv())).toBe('first')
    const gone = once(sock, 'disconnect')
    await raw.close()
    await gone
    await listener.close()
    // More than there is room for.
    const sends = numbers(200).map((text) => sock.send(text))
    expect(sock.stats()).toMatchObject({
      unsentMessages: 128,
      waitingSends: 72
    })
    const peer = socket()
    await peer.listen(listener.url)
    expect(await recvAll(peer, 200)).toEqual(numbers(200))
    await Promise.all(sends)
    expect(sock.stats()).toMatchObject({ messagesSent: 201, messagesLost: 0 })
  })

  test('does not dial again once it is closed', async () => {
    const sock = socket(EAGER)
    const redials: number[] = []
    for (let round = 0; round < 5; round++) {
      const listener = await RawListener.open(transport)
      const dialing = sock.dial(listener.url)
      const raw = await listener.accept()
      await raw.shake()
      const dialer = await dialing
      const gone = once(sock, 'disconnect')
      await raw.close()
      await gone
      await dialer.close()
      redials[round] = 0
      const count = async (): Promise<void> => {
        await (await listener.accept()).close()
        redials[round]!++
        return count()
      }
      void count()
    }
    await aDozenDials(transport)
    // One may have been there before it was closed.
    expect(Math.max(...redials)).toBeLessThanOrEqual(1)
  })

  test('can be closed in the middle of its back-off, as its socket can', async () => {
    const listener = await RawListener.open(transport)
    const patient = { reconnectMin: 2 ** 30, reconnectMax: 2 ** 30 }
    for (const closeDialer of [true, false]) {
      const sock = socket(patient)
      const dialing = sock.dial(listener.url)
      const raw = await listener.accept()
      await raw.shake()
      const dialer = await dialing
      const gone = once(sock, 'disconnect')
      await raw.close()
      await gone
      await sock.send('for nobody')
      if (closeDialer) await dialer.close()
      expect(await sock.close()).toEqual({ unsent: 1 })
      await dialer.close()
    }
    const sock = socket(patient)
    await sock.dial(await unusedUrl(transport), { retry: true })
    expect(await sock.close()).toEqual({ unsent: 0 })
  })
})

describe.each(transports)('a listener over %s', (transport) => {
  test('takes one peer after the other', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    for (let round = 0; round < 10; round++) {
      await sock.sendMany([`a${round}`, `b${round}`])
      const peer = socket()
      const gone = once(sock, 'disconnect')
      await peer.dial(url)
      expect(await recvAll(peer, 2)).toEqual([`a${round}`, `b${round}`])
      await peer.send(`back ${round}`)
      await peer.close()
      expect(String(await sock.recv())).toBe(`back ${round}`)
      await gone
    }
    expect(sock.stats()).toMatchObject({
      messagesSent: 20,
      messagesReceived: 10,
      messagesLost: 0
    })
  })

  test('takes the next one after its peer was killed', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    const dial = () =>
      inProcess(async ({ lib }, address) => {
        const peer = new lib.PairSocket()
        await peer.dial(address)
        await peer.send('alive')
        for await (const message of peer) await peer.send(message)
      }, url)
    for (let round = 0; round < 2; round++) {
      const run = dial()
      expect(String(await sock.recv())).toBe('alive')
      await sock.send(`to ${round}`)
      expect(String(await sock.recv())).toBe(`to ${round}`)
      const gone = once(sock, 'disconnect')
      run.kill('SIGKILL')
      await gone
      await run.exit
    }
  })
})
