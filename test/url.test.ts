import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as dns from 'node:dns/promises'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as os from 'node:os'
import * as path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Listener, PairSocket, TcpPeer } from '../lib'
import { ending, sourceInProcess, type Tools } from './support/childProcess'
import { Run } from './support/command'
import { tempFolder } from './support/tempFolder'
import { socket } from './support/transports'
import { until } from './support/until'

const hasIPv6 = Object.values(os.networkInterfaces()).some((addresses) =>
  addresses!.some(({ address }) => address === '::1')
)
const testIPv6 = hasIPv6 ? test : test.skip
const unlessIPv6 = hasIPv6 ? '' : ' (needs IPv6)'

const port = (url: string) => Number(/:(\d+)$/.exec(url)![1])

interface Meeting {
  listening: PairSocket
  listener: Listener
}

async function listen(url: string): Promise<Meeting> {
  const listening = socket()
  return { listening, listener: await listening.listen(url) }
}

/** Dials a listener and sends it something; returns both ends' peers. */
async function reach({ listening }: Meeting, url: string) {
  const dialing = socket()
  const connected = once(listening, 'connect')
  const dialer = await dialing.dial(url)
  const [atListener] = await connected
  await dialing.send(url)
  expect(String(await listening.recv())).toBe(url)
  const atDialer = dialing.peer!
  const gone = once(listening, 'disconnect')
  await dialing.close()
  await gone
  return { dialer, atListener, atDialer }
}

/** Whether anybody takes a connection there. */
function isTaken(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const visitor = net.connect({ host, port })
    visitor.once('connect', () => {
      visitor.destroy()
      resolve(true)
    })
    visitor.once('error', () => resolve(false))
  })
}

