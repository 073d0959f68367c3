import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { PairSocket } from '../lib'
import { RawListener } from './support/rawPeer'
import { leaveDeadListener } from './support/deadListener'
import { Starters, expectReaches } from './support/starters'
import { tempFolder } from './support/tempFolder'
import { connectedPair, socket } from './support/transports'

const testOnLinux = process.platform === 'linux' ? test : test.skip

let folder: string
let file: string
let url: string

beforeEach(() => {
  folder = tempFolder()
  file = path.join(folder, 'pair.ipc')
  url = `ipc://${file}`
})

// A private name that was left behind would show.
const names = () => fs.readdirSync(folder)

/** What makes a file the same file, with the same content. */
function identity(name: string): unknown {
  const { dev, ino, mode, mtimeNs, size } = fs.lstatSync(name, { bigint: true })
  return { dev, ino, mode, mtimeNs, size }
}

async function expectExchange(a: PairSocket, b: PairSocket): Promise<void> {
  await Promise.all([a.send('from a'), b.send('from b')])
  expect(String(await a.recv())).toBe('from b')
  expect(String(await b.recv())).toBe('from a')
}

async function expectWorks(listening: PairSocket): Promise<void> {
  const dialing = socket()
  await dialing.dial(url)
  await expectExchange(listening, dialing)
}

/** The socket file of a listener that is no more. */
async function leaveStaleFile(): Promise<void> {
  await leaveDeadListener(file)
  expect(names()).toEqual(['pair.ipc'])
}

const inTheWay: Record<string, () => void> = {
  'a regular file': () => fs.writeFileSync(file, 'precious'),
  'an empty file': () => fs.writeFileSync(file, ''),
  'a folder': () => fs.mkdirSync(file),
  'a pipe': () => execFileSync('mkfifo', [file]),
  'a link to a file': () => {
    fs.writeFileSync(path.join(folder, 'other'), 'precious')
    fs.symlinkSync('other', file)
  },
  'a link to nothing': () => fs.symlinkSync('missing', file)
}

describe('what is in the way of a listener', () => {
  test.each(Object.entries(inTheWay))('%s is left alone', async (_, put) => {
    put()
    const before = names().map((name) => identity(path.join(folder, name)))
    await expect(socket().listen(url)).rejects.toMatchObject({
      name: 'NngError',
      code: 'EADDRINUSE',
      syscall: 'listen',
      address: url
    })
    const after = names().map((name) => identity(path.join(folder, name)))
    expect(after).toEqual(before)
  })

  test('a regular file keeps its content, also from listenOrDial', async () => {
    fs.writeFileSync(file, 'precious')
    await expect(socket().listenOrDial(url)).rejects.toMatchObject({
      code: 'ECONNREFUSED',
      cause: { code: 'EADDRINUSE' }
    })
    expect(fs.readFileSync(file, 'utf8')).toBe('precious')
  })

  test('the file of a killed listener is taken over', async () => {
    const starters = await Starters.start(1)
    expect(await starters.run('listen', { url })).toMatchObject([
      { code: 'listening' }
    ])
    await starters.kill()
    expect(fs.lstatSync(file).isSocket()).toBe(true)
    const listening = socket()
    await listening.listen(url)
    await expectWorks(listening)
    await listening.close()
    expect(names()).toEqual([])
  })

  test('a link to the file of a dead listener is left alone', async () => {
    await leaveStaleFile()
    fs.renameSync(file, path.join(folder, 'stale'))
    fs.symlinkSync('stale', file)
    await expect(socket().listen(url)).rejects.toMatchObject({
      code: 'EADDRINUSE'
    })
    expect(names().sort()).toEqual(['pair.ipc', 'stale'])
  })

  test('a live listener is not disturbed', async () => {
    const { listening, dialing, url } = await connectedPair('ipc')
    const events: string[] = []
    for (const event of ['connect', 'disconnect', 'reject'] as const) {
      listening.on(event, () => events.push(event))
    }
    const before = identity(url.slice('ipc://'.length))
    for (let i = 0; i < 20; i++) {
      await expect(socket().listen(url)).rejects.toMatchObject({
        code: 'EADDRINUSE'
      })
      await expectExchange(listening, dialing)
    }
    expect(events).toEqual([])
    const gone = once(listening, 'disconnect')
    await dialing.close()
    await gone
    const next = socket()
    await next.dial(url)
    await expectExchange(listening, next)
    expect(identity(url.slice('ipc://'.length))).toEqual(before)
  })

  // Not every listener survives a visitor who leaves at once.
  testOnLinux('a listener of others is not even visited', async () => {
    const other = await RawListener.open('ipc')
    await expect(socket().listen(other.url)).rejects.toMatchObject({
      code: 'EADDRINUSE'
    })
    const ours = socket()
    const dialing = ours.listenOrDial(other.url)
    const raw = await other.accept()
    await raw.shake()
    expect((await dialing).type).toBe('dialer')
    await raw.send('first and only')
    expect(String(await ours.recv())).toBe('first and only')
  })
})

describe('several processes at once', () => {
  const PROCESSES = 4
  const ROUNDS = 25
  let starters: Starters

  beforeAll(async () => {
    starters = await Starters.start(PROCESSES)
  })
  afterAll(() => starters.kill())

  test.each([
    ['take over a dead listener', leaveStaleFile],
    ['take a free path', async () => {}]
  ])('%s: exactly one wins', async (_, prepare) => {
    for (let round = 0; round < ROUNDS; round++) {
      await prepare()
      const outcomes = await starters.run('listen', { url })
      expect(outcomes.map(({ code }) => code).sort()).toEqual([
        ...Array.from({ length: PROCESSES - 1 }, () => 'EADDRINUSE'),
        'listening'
      ])
      // And it is the one that can be reached.
      const winner = outcomes.find(({ code }) => code === 'listening')!
      await expectReaches(url, winner.pid)
      await starters.run('close')
      expect(names()).toEqual([])
    }
  })
})

