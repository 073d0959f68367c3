import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import {
  PairSocket,
  type PairSocketOptions,
  type TcpPeer,
  type WaitOptions
} from '../lib'
import { time } from '../lib/time'
import { ending, inProcess, type Main } from './support/childProcess'
import { settle } from './support/full'
import { RawListener, RawPeer, lengthHeader } from './support/rawPeer'
import { tempFolder } from './support/tempFolder'
import {
  connectedPair,
  freeUrl,
  ipcPath,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const MAX = 2 ** 31 - 1

const timedOut = { name: 'NngError', code: 'ETIMEDOUT' }

describe('time limits', () => {
  type Option = 'recvTimeout' | 'sendTimeout'
  type Call = (sock: PairSocket, options?: WaitOptions) => Promise<unknown>
  const calls: [option: Option, name: string, Call][] = [
    ['recvTimeout', 'recv', (sock, options) => sock.recv(options)],
    ['recvTimeout', 'recvMany', (sock, options) => sock.recvMany(9, options)],
    ['sendTimeout', 'send', (sock, options) => sock.send('x', options)],
    [
      'sendTimeout',
      'sendMany',
      (sock, options) => sock.sendMany(['x', 'y'], options)
    ]
  ]
  const other = { recvTimeout: 'sendTimeout', sendTimeout: 'recvTimeout' }

  /** A socket on which each of these has to wait. */
  const lonely = (options: PairSocketOptions) =>
    socket({ sendBuffer: 0, ...options })

  /**
   * The time that is set for a call: it is as long as it says, and nobody has
   * to wait for it.
   */
  function timeOf(call: () => Promise<unknown>): number | undefined {
    const spy = jest.spyOn(time, 'after')
    call().catch(() => {})
    const times = spy.mock.calls.map(([ms]) => ms)
    spy.mockRestore()
    expect(times.length).toBeLessThanOrEqual(1)
    return times[0]
  }

  test.each(calls)('%s is that of %s', async (option, _, call) => {
    const timeOfCall = (options: PairSocketOptions, own?: WaitOptions) =>
      timeOf(() => call(lonely(options), own))
    const about = (time: number) => expect.closeTo(time, -4)
    expect(timeOfCall({})).toBeUndefined()
    expect(timeOfCall({ [option]: undefined })).toBeUndefined()
    expect(timeOfCall({ [option]: Infinity })).toBeUndefined()
    expect(timeOfCall({ [option]: 1_000_000 })).toEqual(about(1_000_000))
    expect(timeOfCall({ [option]: MAX })).toEqual(about(MAX))
    expect(timeOfCall({ [other[option]]: 1_000_000 })).toBeUndefined()

    // The call's own is stronger.
    const given = { [option]: 1_000_000 }
    expect(timeOfCall(given, {})).toEqual(about(1_000_000))
    expect(timeOfCall(given, { timeout: undefined })).toEqual(about(1_000_000))
    expect(timeOfCall(given, { timeout: 500_000 })).toEqual(about(500_000))
    expect(timeOfCall(given, { timeout: Infinity })).toBeUndefined()

    for (const time of [0, 0.5, 10]) {
      const sock = lonely({ [option]: time })
      await expect(call(sock)).rejects.toMatchObject(timedOut)
      expect(sock.stats()).toMatchObject({ waitingSends: 0, unsentMessages: 0 })
    }
  })

  test.each(calls)('%s 0: %s does what it can do now', async (...row) => {
    const [option, , call] = row
    const { listening, dialing } = await connectedPair('ipc', {
      dialing: { [option]: 0, sendBuffer: 2 }
    })
    await listening.sendMany(['a', 'b'])
    await until(() => dialing.stats().unreadMessages === 2)
    await call(dialing)
  })

  test('recvTimeout is that of each message of a loop', async () => {
    const sock = socket({ recvTimeout: 1_000_000 })
    const iterator = sock[Symbol.asyncIterator]()
    expect(timeOf(() => iterator.next())).toBe(1_000_000)
    const impatient = socket({ recvTimeout: 5 })
    const loop = async () => {
      for await (const _ of impatient) throw new Error('never')
    }
    await expect(loop()).rejects.toMatchObject(timedOut)
  })

  test('a stream has the sendTimeout and not the recvTimeout', async () => {
    const patient = socket({ recvTimeout: 5 }).duplex()
    expect(timeOf(() => Promise.resolve(patient.read()))).toBeUndefined()
    patient.destroy()
    const impatient = socket({ sendTimeout: 5, sendBuffer: 1 }).duplex()
    impatient.write('accepted')
    impatient.write('not accepted')
    const [error] = await once(impatient, 'error')
    expect(error).toMatchObject({ ...timedOut, syscall: 'send' })
  })

  test('drain, dial, listenOrDial and close have neither', async () => {
    const options = { recvTimeout: 1_000_000, sendTimeout: 1_000_000 }
    const sock = socket(options)
    await sock.send('nobody takes it')
    expect(timeOf(() => sock.drain())).toBeUndefined()
    const { url } = await RawListener.open('ipc')
    expect(timeOf(() => sock.dial(url))).toBeUndefined()
    expect(timeOf(() => sock.listenOrDial(url))).toBeUndefined()
    expect(timeOf(() => sock.close())).toBeUndefined()
  })
})

describe('sendBuffer', () => {
  test.each([
    [undefined, 128],
    [0, 0],
    [8192, 8192]
  ])('%p accepts %d messages with no peer', async (sendBuffer, room) => {
    const sock = new PairSocket({ sendBuffer })
    let accepted = 0
    while (sock.trySend('x')) accepted++
    expect(accepted).toBe(room)
    expect(await sock.close()).toEqual({ unsent: room })
  })

  test.each(transports)('0 accepts what can leave, over %s', async (name) => {
    const sock = socket({ sendBuffer: 0 })
    const { url } = await sock.listen(freeUrl(name))
    const raw = await RawPeer.shake(url)
    // More than any kernel holds.
    const large = Buffer.alloc(2 ** 25)
    await sock.send(large)
    // It is on its way, and stays there until the peer reads.
    expect(sock.trySend('no room')).toBe(false)
    const waiting = sock.send('next')
    expect(sock.stats()).toMatchObject({ unsentMessages: 1, waitingSends: 1 })
    expect(await raw.recv()).toHaveLength(large.length)
    await waiting
    expect(String(await raw.recv())).toBe('next')
  })
})

describe.each(transports)('recvBuffer over %s', (transport) => {
  test.each([
    [undefined, 128],
    [0, 0],
    [8192, 8192]
  ])('%p reads %d messages ahead', async (recvBuffer, room) => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer },
      dialing: { sendBuffer: 8192 }
    })
    // More than it and the connection hold.
    const count = room + 100
    const texts = Array.from({ length: count }, (_, i) => String(i))
    const sent = dialing.sendMany(texts)
    const read = () => listening.stats().messagesReceived
    await until(() => read() >= room)
    await settle(transport)
    expect(read()).toBe(room)
    expect(listening.stats().unreadMessages).toBe(room)
    const received: string[] = []
    while (received.length < count) {
      received.push(String(await listening.recv()))
    }
    expect(received).toEqual(texts)
    await sent
  })
})