describe('tcp', () => {
  const forms: [given: string, host: string, address: string][] = [
    ['tcp://127.0.0.1:0', '127.0.0.1', '127.0.0.1'],
    ['tcp://127.0.0.1:0/', '127.0.0.1', '127.0.0.1'],
    ['tcp://127.0.0.1:000', '127.0.0.1', '127.0.0.1'],
    ['TCP://127.0.0.1:0', '127.0.0.1', '127.0.0.1'],
    ['tcp://0.0.0.0:0', '127.0.0.1', '127.0.0.1'],
    ['tcp://localhost:0', 'localhost', '127.0.0.1'],
    ['Tcp://LocalHost:0', 'LOCALHOST', '127.0.0.1'],
    ['tcp://*:0', '127.0.0.1', '127.0.0.1'],
    ['tcp://:0', '127.0.0.1', '127.0.0.1']
  ]
  const formsIPv6: typeof forms = [
    ['tcp://[::1]:0', '[::1]', '::1'],
    ['tcp://[0:0:0:0:0:0:0:1]:0', '[::1]', '::1'],
    ['tcp://[::]:0', '[::1]', '::1']
  ]

  const tellsThePort = async (given: string, host: string, address: string) => {
    const meeting = await listen(given)
    const { url } = meeting.listener
    const real = port(url)
    expect(real).toBeGreaterThan(0)
    // The rest is what was given.
    expect(url).toBe(given.replace(/:0+\/?$/, `:${real}`))

    const dialed = `tcp://${host}:${real}`
    const { dialer, atDialer, atListener } = await reach(meeting, dialed)
    expect(dialer.url).toBe(dialed)
    const numeric = address.includes(':') ? `[${address}]` : address
    expect(atDialer).toEqual<TcpPeer>({
      transport: 'tcp',
      url: `tcp://${numeric}:${real}`,
      address,
      port: real
    })
    expect(atListener.address).toBe(address)
    expect(atListener.port).not.toBe(real)
  }

  // What a listener calls itself can be dialed as it is.
  const dialable = forms.map(([given]) => given)
  const dialableIPv6 = [
    ...formsIPv6.map(([given]) => given),
    'tcp://[0::0]:0',
    'tcp://[::0.0.0.0]:0',
    'tcp://[::ffff:0.0.0.0]:0',
    'tcp://[::ffff:127.0.0.1]:0'
  ]
  const dialsItsUrl = async (given: string) => {
    const meeting = await listen(given)
    const { url } = meeting.listener
    const { dialer } = await reach(meeting, url)
    expect(dialer.url).toBe(url)

    // And two that are given the same URL meet there.
    const other = await socket().listenOrDial(url)
    expect([other.type, other.url]).toEqual(['dialer', url])
  }
  test.each(dialable)('%s: the URL can be dialed', dialsItsUrl)
  testIPv6.each(dialableIPv6)(
    `%s: the URL can be dialed${unlessIPv6}`,
    dialsItsUrl
  )

  test('the name of this machine can be dialed, if it has one', async () => {
    const host = os.hostname()
    const known = await dns.lookup(host).catch(() => undefined)
    if (known === undefined) {
      await expect(listen(`tcp://${host}:0`)).rejects.toMatchObject({
        code: 'EADDRINVAL'
      })
    } else {
      await dialsItsUrl(`tcp://${host}:0`)
    }
  })

  test.each(['tcp://*', 'tcp://', 'tcp://0.0.0.0'])(
    'dialing %s is dialing 127.0.0.1',
    async (given) => {
      const meeting = await listen('tcp://127.0.0.1:0')
      const real = port(meeting.listener.url)
      const { atDialer } = await reach(meeting, `${given}:${real}`)
      expect(atDialer).toMatchObject({ address: '127.0.0.1' })
    }
  )

  test.each(forms)('%s gets a free port, and tells which', tellsThePort)
  testIPv6.each(formsIPv6)(
    `%s gets a free port, and tells which${unlessIPv6}`,
    tellsThePort
  )

  test('each listener gets a port of its own', async () => {
    const meetings = await Promise.all(
      Array.from({ length: 5 }, () => listen('tcp://127.0.0.1:0'))
    )
    const ports = meetings.map(({ listener }) => port(listener.url))
    expect(new Set(ports).size).toBe(5)
  })

  test('a port that is given is taken, and told', async () => {
    const { listener } = await listen('tcp://127.0.0.1:0')
    const { url } = listener
    await listener.close()
    const again = await listen(`${url}/`)
    expect(again.listener.url).toBe(url)
    const { dialer } = await reach(again, `${url}/`)
    // Of a dialer as it was given, with nothing added or left out.
    expect(dialer.url).toBe(`${url}/`)
  })

  test.each(['tcp://*:0', 'tcp://:0', 'tcp://0.0.0.0:0'])(
    '%s is every IPv4 address',
    async (given) => {
      const meeting = await listen(given)
      const real = port(meeting.listener.url)
      const own = Object.values(os.networkInterfaces())
        .flatMap((addresses) => addresses!)
        .filter(({ family }) => family === 'IPv4')
        .map(({ address }) => address)
      expect(own).toContain('127.0.0.1')
      for (const address of own) {
        await reach(meeting, `tcp://${address}:${real}`)
      }
      if (hasIPv6) expect(await isTaken('::1', real)).toBe(false)
    }
  )

  test.each(['127.0.0.1', 'localhost'])(
    '%s is that one alone',
    async (host) => {
      const { listener } = await listen(`tcp://${host}:0`)
      const real = port(listener.url)
      expect(await isTaken('127.0.0.1', real)).toBe(true)
      if (hasIPv6) expect(await isTaken('::1', real)).toBe(false)
      if (process.platform === 'linux') {
        expect(await isTaken('127.0.0.2', real)).toBe(false)
      }
    }
  )

  test.each(['LOCALHOST', 'localhost'])(
    'who listens at %s finds it taken by 127.0.0.1',
    async (host) => {
      const { listener } = await listen('tcp://127.0.0.1:0')
      const url = `tcp://${host}:${port(listener.url)}`
      await expect(socket().listen(url)).rejects.toMatchObject({
        code: 'EADDRINUSE',
        address: url
      })
      const met = await socket().listenOrDial(url)
      expect([met.type, met.url]).toEqual(['dialer', url])
    }
  )
})

describe(`dialing localhost${unlessIPv6}`, () => {
  testIPv6('tries 127.0.0.1, then ::1', async () => {
    const four = await listen('tcp://localhost:0')
    const url = four.listener.url
    const six = await listen(`tcp://[::1]:${port(url)}`)
    expect((await reach(four, url)).atDialer).toMatchObject({
      address: '127.0.0.1'
    })
    await four.listening.close()
    expect((await reach(six, url)).atDialer).toMatchObject({ address: '::1' })
    await six.listening.close()
    await expect(socket().dial(url)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      address: url
    })
  })

  testIPv6('reaches whoever is there, time and again', async () => {
    const host = await listen('tcp://[::1]:0')
    const url = `tcp://localhost:${port(host.listener.url)}`
    const dialing = socket({ reconnectMin: 1, reconnectMax: 10 })
    const addresses: string[] = []
    dialing.on('connect', (peer) => addresses.push((peer as TcpPeer).address))
    await dialing.dial(url, { retry: true })
    let listening = host.listening
    for (const next of ['127.0.0.1', '[::1]', '127.0.0.1']) {
      await dialing.send('who is there?')
      await listening.recv()
      const gone = once(dialing, 'disconnect')
      await listening.close()
      await gone
      listening = (await listen(`tcp://${next}:${port(url)}`)).listening
    }
    await dialing.send('who is there?')
    await listening.recv()
    await until(() => addresses.length === 4)
    expect(addresses).toEqual(['::1', '127.0.0.1', '::1', '127.0.0.1'])
  })
})

