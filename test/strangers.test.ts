// What connections cost that never become a peer, and how a socket gets rid of
// one that has become it and should not have.

import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../lib'
import {
  ending,
  inProcess,
  inProcessUnder,
  type Main
} from './support/childProcess'
import type { Run } from './support/command'
import { RawPeer } from './support/rawPeer'
import { freeUrl, socket, transports } from './support/transports'

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
 * So many that connect and say nothing, in waves that the backlog has room
 * for. Resolves, with them, when all have been accepted.
 */
async function connectMany(
  url: string,
  count: number,
  peer: PairSocket
): Promise<RawPeer[]> {
  const { descriptors } = await holdingOf(peer)
  const crowd: RawPeer[] = []
  while (crowd.length < count) {
    const wave = Array.from({ length: 50 }, () => RawPeer.connect(url))
    crowd.push(...(await Promise.all(wave)))
    await holdingOnce(peer, (now) => now >= descriptors + crowd.length)
  }
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
    console.log(each)
    expect(each).toBeLessThan(16)
    await Promise.all(crowd.map((raw) => raw.rest()))
    await holdingOnce(peer, (descriptors) => descriptors <= before.descriptors)
    await peer.send('end')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
  }, 60_000)
})