describe.each(transports)('maxMessageSize over %s', (transport) => {
  const tooLarge = { code: 'EMSGSIZE', syscall: 'send' }

  test.each([1, 70_000])('%d is a limit both ways', async (limit) => {
    const ours = socket({ maxMessageSize: limit })
    const { url } = await ours.listen(freeUrl(transport))
    const raw = await RawPeer.shake(url)
    const message = Buffer.alloc(limit, 'x')
    const written = raw.write(lengthHeader(transport, limit), message)
    expect((await ours.recv()).equals(message)).toBe(true)
    await written
    await raw.write(lengthHeader(transport, 0))
    expect(await ours.recv()).toHaveLength(0)

    await expect(ours.send(Buffer.alloc(limit + 1))).rejects.toMatchObject(
      tooLarge
    )
    const sent = ours.send(message)
    expect((await raw.recv()).equals(message)).toBe(true)
    await sent

    // By what is announced: nothing of it has come yet.
    const gone = once(ours, 'disconnect')
    await raw.write(lengthHeader(transport, limit + 1))
    await gone
    expect(ours.stats().messagesReceived).toBe(2)
    const next = await RawPeer.shake(url)
    await next.send('x')
    expect(String(await ours.recv())).toBe('x')
  })

  test.each([
    ['64 MiB by default', undefined, 64 * 2 ** 20],
    ['2³¹-1 at most', MAX, MAX]
  ])('%s', async (_, maxMessageSize, limit) => {
    const ours = socket({ maxMessageSize })
    const { url } = await ours.listen(freeUrl(transport))
    const within = await RawPeer.shake(url)
    await within.write(lengthHeader(transport, limit), Buffer.from('so far'))
    await settle(transport)
    expect(ours.peer).toBeDefined()
    let gone = once(ours, 'disconnect')
    await within.close()
    await gone

    const beyond = await RawPeer.shake(url)
    gone = once(ours, 'disconnect')
    await beyond.write(lengthHeader(transport, limit + 1))
    await gone
    await (await RawPeer.shake(url)).send('x')
    expect(String(await ours.recv())).toBe('x')
  })
})

