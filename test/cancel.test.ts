import { getEventListeners, once } from 'node:events'
import * as net from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket, WaitOptions } from '../lib'
import { time, type Timer } from '../lib/time'
import { cancelling, wasCancelled } from './support/cancelling'
import { settle } from './support/full'
import { random } from './support/random'
import { netPath } from './support/rawPeer'
import {
  connectedPair,
  ipcPath,
  socket,
  transports,
  type Transport
} from './support/transports'
import { until } from './support/until'

/** Calls that take a signal; each has to wait on a lonely socket. */
const waiting: [
  name: string,
  call: (sock: PairSocket, options: WaitOptions) => Promise<unknown>
][] = [
  ['recv', (sock, options) => sock.recv(options)],
  ['recvMany', (sock, options) => sock.recvMany(5, options)],
  ['send', (sock, options) => sock.send('never', options)],
  ['sendMany', (sock, options) => sock.sendMany(['never'], options)],
  ['drain', (sock, options) => sock.drain(options)]
]

/** A socket that has no peer and no room. */
async function lonely(): Promise<PairSocket> {
  const sock = socket({ sendBuffer: 1 })
  await sock.send('the only one')
  return sock
}

/** No more of an AbortSignal than it takes to hear of it. */
class ForeignSignal {
  aborted = false
  reason?: unknown
  readonly listeners = new Set<() => void>()

  addEventListener(type: string, listener: () => void): void {
    expect(type).toBe('abort')
    this.listeners.add(listener)
  }

  removeEventListener(type: string, listener: () => void): void {
    expect(type).toBe('abort')
    this.listeners.delete(listener)
  }

  abort(reason: unknown): void {
    this.aborted = true
    if (reason !== undefined) this.reason = reason
    for (const listener of this.listeners) listener()
  }
}

/** Counts the timers of ours that are set. */
function countTimers(): () => number {
  const set = new Set<Timer>()
  const after = time.after.bind(time)
  const cancel = time.cancel.bind(time)
  jest.spyOn(time, 'after').mockImplementation((ms, call) => {
    const timer = after(ms, () => {
      set.delete(timer)
      call()
    })
    set.add(timer)
    return timer
  })
  jest.spyOn(time, 'cancel').mockImplementation((timer) => {
    set.delete(timer)
    cancel(timer)
  })
  return () => set.size
}

afterEach(() => {
  jest.restoreAllMocks()
})

const increasing = (list: number[]) =>
  list.every((n, i) => !i || n > list[i - 1]!)

