// What connections cost that never become a peer, and who can become it.

import { once } from 'node:events'
import * as fs from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../../lib'
import { accounts, ordinary, root } from '../support/accounts'
import {
  ending,
  inProcess,
  inProcessUnder,
  sourceInProcess,
  type Main
} from '../support/childProcess'
import { Run } from '../support/command'
import { RawPeer } from '../support/rawPeer'
import { tempFolder } from '../support/tempFolder'
import { freeUrl, socket, transports } from '../support/transports'

const describeOnLinux = process.platform === 'linux' ? describe : describe.skip

const CROWD = 1000

/** Listens; answers each message with what the process holds. */
const countingListener: Main<[string]> = async ({ lib, fs, say }, url) => {
  const sock = new lib.PairSocket()
  const listener = await sock.listen(url)
  say(`at ${listener.url}`)
  for await (const message of sock) {
    if (String(message) === 'end') break
    const status = fs.readFileSync('/proc/self/status', 'utf8')
    const kilobytes = /VmRSS:\s+(\d+)/.exec(status)![1]
    const descriptors = fs.readdirSync('/proc/self/fd').length
    await sock.send(`${descriptors} ${kilobytes}`)
  }
  await sock.close()
}

/** Answers each message with what comes of opening a file. */
const openingListener: Main<[string]> = async ({ lib, fs, say }, url) => {
  const sock = new lib.PairSocket()
  const listener = await sock.listen(url)
  say(`at ${listener.url}`)
  for await (const message of sock) {
    if (String(message) === 'end') break
    try {
      fs.closeSync(fs.openSync('/dev/null', 'r'))
      await sock.send('opened')
    } catch (error) {
      await sock.send((error as NodeJS.ErrnoException).code!)
    }
  }
  await sock.close()
}

/** A process that may have so many descriptors at most. */
function withDescriptors<A extends readonly unknown[]>(
  most: number,
  main: Main<A>,
  ...args: A
): Run {
  const source = sourceInProcess(String(main), ...args)
  const limit = `ulimit -n ${most} && exec "$0" "$@"`
  return new Run('sh', ['-c', limit, process.execPath, '-e', source])
}

async function urlOf(run: Run): Promise<string> {
  const isUrl = (line: string) => line.startsWith('at ')
  await run.until(({ lines }) => lines.some(isUrl))
  return run.lines.find(isUrl)!.slice('at '.length)
}

interface Holding {
  descriptors: number
  kilobytes: number
}

async function holdingOf(peer: PairSocket): Promise<Holding> {
  await peer.send('?')
  const [descriptors, kilobytes] = String(await peer.recv()).split(' ')
  return { descriptors: Number(descriptors), kilobytes: Number(kilobytes) }
}

/** What the process of the peer holds, once it has so many descriptors. */
async function holdingOnce(
  peer: PairSocket,
  hasCome: (descriptors: number) => boolean
): Promise<Holding> {
  for (;;) {
    const holding = await holdingOf(peer)
    if (hasCome(holding.descriptors)) return holding
    await turn()
  }
}

/**
 * So many that connect at the same moment and say nothing. Resolves, with them,
 * when all have been accepted.
 */
async function connectMany(
  url: string,
  count: number,
  peer: PairSocket
): Promise<RawPeer[]> {
  const { descriptors } = await holdingOf(peer)
  const all = Array.from({ length: count }, () => RawPeer.connect(url))
  const crowd = await Promise.all(all)
  await holdingOnce(peer, (now) => now >= descriptors + count)
  return crowd
}

describeOnLinux.each(transports)('over %s, strangers', (transport) => {
  test('cost little, by the thousand, and are gone after their time', async () => {
    const run = inProcess(countingListener, freeUrl(transport))
    const peer = socket()
    const url = await urlOf(run)
    await peer.dial(url)
    const before = await holdingOf(peer)
    const crowd = await connectMany(url, CROWD, peer)
    const during = await holdingOf(peer)
    // Each has its operations and nothing that it could make larger.
    const each = (during.kilobytes - before.kilobytes) / CROWD
    expect(each).toBeLessThan(16)
    await Promise.all(crowd.map((raw) => raw.rest()))
    await holdingOnce(peer, (descriptors) => descriptors <= before.descriptors)
    await peer.send('end')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
  }, 60_000)

  test('who take every descriptor leave the peer alone, and go', async () => {
    const run = withDescriptors(60, openingListener, freeUrl(transport))
    const url = await urlOf(run)
    const peer = socket()
    await peer.dial(url)
    // More than there is room for; the rest waits in the backlog.
    const crowd = await Promise.all(
      Array.from({ length: 100 }, () => RawPeer.connect(url))
    )
    const answer = async () => {
      await peer.send('?')
      return String(await peer.recv())
    }
    while ((await answer()) !== 'EMFILE') await turn()
    for (let i = 0; i < 100; i++) expect(await answer()).toBe('EMFILE')
    await peer.close()
    await Promise.all(crowd.map((raw) => raw.close()))
    const next = socket()
    await next.dial(url)
    await next.send('end')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
  })
})

const describeAsRoot =
  process.platform === 'linux' && accounts.includes(root)
    ? describe
    : describe.skip

describeAsRoot('another user of the machine', () => {
  let folder: string
  let url: string

  beforeEach(() => {
    folder = tempFolder()
    url = `ipc://${folder}/pair.ipc`
  })

  /** What comes of dialing as that user; who gets in says hello. */
  function dialing(): Run {
    return inProcessUnder(
      ordinary.as,
      async ({ lib, say }, url: string) => {
        const sock = new lib.PairSocket()
        const dialed = sock.dial(url)
        say(
          await dialed.then(
            () => 'in',
            ({ code }) => code
          )
        )
        await sock.close()
      },
      url
    )
  }

  test.each([
    ['the file’s mode', 0o600, 0o755],
    ['the folder’s mode', 0o666, 0o700]
  ])('is kept out by %s', async (_, ipcMode, folderMode) => {
    fs.chmodSync(folder, folderMode)
    const sock = socket({ ipcMode })
    await sock.listen(url)
    await dialing().line('EPERM')
    expect(sock.peer).toBeUndefined()
  })

  test('who is let in cannot say to be somebody else', async () => {
    fs.chmodSync(folder, 0o755)
    const sock = socket({ ipcMode: 0o666 })
    const connected = once(sock, 'connect')
    await sock.listen(url)
    const run = dialing()
    const { uid, gid } = ordinary.as
    expect(await connected).toMatchObject([{ pid: run.pid, uid, gid }])
    await run.line('in')
  })
})