test('maxMessageSize is of what is sent, too: 64 MiB by default', () => {
  const sock = socket()
  const data = new Uint8Array(64 * 2 ** 20 + 1)
  expect(() => sock.trySend(data)).toThrow('EMSGSIZE')
  expect(sock.trySend(data.subarray(1))).toBe(true)
})

describe('reconnectMin and reconnectMax', () => {
  test.each(transports)('1 ms dials again at once, over %s', async (name) => {
    const listener = await RawListener.open(name)
    const sock = socket({ reconnectMin: 1, reconnectMax: 1 })
    await sock.dial(listener.url, { retry: true })
    // With a back-off that grew this would take minutes.
    for (let i = 0; i < 50; i++) await (await listener.accept()).close()
  })

  test.each(transports)('as long as may be, over %s', async (transport) => {
    const listener = await RawListener.open(transport)
    const sock = socket({ reconnectMin: MAX, reconnectMax: MAX })
    const dialed = sock.dial(listener.url)
    const raw = await listener.accept()
    await raw.shake()
    await dialed
    const gone = once(sock, 'disconnect')
    await raw.close()
    await gone
    // Some random time from days: whoever comes now is not the dialer.
    let others = 0
    void listener.accept().then(() => others++)
    await settle(transport)
    expect(others).toBe(0)
  })
})

// No interface of ours tells of a connection's options, but another process
// that inherits it can ask the system.
const canAsk =
  process.platform === 'linux' && spawnSync('perl', ['-e', '']).status === 0