describe.each(transports)('random cancelling over %s', (transport) => {
  test.each([0, 1, 128])(
    'of recv, recvBuffer %d: no message is lost, doubled or overtaken',
    async (recvBuffer) => {
      const next = random(recvBuffer + 1)
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer }
      })
      const received: number[] = []
      const tried: number[] = []
      let cancelled = 0
      let outstanding = 0
      const receive = async (): Promise<void> => {
        outstanding++
        const [options, begun] = cancelling(next)
        try {
          if (next() < 0.2) {
            const call = listening.recvMany(1 + Math.floor(next() * 5), options)
            begun()
            received.push(...(await call).map(Number))
          } else {
            const call = listening.recv(options)
            begun()
            received.push(Number(await call))
          }
        } catch (error) {
          wasCancelled(error)
          cancelled++
        }
        outstanding--
      }
      let total = 0
      const enough = () => received.length > 1500 && cancelled > 1500
      const sending = (async () => {
        while (!enough()) {
          for (let burst = Math.floor(next() * 8); burst > 0; burst--) {
            await dialing.send(String(total++))
          }
          for (let pause = Math.floor(next() * 3); pause > 0; pause--) {
            await turn()
          }
        }
      })()
      while (!enough() || received.length + tried.length < total) {
        if (outstanding < 8) void receive()
        else await turn()
        if (next() < 0.1) await turn()
        const message = next() < 0.1 ? listening.tryRecv() : undefined
        if (message) tried.push(Number(message))
      }
      await sending
      await listening.close()
      await until(() => outstanding === 0)
      expect(increasing(received)).toBe(true)
      expect(increasing(tried)).toBe(true)
      expect(new Set([...received, ...tried]).size).toBe(total)
      expect(received.length + tried.length).toBe(total)
    }
  )

  test.each([0, 1, 16])(
    'of send, sendBuffer %d: what was cancelled is not sent, all else is',
    async (sendBuffer) => {
      const next = random(sendBuffer + 101)
      const { listening, dialing } = await connectedPair(transport, {
        listening: { recvBuffer: 0 },
        dialing: { sendBuffer }
      })
      // Large, so that the kernel is often full.
      const padding = Buffer.alloc(64 * 1024)
      const accepted: number[] = []
      let cancelled = 0
      let outstanding = 0
      const send = async (i: number): Promise<void> => {
        outstanding++
        const [options, begun] = cancelling(next)
        padding.writeUInt32LE(i)
        try {
          const call = dialing.send(padding, options)
          begun()
          await call
          accepted.push(i)
        } catch (error) {
          wasCancelled(error)
          cancelled++
        }
        outstanding--
      }
      const received: number[] = []
      const receiving = (async () => {
        for await (const message of listening) {
          received.push(message.readUInt32LE())
          if (next() < 0.2) await turn()
        }
      })()
      for (let i = 0; i < 3000; i++) {
        void send(i)
        await until(() => outstanding <= 20)
      }
      await until(() => outstanding === 0)
      await until(() => received.length === accepted.length)
      await listening.close()
      await receiving
      expect(received).toEqual(accepted.sort((a, b) => a - b))
      expect(cancelled).toBeGreaterThan(100)
      expect(dialing.stats()).toMatchObject({
        messagesSent: accepted.length,
        unsentMessages: 0,
        waitingSends: 0
      })
    }
  )

  test('an abort and a message that are there together: one wins', async () => {
    const { listening, dialing } = await connectedPair(transport)
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController()
      const { signal } = controller
      const lost = listening.recv({ signal })
      await dialing.send(`${i} lost`)
      // The abort comes before the message, with it, or after it.
      for (let n = 0; n < i % 4; n++) await turn()
      controller.abort('mine')
      const outcome = await lost.then(String, String)
      if (outcome === 'mine') {
        expect(String(await listening.recv())).toBe(`${i} lost`)
      } else {
        expect(outcome).toBe(`${i} lost`)
      }

      const won = listening.recv({ signal: new AbortController().signal })
      await dialing.send(`${i} won`)
      expect(String(await won)).toBe(`${i} won`)
    }
    expect(listening.tryRecv()).toBeUndefined()
  })
})

