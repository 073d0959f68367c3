import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { DisconnectReason, PairSocket, Peer } from '../lib'
import {
  ending,
  inProcess,
  sourceInProcess,
  type Tools
} from './support/childProcess'
import { Run } from './support/command'
import { fill } from './support/full'
import { RawPeer, frame, lengthHeader } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'

const MAX = 2 ** 20
const onLinux = process.platform === 'linux'
const testOnLinux = onLinux ? test : test.skip

/** Why the socket's connection ends, and that it does so once. */
async function reasonOf(sock: PairSocket): Promise<DisconnectReason> {
  const [peer, reason, ...more] = (await once(sock, 'disconnect')) as [
    Peer,
    DisconnectReason
  ]
  expect(peer.url).toMatch(/^(tcp|ipc):\/\//)
  expect(more).toEqual([])
  return reason
}

describe.each(transports)('over %s, disconnect says', (transport) => {
  /** A socket of ours, and a peer that speaks the wire's bytes. */
  async function withRaw(options = {}): Promise<[PairSocket, RawPeer]> {
    const sock = socket(options)
    const connected = once(sock, 'connect')
    const raw = await RawPeer.shake((await sock.listen(freeUrl(transport))).url)
    await connected
    return [sock, raw]
  }

  test.each(['close', 'finish'] as const)(
    'hangup of a peer that has read everything: %s',
    async (end) => {
      const [sock, raw] = await withRaw()
      const reason = reasonOf(sock)
      await raw[end]()
      expect(await reason).toBe('hangup')
    }
  )

  test('hangup of a peer that closes, and closed on its own side', async () => {
    for (const options of [{}, { timeout: 0 }]) {
      const { listening, dialing } = await connectedPair(transport)
      const reasons = [reasonOf(listening), reasonOf(dialing)]
      await listening.close(options)
      expect(await Promise.all(reasons)).toEqual(['closed', 'hangup'])
    }
  })

  test.each(['listener', 'dialer'] as const)(
    'closed when the %s was closed, and hangup on the other side',
    async (type) => {
      const [one, other] = [socket(), socket()]
      const listener = await one.listen(freeUrl(transport))
      const connected = once(one, 'connect')
      const dialer = await other.dial(listener.url)
      await connected
      const [own, ends] =
        type === 'listener' ? [listener, [one, other]] : [dialer, [other, one]]
      const reasons = ends.map(reasonOf)
      await own.close()
      expect(await Promise.all(reasons)).toEqual(['closed', 'hangup'])
    }
  )

  test('closed when close() waits for the peer to hang up', async () => {
    const [sock, raw] = await withRaw()
    const reason = reasonOf(sock)
    const closing = sock.close()
    await raw.rest()
    await raw.close()
    expect(await reason).toBe('closed')
    await closing
  })

  test('reset when the peer breaks off while close() waits for it', async () => {
    const [sock, raw] = await withRaw()
    const reason = reasonOf(sock)
    for (let i = 0; i < 8; i++) sock.trySend(Buffer.alloc(MAX))
    const closing = sock.close()
    await raw.reset()
    expect(await reason).toBe('reset')
    expect((await closing).unsent).toBeGreaterThan(0)
  })

  /** A process that is the peer, and reads no more than the connection holds. */
  async function processPeer(): Promise<[PairSocket, Run]> {
    const sock = socket({ sendBuffer: 1 })
    const connected = once(sock, 'connect')
    const { url } = await sock.listen(freeUrl(transport))
    const run = inProcess(async ({ lib, say }, url) => {
      await new lib.PairSocket({ recvBuffer: 0 }).dial(url)
      say('dialed')
    }, url)
    await Promise.all([connected, run.line('dialed')])
    return [sock, run]
  }

  test('hangup of a process that is killed', async () => {
    const [sock, run] = await processPeer()
    const reason = reasonOf(sock)
    run.kill('SIGKILL')
    expect(await reason).toBe('hangup')
  })

  test('reset of a process that is killed with something unread', async () => {
    const [sock, run] = await processPeer()
    const reason = reasonOf(sock)
    await fill(sock, transport, () => Buffer.alloc(2 ** 18))
    run.kill('SIGKILL')
    expect(await reason).toBe('reset')
  })

  test('reset of a peer that resets, or closes with something unread', async () => {
    const [sock, raw] = await withRaw()
    const reason = reasonOf(sock)
    if (transport === 'ipc') {
      for (let i = 0; i < 8; i++) sock.trySend(Buffer.alloc(MAX))
    }
    await raw.reset()
    expect(await reason).toBe('reset')
  })

  test.each(['', 'last words'])(
    'reset also when it is a send that finds out, before it reads %j',
    async (words) => {
      const [sock, raw] = await withRaw()
      const reason = reasonOf(sock)
      // In one go: neither side's event loop sees to anything in between, and
      // messages of this size are written at once.
      expect(sock.trySend(Buffer.alloc(50_000))).toBe(true)
      if (words !== '') raw.socket.write(frame(transport, words))
      raw.socket.destroy()
      expect(sock.trySend(Buffer.alloc(50_000))).toBe(true)
      expect(await reason).toBe('reset')
      expect(String(sock.tryRecv() ?? '')).toBe(words)
    }
  )

  test('too-large when a larger message is announced', async () => {
    const [sock, raw] = await withRaw({ maxMessageSize: MAX })
    const reason = reasonOf(sock)
    await raw.write(frame(transport, 'first'), lengthHeader(transport, MAX + 1))
    expect(await reason).toBe('too-large')
    expect(String(await sock.recv())).toBe('first')
  })

  test.each([101, MAX])(
    'too-large here, and hangup or reset to the sender, of %d bytes',
    async (size) => {
      const { listening, dialing } = await connectedPair(transport, {
        listening: { maxMessageSize: 100 }
      })
      const reasons = [reasonOf(listening), reasonOf(dialing)]
      await dialing.send(Buffer.alloc(100))
      await dialing.send(Buffer.alloc(size))
      const [here, there] = await Promise.all(reasons)
      expect(here).toBe('too-large')
      expect(['hangup', 'reset']).toContain(there)
      expect((await listening.recv()).length).toBe(100)
    }
  )

  test('hangup or reset to a dialer that a busy peer turns away', async () => {
    const { url } = await connectedPair(transport)
    const sock = socket()
    const reason = reasonOf(sock)
    await sock.dial(url)
    sock.trySend('lost')
    expect(['hangup', 'reset']).toContain(await reason)
  })

  test('what holds of each connection, of one after the other', async () => {
    const sock = socket({ maxMessageSize: MAX })
    const reasons: DisconnectReason[] = []
    sock.on('disconnect', (_, reason) => reasons.push(reason))
    const { url } = await sock.listen(freeUrl(transport))
    const ends: [DisconnectReason, (raw: RawPeer) => Promise<unknown>][] = [
      ['hangup', (raw) => raw.close()],
      ['too-large', (raw) => raw.write(lengthHeader(transport, 2n ** 63n))],
      ['hangup', (raw) => raw.finish()]
    ]
    for (const [, end] of ends) {
      const raw = await RawPeer.shake(url)
      const gone = once(sock, 'disconnect')
      await end(raw)
      await gone
    }
    expect(reasons).toEqual(ends.map(([reason]) => reason))
  })

  testOnLinux('error when there is no memory for a message', async () => {
    const run = inProcess(async ({ lib, fs, say }, url) => {
      const { spawnSync } = process.getBuiltinModule('node:child_process')
      const sock = new lib.PairSocket({ maxMessageSize: 2 ** 31 - 1 })
      sock.on('connect', () => {
        const pages = Number(
          fs.readFileSync('/proc/self/statm', 'utf8').split(' ')[0]
        )
        const limit = pages * 4096 + 2 ** 30
        const { status } = spawnSync('prlimit', [
          `--pid=${process.pid}`,
          `--as=${limit}`
        ])
        say(status === 0 ? 'limited' : `prlimit: ${status}`)
      })
      sock.on('disconnect', (_, reason) => {
        say(reason)
        void sock.close()
      })
      const listener = await sock.listen(url)
      say(listener.url)
    }, freeUrl(transport))
    await run.until(({ lines }) => lines.length > 0)
    const raw = await RawPeer.shake(run.lines[0]!)
    await run.line('limited')
    await raw.write(lengthHeader(transport, 2 ** 31 - 1))
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    expect(run.lines.slice(1)).toEqual(['limited', 'error'])
  })
})

describe('over ipc, disconnect says', () => {
  test.each([0, 2, 255])('protocol of a message of type %d', async (type) => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl('ipc'))
    const reason = reasonOf(sock)
    const raw = await RawPeer.shake(url)
    await raw.write(
      frame('ipc', 'first'),
      lengthHeader('ipc', 1, type),
      Buffer.from('x')
    )
    expect(await reason).toBe('protocol')
    expect(String(await sock.recv())).toBe('first')
  })
})