/** Linux: the descriptor of our end of a tcp connection. */
function descriptor(local: number, remote: number): number {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0')
  const connection = new RegExp(
    `^ *\\d+: \\w+:${hex(local)} \\w+:${hex(remote)} 01 .*`,
    'm'
  )
  const line = connection.exec(fs.readFileSync('/proc/net/tcp', 'latin1'))![0]
  const inode = line.trim().split(/ +/)[9]!
  const found = fs.readdirSync('/proc/self/fd').find((name) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${name}`) === `socket:[${inode}]`
    } catch {
      return false // the folder itself, read and gone
    }
  })
  return Number(found)
}

/** What the system has of a connection over tcp. Times are as it counts them. */
interface TcpSettings {
  noDelay: boolean
  keepAlive: boolean
  /** Seconds. */
  delay: number
  /** Seconds. */
  interval: number
  count: number
  /** Milliseconds; 0: none. */
  userTimeout: number
}

function settingsOf(fd: number): TcpSettings {
  const script = `
    open(my $socket, '+<&=', 3) or die;
    # SO_KEEPALIVE of SOL_SOCKET; of IPPROTO_TCP: TCP_NODELAY, TCP_KEEPIDLE,
    # TCP_KEEPINTVL, TCP_KEEPCNT, TCP_USER_TIMEOUT
    print unpack('i', getsockopt($socket, $$_[0], $$_[1])), "\\n"
      for [1, 9], [6, 1], [6, 4], [6, 5], [6, 6], [6, 18];`
  const { stdout, status } = spawnSync('perl', ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
    encoding: 'utf8'
  })
  expect(status).toBe(0)
  expect(stdout).toMatch(/^[01]\n[01]\n(\d+\n){4}$/)
  const numbers = stdout.split('\n').map(Number)
  const [keepAlive, noDelay, delay, interval, count, userTimeout] = numbers
  return {
    noDelay: noDelay === 1,
    keepAlive: keepAlive === 1,
    delay: delay!,
    interval: interval!,
    count: count!,
    userTimeout: userTimeout!
  }
}

/** What the system gives to whoever asks for nothing. */
function ownSettings(): TcpSettings {
  const [delay, interval, count] = ['time', 'intvl', 'probes'].map((name) =>
    Number(fs.readFileSync(`/proc/sys/net/ipv4/tcp_keepalive_${name}`, 'utf8'))
  )
  return {
    noDelay: true,
    keepAlive: false,
    delay: delay!,
    interval: interval!,
    count: count!,
    userTimeout: 0
  }
}

describe('noDelay, keepAlive and userTimeout', () => {
  const testAsking = canAsk ? test : test.skip
  const why = canAsk ? '' : ' (needs Linux and perl)'
  const nothing = {
    noDelay: undefined,
    keepAlive: undefined,
    userTimeout: undefined
  }
  const cases: [PairSocketOptions, Partial<TcpSettings>][] = [
    [{}, {}],
    [nothing, {}],
    [{ noDelay: true, keepAlive: false, userTimeout: Infinity }, {}],
    [{ noDelay: false }, { noDelay: false }],
    [{ keepAlive: true }, { keepAlive: true }],
    [
      { noDelay: false, keepAlive: true },
      { noDelay: false, keepAlive: true }
    ],
    [{ keepAlive: {} }, { keepAlive: true }],
    [{ keepAlive: { delay: undefined } }, { keepAlive: true }],
    [
      { keepAlive: { delay: 5000, interval: 2000, count: 4 } },
      { keepAlive: true, delay: 5, interval: 2, count: 4 }
    ],
    // Each for itself.
    [{ keepAlive: { delay: 60_000 } }, { keepAlive: true, delay: 60 }],
    [{ keepAlive: { interval: 3000 } }, { keepAlive: true, interval: 3 }],
    [{ keepAlive: { count: 1 } }, { keepAlive: true, count: 1 }],
    // Up to whole seconds.
    [
      { keepAlive: { delay: 1, interval: 1001 } },
      { keepAlive: true, delay: 1, interval: 2 }
    ],
    // The most that there can be.
    [
      { keepAlive: { delay: 32_767_000, interval: 32_767_000, count: 127 } },
      { keepAlive: true, delay: 32_767, interval: 32_767, count: 127 }
    ],
    [{ userTimeout: 1500 }, { userTimeout: 1500 }],
    [{ userTimeout: 1.5 }, { userTimeout: 2 }],
    [{ userTimeout: MAX }, { userTimeout: MAX }]
  ]

  testAsking.each(cases)(
    `%j are those of the connection${why}`,
    async (given, expected) => {
      // Each end has its own.
      for (const end of ['listening', 'dialing'] as const) {
        const { listening, dialing } = await connectedPair('tcp', {
          [end]: given
        })
        const [here, there] = [listening, dialing].map(
          ({ peer }) => (peer as TcpPeer).port
        ) as [number, number]
        const ends = {
          listening: descriptor(there, here),
          dialing: descriptor(here, there)
        }
        const rest = end === 'listening' ? 'dialing' : 'listening'
        expect(settingsOf(ends[end])).toEqual({ ...ownSettings(), ...expected })
        expect(settingsOf(ends[rest])).toEqual(ownSettings())
      }
    }
  )

  testAsking(`are those of every connection of a socket${why}`, async () => {
    const sock = socket({
      keepAlive: { delay: 7000 },
      userTimeout: 9000,
      reconnectMin: 1
    })
    const listener = await RawListener.open('tcp')
    await sock.dial(listener.url, { retry: true })
    for (let i = 0; i < 3; i++) {
      const connected = once(sock, 'connect')
      const raw = await listener.accept()
      await raw.shake()
      const [peer] = (await connected) as [TcpPeer]
      expect(settingsOf(descriptor(raw.socket.remotePort!, peer.port))).toEqual(
        {
          ...ownSettings(),
          keepAlive: true,
          delay: 7,
          userTimeout: 9000
        }
      )
      const gone = once(sock, 'disconnect')
      await raw.close()
      await gone
    }
  })

  test('are of no effect over ipc', async () => {
    const options = { keepAlive: { delay: 1000 }, userTimeout: 1000 }
    const { listening, dialing } = await connectedPair('ipc', {
      listening: options,
      dialing: options
    })
    await dialing.send('there')
    expect(String(await listening.recv())).toBe('there')
  })
})

describe('ipcMode', () => {
  test.each([
    [undefined, 0o600],
    [0, 0],
    [0o777, 0o777],
    [0o246, 0o246]
  ])('%p is the file’s, whatever the umask', async (ipcMode, expected) => {
    const folder = tempFolder()
    const sock = socket({ ipcMode })
    for (const umask of [0, 0o022, 0o777]) {
      const file = path.join(folder, `umask ${umask}`)
      const before = process.umask(umask)
      try {
        await sock.listen(`ipc://${file}`)
      } finally {
        expect(process.umask(before)).toBe(umask)
      }
      expect(fs.statSync(file).mode & 0o7777).toBe(expected)
    }
  })

  test('is of no effect on a dialer, and on tcp', async () => {
    const dialing = socket({ ipcMode: 0 })
    const listening = socket()
    const file = ipcPath()
    await listening.listen(`ipc://${file}`)
    await dialing.dial(`ipc://${file}`)
    expect(fs.statSync(file).mode & 0o777).toBe(0o600)
    await socket({ ipcMode: 0 }).listen('tcp://127.0.0.1:0')
  })
})

