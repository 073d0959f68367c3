import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { NngError, PairSocket, type PairSocketOptions } from '../lib'
import { NNG } from '../lib/errors'
import { ending, inProcess } from './support/childProcess'
import { buildIfStale, unusedUrl } from './support/command'
import { PAIR1_HEADER, RawListener, SP_HEADER } from './support/rawPeer'
import { tempFolder } from './support/tempFolder'
import {
  connectedPair,
  freeUrl,
  ipcPath,
  socket,
  transports
} from './support/transports'

const onLinux = process.platform === 'linux'
const testOnLinux = onLinux ? test : test.skip

interface Expected {
  syscall: string
  code: string
  /** NNG's number of the code, if not given. */
  errno?: number
  /** The message without what is in every message. */
  why: string
  address?: string
}

/** All of an error, so that nothing in it is left to chance. */
function expectNngError(error: unknown, expected: Expected): void {
  const { syscall, code, why, address } = expected
  const { errno = NNG[code as keyof typeof NNG] } = expected
  expect(error).toBeInstanceOf(NngError)
  expect(error).toBeInstanceOf(Error)
  const { name, message, stack, ...own } = error as NngError
  const where = address === undefined ? '' : ` '${address}'`
  expect({ name, message, ...own }).toEqual({
    name: 'NngError',
    message: `${syscall} ${code}: ${why}${where}`,
    code,
    errno,
    syscall,
    ...(address === undefined ? {} : { address }),
    ...('cause' in own ? { cause: own.cause } : {})
  })
  expect(stack!.split('\n    at ')[0]).toBe(`NngError: ${message}`)
  expect(String(error)).toBe(`NngError: ${message}`)
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`succeeded with ${String(value)}`)
    },
    (error: unknown) => error
  )
}

/** Linux: whether only the privileged may listen at port 1. */
function lowPortsNeedRights(): boolean {
  if (!onLinux) return false
  const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
  return Number(fs.readFileSync(file, 'utf8')) > 1
}

const longest = onLinux ? 107 : 103

const ANY_FORM = 'not a URL like tcp://host:port or ipc://path'
const TCP_FORM = 'not a URL like tcp://host:port'
const NO_PORT = `${TCP_FORM}; the port is missing`
const TOO_LONG = `the path is longer than ${longest} bytes, the system's limit`

/** URLs that are no use to anybody, by what is said of them. */
const badUrls: Record<string, string[]> = {
  [ANY_FORM]: [
    '',
    'localhost',
    'app.sock',
    'tcp',
    'tcp:',
    'ipc:',
    '://127.0.0.1:45454',
    '1tcp://127.0.0.1:45454'
  ],
  [TCP_FORM]: [
    'tcp://',
    'tcp:///',
    'tcp://127.0.0.1:http',
    'tcp://127.0.0.1:-1',
    'tcp://127.0.0.1:+1',
    'tcp://127.0.0.1:1.5',
    'tcp://127.0.0.1:1e3',
    'tcp://127.0.0.1:0x50',
    'tcp://127.0.0.1: 1',
    'tcp://127.0.0.1:45454:45454',
    'tcp://127.0.0.1:45454?a=b',
    'tcp://127.0.0.1:45454#a',
    'tcp://user@127.0.0.1:45454',
    'tcp://user:secret@127.0.0.1:45454',
    'tcp://eth0;127.0.0.1:45454',
    'tcp://local host:45454',
    'tcp://local\0host:45454',
    'tcp://bücher.example:45454',
    'tcp://[::1:45454',
    'tcp://::1]:45454',
    'tcp://[]:45454',
    'tcp://[::1]x:45454',
    'tcp://[[::1]]:45454',
    'tcp://[::g]:45454',
    'tcp://[::1%]:45454',
    'tcp://[localhost]:45454'
  ],
  [NO_PORT]: [
    'tcp://127.0.0.1',
    'tcp://127.0.0.1/',
    'tcp://127.0.0.1:',
    'tcp://localhost',
    'tcp://45454',
    'tcp://::1',
    'tcp://[::1]',
    'tcp://[::1]:'
  ],
  "'127.0.0.1' is not an IPv6 address": ['tcp://[127.0.0.1]:45454'],
  "'1::2::3' is not an IPv6 address": ['tcp://[1::2::3]:45454'],
  'there is no port 65536': ['tcp://127.0.0.1:65536', 'tcp://[::1]:65536'],
  'there is no port 99999999999999999999': [
    'tcp://127.0.0.1:99999999999999999999'
  ],
  "'*.example' is not a host": ['tcp://*.example:45454'],
  "'**' is not a host": ['tcp://**:45454'],
  'the path is missing': ['ipc://'],
  'the path has a NUL': ['ipc://a\0b', 'ipc:///tmp/\0'],
  [TOO_LONG]: [
    `ipc:///${'p'.repeat(longest)}`,
    `ipc://${'é'.repeat(Math.ceil((longest + 1) / 2))}`
  ]
}