describe('over tcp, disconnect says', () => {
  test('too-large of what is no message at all', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl('tcp'))
    const reason = reasonOf(sock)
    const raw = await RawPeer.shake(url)
    await raw.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    expect(await reason).toBe('too-large')
  })

  testOnLinux(
    'timeout of a peer that reads nothing for the userTimeout',
    async () => {
      const sock = socket({ userTimeout: 1000 })
      const { url } = await sock.listen(freeUrl('tcp'))
      const reason = reasonOf(sock)
      const raw = await RawPeer.shake(url)
      // Its buffers are full, and nothing is wrong with its system.
      const message = Buffer.alloc(1_000_000)
      while (sock.trySend(message)) await turn()
      expect(await reason).toBe('timeout')
      expect(raw.error).toBeUndefined()
    }
  )

  // A network of its own, that can be cut, and gives up after two seconds.
  const isolated = [
    ...['--user', '--map-root-user', '--net', 'sh', '-c'],
    'cd /proc/sys/net/ipv4 && ip link set lo up && echo 1 >tcp_keepalive_time' +
      ' && echo 1 >tcp_keepalive_intvl && echo 1 >tcp_keepalive_probes' +
      ' && exec "$@"',
    'sh'
  ]
  const canIsolate =
    onLinux && spawnSync('unshare', [...isolated, 'true']).status === 0
  const testIsolated = canIsolate ? test : test.skip

  testIsolated(
    'timeout of a peer that does not answer keepAlive' +
      (canIsolate ? '' : ' (needs Linux, ip, and the right to unshare)'),
    async () => {
      const source = sourceInProcess(
        String(async ({ lib, once, say }: Tools) => {
          const { execFileSync } =
            process.getBuiltinModule('node:child_process')
          const socks = [true, true].map(
            (keepAlive) => new lib.PairSocket({ keepAlive })
          )
          const connected = socks.map((sock) => once(sock, 'connect'))
          const { url } = await socks[0]!.listen('tcp://127.0.0.1:0')
          await socks[1]!.dial(url)
          await Promise.all(connected)
          const gone = socks.map((sock) => once(sock, 'disconnect'))
          execFileSync('ip', ['link', 'set', 'lo', 'down'])
          for (const [, reason] of await Promise.all(gone)) say(String(reason))
          await Promise.all(socks.map((sock) => sock.close({ timeout: 0 })))
        })
      )
      const run = new Run('unshare', [
        ...isolated,
        ...[process.execPath, '-e', source]
      ])
      expect(await ending(run)).toEqual({ code: 0, signal: null })
      expect(run.lines).toEqual(['timeout', 'timeout'])
    }
  )
})