test('options are read once', async () => {
  const options: PairSocketOptions = { sendBuffer: 1, sendTimeout: 0 }
  const sock = socket(options)
  options.sendBuffer = 9
  options.sendTimeout = Infinity
  await sock.send('one')
  await expect(sock.send('two')).rejects.toMatchObject(timedOut)
  const frozen = Object.freeze({ recvTimeout: 0 })
  await expect(socket(frozen).recv()).rejects.toMatchObject(timedOut)
})

test('those of keepAlive are read once', () => {
  const reads: string[] = []
  const keepAlive = {
    get delay() {
      return reads.push('delay')
    },
    get interval() {
      return reads.push('interval')
    },
    get count() {
      return reads.push('count')
    }
  }
  socket({ keepAlive })
  expect(reads).toEqual(['delay', 'interval', 'count'])
})

describe('an option that does not exist', () => {
  /** What the process is warned of; `dist` is new to it. */
  async function warnings(main: Main<[]>): Promise<string[]> {
    const run = inProcess(main)
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    return run.lines
      .filter((line) => line.includes('NNG_PAIR_UNKNOWN_OPTION'))
      .map((line) => line.replace(/^.*Warning: /, ''))
  }

  test('is warned of once, with what was meant', async () => {
    const found = await warnings(async ({ lib }) => {
      const wrong = (options: object) => options as never
      for (let i = 0; i < 3; i++) {
        new lib.PairSocket(wrong({ recvTimout: 1, url: 'tcp://*:1' }))
        new lib.PairSocket({ keepAlive: wrong({ dely: 1, retries: 1 }) })
      }
      const sock = new lib.PairSocket({ sendBuffer: 0 })
      const calls = [
        () => sock.recv(wrong({ timeOut: 1, timeout: 1 })),
        () => sock.recvMany(1, wrong({ time: 1, timeout: 1 })),
        () => sock.send('x', wrong({ signall: 1, timeout: 1 })),
        () => sock.sendMany(['x'], wrong({ timeoutt: 1, timeout: 1 })),
        () => sock.dial('ipc:///nowhere', wrong({ retri: true })),
        () => sock.listenOrDial('ipc:///no/where', wrong({ retry: true })),
        () => sock.close(wrong({ signal: 1 }))
      ]
      for (const call of calls) await call().catch(() => {})
    })
    expect(found).toEqual([
      "nng-pair has no option 'recvTimout' here; did you mean 'recvTimeout'?",
      "nng-pair has no option 'url' here",
      "nng-pair has no option 'dely' here; did you mean 'delay'?",
      "nng-pair has no option 'retries' here",
      "nng-pair has no option 'timeOut' here; did you mean 'timeout'?",
      "nng-pair has no option 'time' here",
      "nng-pair has no option 'signall' here; did you mean 'signal'?",
      "nng-pair has no option 'timeoutt' here; did you mean 'timeout'?",
      "nng-pair has no option 'retri' here; did you mean 'retry'?",
      "nng-pair has no option 'retry' here",
      "nng-pair has no option 'signal' here"
    ])
  })

  test('is not made of one that is undefined, nor of the names of data', async () => {
    const found = await warnings(({ lib }) => {
      new lib.PairSocket({ recvTimout: undefined } as never)
      for (let i = 0; i < 1000; i++) {
        new lib.PairSocket({ [`name ${i} of something`]: i })
      }
    })
    expect(found.length).toBe(100)
  })
})