/** And what was probably meant. */
const meant: Record<string, Record<string, string>> = {
  [ANY_FORM]: {
    '127.0.0.1:45454': 'tcp://127.0.0.1:45454',
    'localhost:45454': 'tcp://localhost:45454',
    '[::1]:45454': 'tcp://[::1]:45454',
    ':45454': 'tcp://:45454',
    '45454': 'tcp://127.0.0.1:45454',
    '//127.0.0.1:45454': 'tcp://127.0.0.1:45454',
    'tcp:/127.0.0.1:45454': 'tcp://127.0.0.1:45454',
    'tcp:127.0.0.1:45454': 'tcp://127.0.0.1:45454',
    ' tcp://127.0.0.1:45454': 'tcp://127.0.0.1:45454',
    'ipc:/run/app.sock': 'ipc:///run/app.sock',
    'ipc:app.sock': 'ipc://app.sock',
    'unix:/run/app.sock': 'ipc:///run/app.sock',
    '/run/app.sock': 'ipc:///run/app.sock',
    './app.sock': 'ipc://./app.sock',
    '\\\\.\\pipe\\app': 'ipc://app'
  },
  [TCP_FORM]: {
    'tcp://127.0.0.1:45454 ': 'tcp://127.0.0.1:45454',
    'tcp://127.0.0.1:45454\n': 'tcp://127.0.0.1:45454',
    'tcp://127.0.0.1:45454/path': 'tcp://127.0.0.1:45454',
    'tcp://127.0.0.1:45454//': 'tcp://127.0.0.1:45454',
    'tcp://::1:45454': 'tcp://[::1]:45454'
  }
}

for (const [form, urls] of Object.entries(meant)) {
  for (const [url, guess] of Object.entries(urls)) {
    badUrls[`${form}; did you mean '${guess}'?`] = [
      ...(badUrls[`${form}; did you mean '${guess}'?`] ?? []),
      url
    ]
  }
}

const badToDial: Record<string, string[]> = {
  'port 0 cannot be dialed': [
    'tcp://127.0.0.1:0',
    'tcp://[::1]:0',
    'tcp://localhost:0',
    'tcp://*:0'
  ]
}

const rows = (table: Record<string, string[]>): [url: string, why: string][] =>
  Object.entries(table).flatMap(([why, urls]) =>
    urls.map((url): [string, string] => [url, why])
  )

describe('a URL that is none', () => {
  const both = rows(badUrls)

  test.each(both)('is not listened at: %j', async (address, why) => {
    expectNngError(await failure(socket().listen(address)), {
      syscall: 'listen',
      code: 'EADDRINVAL',
      why,
      address
    })
  })

  test.each([...both, ...rows(badToDial)])(
    'is not dialed: %j',
    async (address, why) => {
      const expected = { syscall: 'dial', code: 'EADDRINVAL', why, address }
      const sock = socket()
      expectNngError(await failure(sock.dial(address)), expected)
      const retried = sock.dial(address, { retry: true })
      expectNngError(await failure(retried), expected)
    }
  )

  test.each(both)('is neither to listenOrDial: %j', async (address, why) => {
    const rest = { code: 'EADDRINVAL', why, address }
    const error = await failure(socket().listenOrDial(address))
    expectNngError(error, { syscall: 'dial', ...rest })
    const { cause } = error as NngError
    expectNngError(cause, { syscall: 'listen', ...rest })
  })

  test.each<[scheme: string, meant: string | undefined]>([
    ['inproc', undefined],
    ['ws', undefined],
    ['wss', undefined],
    ['http', undefined],
    ['tls+tcp', undefined],
    ['udp', undefined],
    ['abstract', undefined],
    ['socket', undefined],
    ['file', undefined],
    ['tcp4', 'tcp'],
    ['tcp6', 'tcp'],
    ['unix', 'ipc']
  ])('with the scheme %s is not supported', async (scheme, meant) => {
    const rest = '://127.0.0.1:45454'
    const hint = meant === undefined ? '' : `; did you mean '${meant}${rest}'?`
    const address = `${scheme}${rest}`
    const expected = {
      code: 'ENOTSUP',
      why: `the scheme '${scheme}' is not tcp or ipc${hint}`,
      address
    }
    const listening = await failure(socket().listen(address))
    expectNngError(listening, { syscall: 'listen', ...expected })
    const dialing = await failure(socket().dial(address))
    expectNngError(dialing, { syscall: 'dial', ...expected })
  })
})