describe('an IPv6 address of a link', () => {
  // Such an address is of use only with its zone: the name of the interface.
  const own = Object.entries(os.networkInterfaces()).flatMap(
    ([name, addresses]) =>
      addresses!
        .filter(({ address }) => /^fe[89ab]/.test(address))
        .map(({ address }) => `${address}%${name}`)
  )
  const testOwn = own.length > 0 ? test : test.skip

  /** Both ends' peers, and what Node says of such a connection. */
  async function meetAt(address: string) {
    const server = net.createServer((conn) => conn.end())
    server.listen(0, address)
    await once(server, 'listening')
    const to = (server.address() as net.AddressInfo).port
    const conn = net.connect(to, address).resume()
    await once(conn, 'connect')
    const { remoteAddress } = conn
    server.close()
    await once(server, 'close')

    const meeting = await listen(`tcp://[${address}]:0`)
    const { url } = meeting.listener
    return { url, remoteAddress, ...(await reach(meeting, url)) }
  }

  testOwn(
    'keeps its zone, as Node writes it' +
      (own.length > 0 ? '' : ' (needs an interface with such an address)'),
    async () => {
      for (const address of own) {
        const { url, remoteAddress, atDialer, atListener } =
          await meetAt(address)
        expect(remoteAddress).toBe(address)
        expect(url).toBe(`tcp://[${address}]:${port(url)}`)
        expect(atDialer).toEqual<TcpPeer>({
          transport: 'tcp',
          url,
          address,
          port: port(url)
        })
        expect(atListener).toEqual<TcpPeer>({
          transport: 'tcp',
          url: `tcp://[${address}]:${atListener.port}`,
          address,
          port: atListener.port
        })
      }
    }
  )

  // A network of its own, with a link whose name has letters of both cases.
  const isolated = [
    ...['--user', '--map-root-user', '--net', 'sh', '-c'],
    'ip addr add fe80::1/64 dev lo && ip link set lo name Link0' +
      ' && ip link set Link0 up && exec "$@"',
    'sh'
  ]
  const canIsolate =
    process.platform === 'linux' &&
    spawnSync('unshare', [...isolated, 'true']).status === 0
  const testIsolated = canIsolate ? test : test.skip

  testIsolated(
    'may have a zone with capital letters, or the number of one' +
      (canIsolate ? '' : ' (needs Linux, ip, and the right to unshare)'),
    async () => {
      const source = sourceInProcess(
        String(async ({ lib, once, say }: Tools) => {
          for (const zone of ['Link0', '1']) {
            const [one, other] = [new lib.PairSocket(), new lib.PairSocket()]
            const connected = once(one, 'connect')
            const { url } = await one.listen(`tcp://[fe80::1%${zone}]:0`)
            await other.dial(url)
            const [peer] = (await connected) as [TcpPeer]
            say(peer.address)
            say((other.peer as TcpPeer).address)
            await Promise.all([one.close(), other.close()])
          }
        })
      )
      const run = new Run('unshare', [
        ...isolated,
        ...[process.execPath, '-e', source]
      ])
      expect(await ending(run)).toEqual({ code: 0, signal: null })
      expect(run.lines).toEqual(Array(4).fill('fe80::1%Link0'))
    }
  )
})