describe.each(waiting)('cancelling %s', (_, call) => {
  const reasons: [name: string, reason: unknown][] = [
    ['an error', new Error('mine')],
    ['text', 'mine'],
    ['an object', { mine: true }],
    ['null', null]
  ]
  test.each(reasons)('rejects with the reason, %s', async (_, reason) => {
    const sock = await lonely()
    const controller = new AbortController()
    const pending = call(sock, { signal: controller.signal })
    controller.abort(reason)
    await expect(pending).rejects.toBe(reason)
    await expect(call(sock, { signal: controller.signal })).rejects.toBe(reason)
    expect(sock.stats()).toMatchObject({ unsentMessages: 1, waitingSends: 0 })
  })

  test('the reasons that Node makes', async () => {
    const sock = await lonely()
    const signals = [
      AbortSignal.abort(),
      AbortSignal.timeout(1),
      AbortSignal.any([AbortSignal.timeout(1)])
    ]
    const errors = await Promise.all(
      signals.map((signal) => call(sock, { signal }).catch((e: unknown) => e))
    )
    expect(errors.map((error) => (error as Error).name)).toEqual([
      'AbortError',
      'TimeoutError',
      'TimeoutError'
    ])
    for (const [i, error] of errors.entries()) {
      expect(error).toBe(signals[i]!.reason)
    }
  })

  test('timeout 0 does not wait, a short one ends with ETIMEDOUT', async () => {
    const sock = await lonely()
    for (const timeout of [0, 1, 5.5]) {
      await expect(call(sock, { timeout })).rejects.toMatchObject({
        name: 'NngError',
        code: 'ETIMEDOUT',
        errno: 5
      })
    }
    expect(sock.stats()).toMatchObject({ unsentMessages: 1, waitingSends: 0 })
  })

  test('takes a signal that is not of this realm, or not of Node', async () => {
    const sock = await lonely()
    for (const reason of ['enough', null, undefined]) {
      const signal = new ForeignSignal()
      const options = { signal: signal as unknown as AbortSignal }
      const cancelled = call(sock, options)
      expect(signal.listeners.size).toBe(1)
      signal.abort(reason)
      for (const each of [cancelled, call(sock, options)]) {
        await (reason === undefined
          ? expect(each).rejects.toMatchObject({ name: 'AbortError' })
          : expect(each).rejects.toBe(reason))
      }
      expect(signal.listeners.size).toBe(0)
    }
    // As Node's own functions: nobody has to listen to this one.
    const aborted = { aborted: true, reason: 'before' }
    await expect(call(sock, { signal: aborted as never })).rejects.toBe(
      'before'
    )
    expect(sock.stats().waitingSends).toBe(0)
  })

  test('one signal for many calls is no leak to Node', async () => {
    const sock = await lonely()
    const warnings: Error[] = []
    const warned = (warning: Error) => warnings.push(warning)
    process.on('warning', warned)
    const controller = new AbortController()
    const { signal } = controller
    const calls = Array.from({ length: 20 }, () => call(sock, { signal }))
    expect(getEventListeners(signal, 'abort').length).toBe(1)
    controller.abort('all')
    const ends = await Promise.allSettled(calls)
    expect(ends).toEqual(
      ends.map(() => ({ status: 'rejected', reason: 'all' }))
    )
    expect(getEventListeners(signal, 'abort').length).toBe(0)
    await turn() // warnings are told a tick later
    process.off('warning', warned)
    expect(warnings).toEqual([])
  })

  test('leaves no listener and no timer, however it ends', async () => {
    const sock = await lonely()
    const timeouts = countTimers()
    const controller = new AbortController()
    const { signal } = controller
    const listeners = () => getEventListeners(signal, 'abort').length
    const timeout = 1_000_000

    await expect(call(sock, { signal, timeout: 1 })).rejects.toThrow()
    expect([listeners(), timeouts()]).toEqual([0, 0])

    const closed = expect(call(sock, { signal, timeout })).rejects.toThrow()
    expect([listeners(), timeouts()]).toEqual([1, 1])
    await sock.close()
    await closed
    expect([listeners(), timeouts()]).toEqual([0, 0])
    await expect(call(sock, { signal, timeout })).rejects.toThrow('ECLOSED')
    expect([listeners(), timeouts()]).toEqual([0, 0])

    const other = await lonely()
    const aborted = call(other, { signal, timeout })
    controller.abort('mine')
    await expect(aborted).rejects.toBe('mine')
    expect([listeners(), timeouts()]).toEqual([0, 0])

    const done = new AbortController()
    const served = call(other, { signal: done.signal, timeout })
    const peer = socket()
    await peer.listen(`ipc://${ipcPath()}`).then(({ url }) => other.dial(url))
    await peer.send('for recv')
    await served
    expect(getEventListeners(done.signal, 'abort').length).toBe(0)
    expect(timeouts()).toBe(0)
  })
})