describe.each(transports)('over %s', (transport) => {
  test('EADDRINUSE: an address that is taken', async () => {
    const { url: address } = await socket().listen(freeUrl(transport))
    expectNngError(await failure(socket().listen(address)), {
      syscall: 'listen',
      code: 'EADDRINUSE',
      why: 'the address is taken',
      address
    })
  })

  test('ECONNREFUSED: nobody is there', async () => {
    const address = await unusedUrl(transport)
    expectNngError(await failure(socket().dial(address)), {
      syscall: 'dial',
      code: 'ECONNREFUSED',
      why: 'nobody listens at the address',
      address
    })
  })

  test('ECONNRESET: a peer that hangs up in the handshake', async () => {
    const listener = await RawListener.open(transport)
    const dialed = failure(socket().dial(listener.url))
    const raw = await listener.accept()
    await raw.close()
    expectNngError(await dialed, {
      syscall: 'dial',
      code: 'ECONNRESET',
      why: 'the peer hung up in the handshake',
      address: listener.url
    })
  })

  test.each([
    ['pair v1', PAIR1_HEADER],
    ['another language', Buffer.from('HTTP/1.1')],
    ['a header with a flag', Buffer.from('0053500000100001', 'hex')]
  ])('EPROTO: a peer that speaks %s', async (_, header) => {
    const expected = (address: string) => ({
      syscall: 'dial',
      code: 'EPROTO',
      why: 'the peer does not speak PAIR v0',
      address
    })
    const one = await RawListener.open(transport)
    const dialed = failure(socket().dial(one.url))
    await (await one.accept()).write(header)
    expectNngError(await dialed, expected(one.url))

    const either = failure(socket().listenOrDial(one.url))
    await (await one.accept()).write(header)
    const error = await either
    expectNngError(error, expected(one.url))
    expectNngError((error as NngError).cause, {
      syscall: 'listen',
      code: 'EADDRINUSE',
      why: 'the address is taken',
      address: one.url
    })
  })

  test('ETIMEDOUT: a peer that says nothing', async () => {
    const { url: address } = await RawListener.open(transport)
    const expected = {
      syscall: 'dial',
      code: 'ETIMEDOUT',
      why: 'no answer in time',
      address
    }
    for (const timeout of [0, 20]) {
      const dialed = socket().dial(address, { timeout })
      expectNngError(await failure(dialed), expected)
    }
  })

  test('ETIMEDOUT: a peer that sends nothing and reads nothing', async () => {
    const listener = await RawListener.open(transport)
    const sock = socket({ sendBuffer: 0 })
    const dialed = sock.dial(listener.url)
    await (await listener.accept()).write(SP_HEADER)
    await dialed
    expectNngError(await failure(sock.recv({ timeout: 5 })), {
      syscall: 'recv',
      code: 'ETIMEDOUT',
      why: 'no message came in time'
    })
    const large = Buffer.alloc(2 ** 24)
    await sock.send(large)
    expectNngError(await failure(sock.send(large, { timeout: 5 })), {
      syscall: 'send',
      code: 'ETIMEDOUT',
      why: 'no room in the send buffer in time'
    })
    expectNngError(await failure(sock.drain({ timeout: 5 })), {
      syscall: 'drain',
      code: 'ETIMEDOUT',
      why: 'not everything was sent in time'
    })
  })

  test('EMSGSIZE, and the connection stays', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      dialing: { maxMessageSize: 10 }
    })
    expectNngError(await failure(dialing.send('eleven char')), {
      syscall: 'send',
      code: 'EMSGSIZE',
      why: 'the message is larger than maxMessageSize'
    })
    await dialing.send('ten  chars')
    expect(String(await listening.recv())).toBe('ten  chars')
  })

  test('ECLOSED names what failed, and where', async () => {
    const sock = socket()
    const address = freeUrl(transport)
    const { url } = await socket().listen(freeUrl(transport))
    const why = 'the socket is closed'
    await sock.close()
    const expected = (syscall: string, address?: string): Expected => ({
      syscall,
      code: 'ECLOSED',
      why,
      ...(address === undefined ? {} : { address })
    })
    const calls: [Promise<unknown>, Expected][] = [
      [sock.listen(address), expected('listen', address)],
      [sock.dial(url), expected('dial', url)],
      [sock.dial(url, { retry: true }), expected('dial', url)],
      [sock.listenOrDial(url), expected('dial', url)],
      [sock.send('x'), expected('send')],
      [sock.sendMany(['x']), expected('send')],
      [sock.sendMany([]), expected('send')],
      [sock.recv(), expected('recv')],
      [sock.recvMany(1), expected('recv')],
      [sock.drain(), expected('drain')]
    ]
    for (const [call, error] of calls) {
      expectNngError(await failure(call), error)
    }
    const attempt = async () => Promise.resolve(sock.trySend('x'))
    expectNngError(await failure(attempt()), expected('send'))
  })
})