describe('ipc', () => {
  const before = process.cwd()
  let folder: string

  beforeEach(() => {
    folder = tempFolder()
    fs.mkdirSync(path.join(folder, 'sub'))
    process.chdir(folder)
  })
  afterEach(() => process.chdir(before))

  // Nothing in a path means anything but to the system: it is no part of a
  // URL that could be encoded, have a query, or a fragment.
  test.each([
    ['relative', 'pair.ipc'],
    ['relative to this folder', './pair.ipc'],
    ['in another folder', 'sub/pair.ipc'],
    ['with a way back', 'sub/../pair.ipc'],
    ['with too many slashes', 'sub//pair.ipc'],
    ['with a space', 'a pair.ipc'],
    ['with spaces around it', ' pair.ipc '],
    ['with a newline', 'pair\n.ipc'],
    ['not ASCII', 'pär-対-👥.ipc'],
    ['with a percent sign', 'pair%20.ipc'],
    ['like a query', 'pair?a=b#c'],
    ['like a host and a port', '127.0.0.1:45454'],
    ['like a URL', 'tcp:'],
    ['hidden', '.pair']
  ])('a path %s: %j', async (_, name) => {
    const file = path.resolve(folder, name)
    const absolute = `ipc://${folder}/${name}`
    for (const url of [`ipc://${name}`, absolute, absolute.replace('i', 'I')]) {
      const meeting = await listen(url)
      expect(meeting.listener.url).toBe(url)
      expect(fs.lstatSync(file).isSocket()).toBe(true)
      expect(fs.readdirSync(path.dirname(file))).toContain(path.basename(file))

      const given = url.slice('ipc://'.length)
      const same = { transport: 'ipc', url: `ipc://${given}`, path: given }
      const { dialer, atDialer, atListener } = await reach(meeting, url)
      expect(dialer.url).toBe(url)
      expect(atDialer).toMatchObject(same)
      expect(atListener).toMatchObject(same)

      // However it is called.
      for (const other of [`ipc://${file}`, `ipc://${name}`]) {
        await reach(meeting, other)
      }
      await meeting.listening.close()
      expect(fs.existsSync(file)).toBe(false)
    }
  })

  test.each(['~', '$HOME', '%TMP%'])('%s is but a name', async (name) => {
    await expect(listen(`ipc://${name}/pair.ipc`)).rejects.toMatchObject({
      code: 'ENOENT'
    })
    await listen(`ipc://${name}`)
    expect(fs.readdirSync(folder).sort()).toEqual([name, 'sub'].sort())
  })

  test('a relative path is of the folder of that moment', async () => {
    const meeting = await listen('ipc://pair.ipc')
    process.chdir('sub')
    await expect(socket().dial('ipc://pair.ipc')).rejects.toMatchObject({
      code: 'ECONNREFUSED'
    })
    const other = await listen('ipc://pair.ipc')
    await reach(other, 'ipc://pair.ipc')
    await reach(meeting, 'ipc://../pair.ipc')
    await other.listening.close()
    process.chdir('..')
    await meeting.listening.close()
    expect(fs.readdirSync(folder, { recursive: true })).toEqual(['sub'])
  })

  /** The one hears the other. */
  async function greeted(dialing: PairSocket, ours: PairSocket): Promise<void> {
    await ours.send('hello')
    expect(String(await dialing.recv())).toBe('hello')
  }

  const EAGER = { reconnectMin: 1, reconnectMax: 10 }

  test('a dialer with a relative path finds it again from elsewhere', async () => {
    let listening = socket()
    await listening.listen(`ipc://${folder}/pair.ipc`)
    const dialing = socket(EAGER)
    const dialer = await dialing.dial('ipc://pair.ipc')
    await greeted(dialing, listening)

    // Somebody else has the same name there.
    process.chdir('sub')
    const stranger = socket()
    await stranger.listen('ipc://pair.ipc')
    for (let round = 0; round < 3; round++) {
      await listening.close()
      listening = socket()
      await listening.listen(`ipc://${folder}/pair.ipc`)
      await greeted(dialing, listening)
      expect(dialing.peer).toMatchObject({ path: 'pair.ipc' })
    }
    expect(stranger.peer).toBeUndefined()
    expect(dialer.url).toBe('ipc://pair.ipc')
  })

  test('a dialer with a relative path is begun here and dials elsewhere', async () => {
    const dialing = socket(EAGER)
    await dialing.dial('ipc://sub/../pair.ipc', { retry: true })
    process.chdir('/')
    const listening = socket()
    await listening.listen(`ipc://${folder}/pair.ipc`)
    await greeted(dialing, listening)
  })

  test('a dialer with a relative path stays with a folder that is moved', async () => {
    const listening = socket()
    const listener = await listening.listen('ipc://sub/pair.ipc')
    process.chdir('sub')
    const dialing = socket(EAGER)
    await dialing.dial('ipc://pair.ipc')
    await greeted(dialing, listening)
    await listener.close()
    fs.renameSync(path.join(folder, 'sub'), path.join(folder, 'moved'))
    await listening.listen('ipc://pair.ipc')
    await greeted(dialing, listening)
  })

  test('a path that is too long but for its relative form', async () => {
    const deep = path.join(folder, 'd'.repeat(110))
    fs.mkdirSync(deep)
    process.chdir(deep)
    let listening = socket()
    await listening.listen('ipc://pair.ipc')
    const dialing = socket(EAGER)
    await dialing.dial('ipc://pair.ipc')
    await greeted(dialing, listening)

    // From elsewhere it cannot be dialed, and whoever is there is not meant.
    process.chdir(folder)
    const stranger = socket()
    await stranger.listen('ipc://pair.ipc')
    const gone = once(dialing, 'disconnect')
    await listening.close()
    await gone
    const visited = once(stranger, 'connect').then(() => 'visited')
    expect(await Promise.race([visited, sleep(100, 'alone')])).toBe('alone')
    process.chdir(deep)
    listening = socket()
    await listening.listen('ipc://pair.ipc')
    await greeted(dialing, listening)
  })
})