describe('the socket file', () => {
  test('goes with the listener, and with the socket', async () => {
    const sock = socket()
    const listener = await sock.listen(url)
    expect(names()).toEqual(['pair.ipc'])
    await listener.close()
    expect(names()).toEqual([])
    await sock.listen(url)
    await sock.close()
    expect(names()).toEqual([])
  })

  test('stays when it is not ours any more', async () => {
    const sock = socket()
    await sock.listen(url)
    fs.unlinkSync(file)
    fs.writeFileSync(file, 'somebody put this here')
    await sock.close()
    expect(fs.readFileSync(file, 'utf8')).toBe('somebody put this here')
  })

  test('stays when another listener took its place', async () => {
    const first = socket()
    const second = socket()
    await first.listen(url)
    fs.unlinkSync(file)
    await second.listen(url)
    await first.close()
    await expectWorks(second)
  })

  test('that was moved away is somebody else’s', async () => {
    const sock = socket()
    await sock.listen(url)
    fs.renameSync(file, path.join(folder, 'moved'))
    await sock.close()
    expect(names()).toEqual(['moved'])
  })

  test.each(['600', '660', '666', '777', '200'])(
    'has the permissions %s, whatever the umask',
    async (octal) => {
      const ipcMode = parseInt(octal, 8)
      const before = process.umask(0o077)
      try {
        await socket({ ipcMode }).listen(url)
      } finally {
        process.umask(before)
      }
      expect(fs.lstatSync(file).mode & 0o777).toBe(ipcMode)
    }
  )

  testOnLinux('is for its owner alone from the first moment', async () => {
    const changes: string[] = []
    const watcher = fs.watch(folder)
    watcher.on('change', (event, name) => {
      if (name === 'pair.ipc') changes.push(event)
    })
    const before = process.umask(0)
    try {
      await socket().listen(url)
    } finally {
      process.umask(before)
    }
    expect(fs.lstatSync(file).mode & 0o777).toBe(0o600)
    fs.writeFileSync(path.join(folder, 'last'), '')
    for (;;) {
      const [, name] = (await once(watcher, 'change')) as [string, string]
      if (name === 'last') break
    }
    watcher.close()
    // It came to be, and nothing about it has changed since; or, unless it is
    // root's, it came to be closed to everybody, and was opened to its owner
    // (ipc-path: before it listens).
    expect(changes).toEqual(
      process.getuid!() === 0 ? ['rename'] : ['rename', 'change']
    )
  })
})

describe('a path', () => {
  test('in a folder that does not exist is ENOENT', async () => {
    await expect(
      socket().listen(`ipc://${folder}/missing/pair.ipc`)
    ).rejects.toMatchObject({ code: 'ENOENT', syscall: 'listen' })
  })

  test('may be relative', async () => {
    const before = process.cwd()
    process.chdir(folder)
    try {
      for (const relative of ['pair.ipc', './pair.ipc']) {
        const sock = socket()
        const listener = await sock.listen(`ipc://${relative}`)
        expect(listener.url).toBe(`ipc://${relative}`)
        expect(names()).toEqual(['pair.ipc'])
        await expectWorks(sock)
        const dialing = socket()
        await sock.close()
        await dialing.close()
        expect(names()).toEqual([])
      }
    } finally {
      process.chdir(before)
    }
  })

  test('may be relative, and is removed from wherever that is', async () => {
    const before = process.cwd()
    const sock = socket()
    process.chdir(folder)
    try {
      await sock.listen('ipc://pair.ipc')
    } finally {
      process.chdir(before)
    }
    expect(names()).toEqual(['pair.ipc'])
    await sock.close()
    expect(names()).toEqual([])
  })

  test('may be reached through a link', async () => {
    fs.mkdirSync(path.join(folder, 'real'))
    fs.symlinkSync('real', path.join(folder, 'link'))
    const sock = socket()
    await sock.listen(`ipc://${folder}/link/pair.ipc`)
    const dialing = socket()
    await dialing.dial(`ipc://${folder}/real/pair.ipc`)
    await expectExchange(sock, dialing)
  })

  test('may have spaces and other characters', async () => {
    url = `ipc://${folder}/a b%20c#d?é.ipc`
    const sock = socket()
    await sock.listen(url)
    expect(names()).toEqual(['a b%20c#d?é.ipc'])
    await expectWorks(sock)
  })

  const longest = process.platform === 'linux' ? 107 : 103

  test('may have as many bytes as the system allows', async () => {
    const long = path.join(folder, 'p'.repeat(longest - folder.length - 1))
    expect(long).toHaveLength(longest)
    url = `ipc://${long}`
    const sock = socket()
    await sock.listen(url)
    await expectWorks(sock)
  })

  testOnLinux('may have as long a folder as the system allows', async () => {
    const deep = path.join(folder, 'd'.repeat(longest - folder.length - 3))
    fs.mkdirSync(deep)
    url = `ipc://${deep}/p`
    const sock = socket()
    await sock.listen(url)
    await expectWorks(sock)
    await sock.close()
    expect(fs.readdirSync(deep)).toEqual([])
  })

  test.each([1, 100])('that is %i bytes too long is EADDRINVAL', async (n) => {
    const long = path.join(folder, 'p'.repeat(longest - folder.length - 1 + n))
    for (const attempt of [
      socket().listen(`ipc://${long}`),
      socket().dial(`ipc://${long}`)
    ]) {
      await expect(attempt).rejects.toMatchObject({ code: 'EADDRINVAL' })
    }
    expect(names()).toEqual([])
  })
})