describe('tcp alone', () => {
  // Neither is looked up anywhere: they cannot be names.
  const impossible = ['..', `${'a'.repeat(64)}.invalid`]

  test.each(impossible)('EADDRINVAL: there is no host %s', async (host) => {
    const address = `tcp://${host}:45454`
    const listening = await failure(socket().listen(address))
    expectNngError(listening, {
      syscall: 'listen',
      code: 'EADDRINVAL',
      why: `the host '${host}' is not known`,
      address
    })
    expect((listening as NngError).cause).toMatchObject({
      code: 'ENOTFOUND',
      syscall: 'getaddrinfo'
    })
    expectNngError(await failure(socket().dial(address)), {
      syscall: 'dial',
      code: 'EADDRINVAL',
      why: 'the host is not known, or not to be reached from here',
      address
    })
  })

  // Addresses for documentation: they are nobody's.
  test.each(['tcp://203.0.113.1:0', 'tcp://[2001:db8::1]:0'])(
    'EADDRINVAL: %s is of another machine',
    async (address) => {
      expectNngError(await failure(socket().listen(address)), {
        syscall: 'listen',
        code: 'EADDRINVAL',
        why: 'the address is not one of this machine',
        address
      })
    }
  )

  const isolate = ['--user', '--map-root-user', '--net']
  const canIsolate =
    onLinux && spawnSync('unshare', [...isolate, 'true']).status === 0
  const testIsolated = canIsolate ? test : test.skip

  testIsolated(
    'EAGAIN and EHOSTUNREACH: without a network' +
      (canIsolate ? '' : ' (needs Linux and the right to unshare)'),
    () => {
      buildIfStale()
      const dist = path.join(__dirname, '..', 'dist')
      const script = `
        const { PairSocket } = require(process.argv[1])
        const sock = new PairSocket()
        const told = (error) => [error.code, error.errno, error.message]
        Promise.all([
          sock.dial('tcp://host.invalid:45454').catch(told),
          sock.dial('tcp://203.0.113.1:45454').catch(told)
        ]).then((all) => console.log(JSON.stringify(all)))`
      const output = execFileSync(
        'unshare',
        [...isolate, process.execPath, '-e', script, dist],
        { encoding: 'utf8', timeout: 20_000 }
      )
      expect(JSON.parse(output)).toEqual([
        [
          'EAGAIN',
          NNG.EAGAIN,
          'dial EAGAIN: the host cannot be resolved now ' +
            "'tcp://host.invalid:45454'"
        ],
        [
          'EHOSTUNREACH',
          NNG.EHOSTUNREACH,
          'dial EHOSTUNREACH: destination unreachable ' +
            "'tcp://203.0.113.1:45454'"
        ]
      ])
    }
  )
})

describe('ipc alone', () => {
  test('ECONNREFUSED: a file with nobody behind it', async () => {
    const folder = tempFolder()
    const dead = path.join(folder, 'dead')
    const sock = socket()
    await sock.listen(`ipc://${folder}/live`)
    fs.linkSync(path.join(folder, 'live'), dead)
    await sock.close()
    const regular = path.join(folder, 'regular')
    fs.writeFileSync(regular, '')
    for (const file of [dead, regular, folder, path.join(folder, 'a', 'b')]) {
      const address = `ipc://${file}`
      expectNngError(await failure(socket().dial(address)), {
        syscall: 'dial',
        code: 'ECONNREFUSED',
        why: 'nobody listens at the address',
        address
      })
    }
  })

  test('ENOENT: there is no such folder', async () => {
    const address = `ipc://${tempFolder()}/missing/pair.ipc`
    expectNngError(await failure(socket().listen(address)), {
      syscall: 'listen',
      code: 'ENOENT',
      why: 'the folder does not exist',
      address
    })
  })

  test('an error of the system that NNG has no number for', async () => {
    const file = path.join(tempFolder(), 'file')
    fs.writeFileSync(file, '')
    const address = `ipc://${file}/pair.ipc`
    const rest = {
      code: 'ENOTDIR',
      // NNG_ESYSERR and ENOTDIR.
      errno: 0x10000000 + 20,
      why: 'not a directory',
      address
    }
    const listening = await failure(socket().listen(address))
    expectNngError(listening, { syscall: 'listen', ...rest })
    const dialing = await failure(socket().dial(address))
    expectNngError(dialing, { syscall: 'dial', ...rest })
  })

  test('EPERM: what the user may not do', async () => {
    const folder = tempFolder()
    const open = path.join(folder, 'open')
    const locked = path.join(folder, 'locked')
    fs.chmodSync(folder, 0o755)
    fs.mkdirSync(open, { mode: 0o755 })
    fs.mkdirSync(locked)
    const closedTo = `ipc://${open}/closed`
    await socket({ ipcMode: 0 }).listen(closedTo)
    fs.chmodSync(locked, 0)
    const within = `ipc://${locked}/pair.ipc`
    const calls: ['listen' | 'dial', string, string][] = [
      ['dial', closedTo, 'permission denied'],
      ['dial', within, 'permission denied'],
      ['listen', within, 'not permitted']
    ]
    if (lowPortsNeedRights()) {
      calls.push(['listen', 'tcp://127.0.0.1:1', 'not permitted'])
    }
    const run = inProcess(async ({ lib, say }, calls) => {
      // The superuser may do anything.
      if (process.getuid!() === 0) process.setuid!(65_534)
      const sock = new lib.PairSocket()
      for (const [syscall, address] of calls) {
        const told = ({ name, code, errno, message }: NngError) =>
          say(JSON.stringify([name, code, errno, message]))
        await sock[syscall](address).then(() => say('done'), told)
      }
    }, calls)
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    expect(run.lines.filter((line) => line !== '')).toEqual(
      calls.map(([syscall, address, why]) =>
        JSON.stringify([
          'NngError',
          'EPERM',
          NNG.EPERM,
          `${syscall} EPERM: ${why} '${address}'`
        ])
      )
    )
  })

  // flock(1) is a program of Linux.
  testOnLinux('EBUSY: another process locks the folder', async () => {
    const folder = tempFolder()
    const lock = path.join(folder, '.nng-lock')
    const holder = spawn('flock', [lock, 'sh', '-c', 'echo locked; cat'], {
      stdio: ['pipe', 'pipe', 'inherit']
    })
    await once(holder.stdout, 'data')
    const address = `ipc://${folder}/pair.ipc`
    const error = await failure(socket().listen(address))
    holder.stdin.end()
    await once(holder, 'exit')
    expectNngError(error, {
      syscall: 'listen',
      code: 'EBUSY',
      why: 'another process keeps the folder locked',
      address
    })
    await socket().listen(address)
  })
})