describe.each(transports)('cancelling dial over %s', (transport) => {
  /** A listener that never says a word, and counts who comes. */
  async function silent(transport: Transport): Promise<{
    url: string
    connections: net.Socket[]
    server: net.Server
  }> {
    const connections: net.Socket[] = []
    const server = net.createServer((connection) => {
      connections.push(connection.resume())
    })
    servers.push(server)
    const path = ipcPath()
    server.listen(
      transport === 'tcp'
        ? { port: 0, host: '127.0.0.1' }
        : { path: netPath(path) }
    )
    await once(server, 'listening')
    const url =
      transport === 'tcp'
        ? `tcp://127.0.0.1:${(server.address() as net.AddressInfo).port}`
        : `ipc://${path}`
    return { url, connections, server }
  }

  const servers: net.Server[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
  })

  const ways: [
    name: string,
    options: () => WaitOptions,
    error: (options: WaitOptions, url: string) => unknown
  ][] = [
    [
      'its timeout',
      () => ({ timeout: 20 }),
      (_, address) =>
        expect.objectContaining({
          code: 'ETIMEDOUT',
          syscall: 'dial',
          address
        }) as unknown
    ],
    [
      'its signal',
      () => ({ signal: AbortSignal.timeout(20) }),
      ({ signal }) => signal!.reason as Error
    ]
  ]
  test.each(ways)('%s closes the dialer', async (_, make, expected) => {
    const { url, connections, server } = await silent(transport)
    const sock = socket({ reconnectMin: 1, reconnectMax: 1 })
    const arrived = once(server, 'connection')
    const options = make()
    const error: unknown = await sock
      .dial(url, options)
      .catch((e: unknown) => e)
    expect(error).toEqual(expected(options, url))
    await arrived
    await until(() => connections.every((connection) => connection.closed))
    await settle(transport)
    expect(connections.length).toBe(1)
    if (options.signal) {
      expect(getEventListeners(options.signal, 'abort').length).toBe(0)
      await expect(sock.dial(url, options)).rejects.toBe(options.signal.reason)
      await expect(sock.listenOrDial(url, options)).rejects.toBe(
        options.signal.reason
      )
      expect(connections.length).toBe(1)
    }
    // It is none the worse for it.
    const peer = socket()
    const listener = await peer.listen(
      transport === 'tcp' ? 'tcp://127.0.0.1:0' : `ipc://${ipcPath()}`
    )
    await sock.dial(listener.url)
    await sock.send('hello')
    expect(String(await peer.recv())).toBe('hello')
  })

  test('a signal that is not of Node closes it, too', async () => {
    const { url } = await silent(transport)
    for (const name of ['dial', 'listenOrDial'] as const) {
      const sock = socket()
      const signal = new ForeignSignal()
      const options = { signal: signal as unknown as AbortSignal }
      const cancelled = sock[name](url, options)
      await until(() => signal.listeners.size > 0)
      signal.abort(undefined)
      for (const each of [cancelled, sock[name](url, options)]) {
        await expect(each).rejects.toMatchObject({ name: 'AbortError' })
      }
      expect(signal.listeners.size).toBe(0)
    }
  })

  test('an abort that races the handshake leaves all or nothing', async () => {
    const next = random(7)
    let dialed = 0
    // Turns of the loop: about what a dial takes here, so that either may win.
    let most = 6
    for (let i = 0; i < 150; i++) {
      // A peer of its own: one that still has the last pipe would refuse.
      const peer = socket()
      const { url } = await peer.listen(
        transport === 'tcp' ? 'tcp://127.0.0.1:0' : `ipc://${ipcPath()}`
      )
      const sock = socket()
      const events: string[] = []
      sock.on('connect', () => events.push('connect'))
      sock.on('disconnect', () => events.push('disconnect'))
      const controller = new AbortController()
      const when = Math.floor(next() * most)
      const dialing = sock.dial(url, { signal: controller.signal }).then(
        () => 'dialed',
        (reason: unknown) => reason
      )
      void (async () => {
        for (let turns = 0; turns < when; turns++) await turn()
        controller.abort('late')
      })()
      const outcome = await dialing
      expect(['dialed', 'late']).toContain(outcome)
      if (outcome === 'dialed') {
        expect(events).toEqual(['connect'])
        dialed++
        most = Math.max(2, most * 0.8)
      } else {
        most *= 1.2
      }
      await sock.close()
      expect(['', 'connect disconnect']).toContain(events.join(' '))
      await peer.close()
    }
    expect(dialed).toBeGreaterThan(0)
    expect(dialed).toBeLessThan(150)
  })
})