type Call = (sock: PairSocket) => unknown

const TYPE = { name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' }
const RANGE = { name: 'RangeError', code: 'ERR_OUT_OF_RANGE' }

/** Calls it; what it throws is what it rejects with. */
async function failureOf(call: Call, sock: PairSocket): Promise<unknown> {
  return failure(
    (async () => {
      await call(sock)
    })()
  )
}

function expectArgumentError(
  error: unknown,
  expected: { name: string; code: string },
  message: string
): void {
  expect(error).toBeInstanceOf(Error)
  const { name, message: text, stack, ...own } = error as Error
  expect({ name, message: text, ...own }).toEqual({ ...expected, message })
  expect(stack!.split('\n    at ')[0]).toBe(`${name}: ${message}`)
}

const MAX = 2 ** 31 - 1

describe('an option of a socket', () => {
  const limits: [
    keyof PairSocketOptions,
    min: number,
    max: number,
    shown?: string
  ][] = [
    ['sendBuffer', 0, 8192],
    ['recvBuffer', 0, 8192],
    ['maxMessageSize', 1, MAX],
    ['reconnectMin', 1, MAX],
    ['reconnectMax', 100, MAX],
    // As everybody writes permissions.
    ['ipcMode', 0, 0o777, '0o777']
  ]
  const times: (keyof PairSocketOptions)[] = ['recvTimeout', 'sendTimeout']
  const switches: (keyof PairSocketOptions)[] = ['noDelay']

  /** Values that are none of the type, as they are shown. */
  const others: [value: unknown, shown: string][] = [
    [null, 'null'],
    ['5', "'5'"],
    [5n, '5n'],
    [Symbol('five'), 'Symbol(five)'],
    [[5], '[Array]'],
    [{ five: 5 }, '[Object]'],
    [() => 5, '[Function (anonymous)]']
  ]

  const create = (options: unknown): unknown => {
    try {
      socket(options as PairSocketOptions)
    } catch (error) {
      return error
    }
    throw new Error('it is accepted')
  }

  test.each(limits)('%s from %d to %d', (name, min, max, shown = `${max}`) => {
    // The upper limit of back-offs has to be where the lower one is.
    const rest = name === 'reconnectMin' ? { reconnectMax: max } : {}
    for (const value of [min, min + 1, max - 1, max, undefined]) {
      socket({ ...rest, [name]: value })
    }
    const outside = [min - 1, -1, max + 1, 2 ** 32, min + 0.5, NaN, Infinity]
    for (const value of [...outside, -Infinity]) {
      expectArgumentError(
        create({ ...rest, [name]: value }),
        RANGE,
        `${name} must be an integer from ${min} to ${shown}, not ${value}`
      )
    }
    for (const [value, shown] of [...others, [true, 'true']]) {
      const message = `${name} must be a number, not ${String(shown)}`
      expectArgumentError(create({ [name]: value }), TYPE, message)
    }
  })

  test.each(times)('%s', (name) => {
    for (const value of [0, -0, 0.5, 1, MAX, Infinity, undefined]) {
      socket({ [name]: value })
    }
    for (const value of [-1, -0.5, MAX + 1, NaN, -Infinity]) {
      expectArgumentError(
        create({ [name]: value }),
        RANGE,
        `${name} must be from 0 to ${MAX} ms or Infinity, not ${value}`
      )
    }
    for (const [value, shown] of [...others, [true, 'true']]) {
      const message = `${name} must be a number, not ${String(shown)}`
      expectArgumentError(create({ [name]: value }), TYPE, message)
    }
  })

  test.each(switches)('%s', (name) => {
    for (const value of [true, false, undefined]) socket({ [name]: value })
    for (const [value, shown] of [...others, [0, '0'], [1, '1']]) {
      const message = `${name} must be a boolean, not ${String(shown)}`
      expectArgumentError(create({ [name]: value }), TYPE, message)
    }
  })

  test('userTimeout', () => {
    for (const value of [1, 1.5, MAX, Infinity, undefined]) {
      socket({ userTimeout: value })
    }
    for (const value of [0, 0.5, -1, MAX + 1, NaN, -Infinity]) {
      expectArgumentError(
        create({ userTimeout: value }),
        RANGE,
        `userTimeout must be from 1 to ${MAX} ms or Infinity, not ${value}`
      )
    }
    for (const [value, shown] of [...others, [true, 'true']]) {
      const message = `userTimeout must be a number, not ${String(shown)}`
      expectArgumentError(create({ userTimeout: value }), TYPE, message)
    }
  })

  test('keepAlive', () => {
    for (const value of [true, false, undefined, {}]) {
      socket({ keepAlive: value })
    }
    for (const [value, shown] of [...others, [0, '0'], [1000, '1000']]) {
      // An object is one; what it has is below.
      if (shown === '[Object]') continue
      const message = `keepAlive must be a boolean or an object, not ${String(shown)}`
      expectArgumentError(create({ keepAlive: value }), TYPE, message)
    }
  })

  test.each([
    ['delay', 32_767_000],
    ['interval', 32_767_000],
    ['count', 127]
  ] as const)('keepAlive.%s from 1 to %d', (name, max) => {
    for (const value of [1, max, undefined]) {
      socket({ keepAlive: { [name]: value } })
    }
    for (const value of [0, -1, 1.5, max + 1, NaN, Infinity]) {
      expectArgumentError(
        create({ keepAlive: { [name]: value } }),
        RANGE,
        `keepAlive.${name} must be an integer from 1 to ${max}, not ${value}`
      )
    }
    for (const [value, shown] of [...others, [true, 'true']]) {
      const message = `keepAlive.${name} must be a number, not ${String(shown)}`
      expectArgumentError(
        create({ keepAlive: { [name]: value } }),
        TYPE,
        message
      )
    }
  })

  test('reconnectMax is not below reconnectMin', () => {
    socket({ reconnectMin: 500, reconnectMax: 500 })
    for (const options of [
      { reconnectMin: 500, reconnectMax: 499 },
      // Below its default is above that of the other.
      { reconnectMin: 10_001 }
    ]) {
      const { reconnectMin, reconnectMax = 10_000 } = options
      expectArgumentError(
        create(options),
        RANGE,
        `reconnectMax must be an integer from ${reconnectMin} to ${MAX}, ` +
          `not ${reconnectMax}`
      )
    }
  })

  test('options are an object, or there are none', () => {
    socket(undefined)
    for (const [value, shown] of [
      [null, 'null'],
      [5, '5'],
      ['tcp://127.0.0.1:0', "'tcp://127.0.0.1:0'"],
      [true, 'true']
    ]) {
      const message = `options must be an object, not ${String(shown)}`
      expectArgumentError(create(value), TYPE, message)
    }
  })
})

describe('an argument of', () => {
  const url = 'tcp://127.0.0.1:45454'

  /** Those that wait, with whatever options. */
  const waiting: [name: string, (sock: PairSocket, o: never) => unknown][] = [
    ['dial', (sock, o) => sock.dial(url, o)],
    ['listenOrDial', (sock, o) => sock.listenOrDial(url, o)],
    ['send', (sock, o) => sock.send('x', o)],
    ['sendMany', (sock, o) => sock.sendMany(['x'], o)],
    ['recv', (sock, o) => sock.recv(o)],
    ['recvMany', (sock, o) => sock.recvMany(1, o)],
    ['drain', (sock, o) => sock.drain(o)]
  ]
  const timed: typeof waiting = [
    ...waiting,
    ['close', (sock, o) => sock.close(o)]
  ]

  async function fails(
    call: (sock: PairSocket, argument: never) => unknown,
    argument: unknown,
    expected: { name: string; code: string },
    message: string
  ): Promise<void> {
    const sock = socket()
    const returned = call(sock, argument as never)
    // Whoever awaits it need not catch what the call throws.
    expect(returned).toBeInstanceOf(Promise)
    const error = await failure(returned as Promise<unknown>)
    expectArgumentError(error, expected, message)
    // Nothing has come of it.
    expect(sock.closed).toBe(false)
    expect(sock.stats()).toMatchObject({ unsentMessages: 0, waitingSends: 0 })
  }

  test.each(timed)('%s: options, timeout', async (_, call) => {
    for (const value of [null, 5, 'soon', false]) {
      const shown = typeof value === 'string' ? `'${value}'` : String(value)
      const message = `options must be an object, not ${shown}`
      await fails(call, value, TYPE, message)
    }
    for (const value of [-1, NaN, MAX + 1, -Infinity]) {
      const message = `timeout must be from 0 to ${MAX} ms or Infinity, not `
      await fails(call, { timeout: value }, RANGE, message + String(value))
    }
    for (const value of [null, '5', 5n, true]) {
      const shown = { string: "'5'", bigint: '5n' } as Record<string, string>
      const message = `timeout must be a number, not `
      await fails(
        call,
        { timeout: value },
        TYPE,
        message + (shown[typeof value] ?? String(value))
      )
    }
  })

  test.each(waiting)('%s: signal', async (_, call) => {
    const wrong: [value: unknown, shown: string][] = [
      [null, 'null'],
      [5, '5'],
      [() => {}, '[Function (anonymous)]'],
      [{}, '{}'],
      [{ aborted: false }, '[Object]'],
      [new EventTarget(), 'EventTarget'],
      [['aborted'], '[Array]']
    ]
    for (const [value, shown] of wrong) {
      const message = `signal must be an AbortSignal, not ${shown}`
      await fails(call, { signal: value }, TYPE, message)
    }
  })

  test('dial: retry', async () => {
    const dial = (sock: PairSocket, retry: never) => sock.dial(url, { retry })
    for (const [value, shown] of [
      [null, 'null'],
      [1, '1'],
      ['yes', "'yes'"]
    ]) {
      const message = `retry must be a boolean, not ${String(shown)}`
      await fails(dial, value, TYPE, message)
    }
  })

  test.each(['listen', 'dial', 'listenOrDial'] as const)(
    '%s: url',
    async (method) => {
      const wrong: [value: unknown, shown: string][] = [
        [undefined, 'undefined'],
        [null, 'null'],
        [45_454, '45454'],
        [{ port: 45_454 }, '[Object]'],
        [['ipc://x'], '[Array]']
      ]
      for (const [value, shown] of wrong) {
        const message = `url must be a string, not ${shown}`
        const call: Call = (sock) => sock[method](value as string)
        await fails(call, value, TYPE, message)
      }
    }
  )

  test('recvMany: max', async () => {
    const call = (sock: PairSocket, max: never) => sock.recvMany(max)
    for (const value of [0, -1, 1.5, NaN, Infinity]) {
      const message = `max must be a positive integer, not ${value}`
      await fails(call, value, RANGE, message)
    }
    for (const [value, shown] of [
      [undefined, 'undefined'],
      [null, 'null'],
      ['5', "'5'"],
      [5n, '5n']
    ]) {
      const message = `max must be a positive integer, not ${String(shown)}`
      await fails(call, value, TYPE, message)
    }
  })

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['number', 42],
    ['boolean', true],
    ['object', {}],
    ['function', () => 'x']
  ])('send, sendMany, trySend: a message that is %s', async (shown, value) => {
    const message =
      'a message must be a string, an ArrayBuffer or a view of one, not ' +
      shown
    await fails((sock, data) => sock.send(data), value, TYPE, message)
    const many = (sock: PairSocket, data: never) => sock.sendMany(['x', data])
    await fails(many, value, TYPE, message)
    const tried = failureOf((sock) => sock.trySend(value as never), socket())
    expectArgumentError(await tried, TYPE, message)
  })

  test.each([
    ['undefined', undefined],
    ['null', null],
    ['number', 42],
    ['object', { length: 1, 0: 'x' }]
  ])('sendMany: messages that are %s', async (shown, value) => {
    const message = `messages must be an iterable of messages, not ${shown}`
    const call = (sock: PairSocket, data: never) => sock.sendMany(data)
    await fails(call, value, TYPE, message)
  })

  test('sendMany: text, which would be a message for each character', async () => {
    const message =
      'messages must be an iterable of messages, not string: ' +
      'send() takes one message'
    const call = (sock: PairSocket, data: never) => sock.sendMany(data)
    await fails(call, 'abc', TYPE, message)
  })
})

describe('the stack starts at the caller’s line:', () => {
  const source = fs.readFileSync(__filename, 'utf8').split('\n')
  const timeout = 1

  /** A socket that has nothing to receive, and no room. */
  async function lonely(): Promise<PairSocket> {
    const sock = socket({ sendBuffer: 1, maxMessageSize: 10, recvTimeout: 1 })
    await sock.send('the only')
    return sock
  }

  async function closed(): Promise<PairSocket> {
    const sock = socket()
    await sock.close()
    return sock
  }

  const nowhere = `ipc://${ipcPath()}`
  const silent = ipcPath()
  const wrong = { timeout: -1 }
  const tooLarge = Buffer.alloc(11)

  // Each call is on one line, by which it is found in the stack.
  /* prettier-ignore */
  const calls: [string, string, () => Promise<PairSocket>, Call][] = [
    ['new PairSocket', 'RangeError', lonely, () => new PairSocket({ sendBuffer: -1 })],
    ['listen', 'TypeError', lonely, (s) => s.listen(5 as never)],
    ['listen', 'EADDRINVAL', lonely, (s) => s.listen('tcp://')],
    ['listen', 'EADDRINVAL', lonely, (s) => s.listen('tcp://..:0')],
    ['listen', 'EADDRINVAL', lonely, (s) => s.listen('tcp://203.0.113.1:0')],
    ['listen', 'ENOENT', lonely, (s) => s.listen(`${nowhere}/x`)],
    ['listen', 'ECLOSED', closed, (s) => s.listen(nowhere)],
    ['dial', 'TypeError', lonely, (s) => s.dial(5 as never)],
    ['dial', 'RangeError', lonely, (s) => s.dial(nowhere, wrong)],
    ['dial', 'EADDRINVAL', lonely, (s) => s.dial('tcp://')],
    ['dial', 'ECONNREFUSED', lonely, (s) => s.dial(nowhere)],
    ['dial', 'ETIMEDOUT', lonely, (s) => s.dial(`ipc://${silent}`, { timeout })],
    ['dial', 'ECLOSED', closed, (s) => s.dial(nowhere)],
    ['listenOrDial', 'TypeError', lonely, (s) => s.listenOrDial(5 as never)],
    ['listenOrDial', 'RangeError', lonely, (s) => s.listenOrDial(nowhere, wrong)],
    ['listenOrDial', 'EADDRINVAL', lonely, (s) => s.listenOrDial('tcp://')],
    ['listenOrDial', 'ETIMEDOUT', lonely, (s) => s.listenOrDial(`ipc://${silent}`, { timeout })],
    ['listenOrDial', 'ECLOSED', closed, (s) => s.listenOrDial(nowhere)],
    ['send', 'TypeError', lonely, (s) => s.send(5 as never)],
    ['send', 'RangeError', lonely, (s) => s.send('x', wrong)],
    ['send', 'EMSGSIZE', lonely, (s) => s.send(tooLarge)],
    ['send', 'ETIMEDOUT', lonely, (s) => s.send('x', { timeout: 0 })],
    ['send', 'ETIMEDOUT', lonely, (s) => s.send('x', { timeout })],
    ['send', 'ECLOSED', closed, (s) => s.send('x')],
    ['sendMany', 'TypeError', lonely, (s) => s.sendMany([5 as never])],
    ['sendMany', 'TypeError', lonely, (s) => s.sendMany(5 as never)],
    ['sendMany', 'RangeError', lonely, (s) => s.sendMany(['x'], wrong)],
    ['sendMany', 'EMSGSIZE', lonely, (s) => s.sendMany([tooLarge])],
    ['sendMany', 'ETIMEDOUT', lonely, (s) => s.sendMany(['x'], { timeout: 0 })],
    ['sendMany', 'ETIMEDOUT', lonely, (s) => s.sendMany(['x'], { timeout })],
    ['sendMany', 'ECLOSED', closed, (s) => s.sendMany(['x'])],
    ['trySend', 'TypeError', lonely, (s) => s.trySend(5 as never)],
    ['trySend', 'EMSGSIZE', lonely, (s) => s.trySend(tooLarge)],
    ['trySend', 'ECLOSED', closed, (s) => s.trySend('x')],
    ['recv', 'RangeError', lonely, (s) => s.recv(wrong)],
    ['recv', 'ETIMEDOUT', lonely, (s) => s.recv({ timeout: 0 })],
    ['recv', 'ETIMEDOUT', lonely, (s) => s.recv({ timeout })],
    ['recv', 'ECLOSED', closed, (s) => s.recv()],
    ['recvMany', 'RangeError', lonely, (s) => s.recvMany(0)],
    ['recvMany', 'RangeError', lonely, (s) => s.recvMany(1, wrong)],
    ['recvMany', 'ETIMEDOUT', lonely, (s) => s.recvMany(1, { timeout: 0 })],
    ['recvMany', 'ETIMEDOUT', lonely, (s) => s.recvMany(1, { timeout })],
    ['recvMany', 'ECLOSED', closed, (s) => s.recvMany(1)],
    ['for await', 'ETIMEDOUT', lonely, async (s) => { for await (const _ of s); }],
    ['drain', 'RangeError', lonely, (s) => s.drain(wrong)],
    ['drain', 'ETIMEDOUT', lonely, (s) => s.drain({ timeout: 0 })],
    ['drain', 'ETIMEDOUT', lonely, (s) => s.drain({ timeout })],
    ['drain', 'ECLOSED', closed, (s) => s.drain()],
    ['close', 'RangeError', lonely, (s) => s.close(wrong)]
  ]

  const first = source.findIndex((line) => line.includes("'new PairSocket', "))

  /** The line of this file that the stack names first. */
  function lineOf(error: unknown): string | undefined {
    const { name, message, stack } = error as Error
    const start = `${name}: ${message}\n    at `
    expect(stack!.slice(0, start.length)).toBe(start)
    const frame = stack!.slice(start.length).split('\n')[0]!
    const [, file, line] = /([^ (]+):(\d+):\d+\)?$/.exec(frame)!
    expect(file).toBe(__filename)
    return source[Number(line) - 1]
  }

  test.each(calls.map((call, index) => [...call, index] as const))(
    '%s, %s',
    async (method, what, make, call, index) => {
      const line = source[first + index]!
      expect(line).toContain(`['${method}', '${what}', ${make.name}, `)
      const { url } = await RawListener.open('ipc')
      fs.linkSync(url.slice('ipc://'.length), silent)
      const error = await failureOf(call, await make())
      fs.rmSync(silent)
      const { name, code } = error as NngError
      expect([name, code]).toContain(what)
      expect(lineOf(error)).toBe(line)
    }
  )
})
