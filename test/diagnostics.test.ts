import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { PairSocket } from '../lib'
import { ending, inProcessUnder } from './support/childProcess'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'

type Told = Record<string, unknown>

/** What a channel tells of these sockets until the test ends. */
function listenTo(name: string): Told[] {
  const told: Told[] = []
  const listener = (message: unknown) => void told.push(message as Told)
  subscribe(`nng-pair:${name}`, listener)
  subscribed.push(() => unsubscribe(`nng-pair:${name}`, listener))
  return told
}

const subscribed: (() => void)[] = []
afterEach(() => {
  for (const stop of subscribed.splice(0)) stop()
})

describe.each(transports)('diagnostics channels over %s', (transport) => {
  test('tell of connections and rejects', async () => {
    const told = ['connect', 'disconnect', 'reject'].map(listenTo)
    const [connects, disconnects, rejects] = told as [Told[], Told[], Told[]]
    const { listening, dialing, url } = await connectedPair(transport)
    const { peer } = listening
    expect(connects).toContainEqual({ socket: listening, peer })
    expect(connects).toContainEqual({ socket: dialing, peer: dialing.peer })
    const rejected = once(listening, 'reject')
    await socket().dial(url, { retry: true })
    const [stranger] = (await rejected) as unknown[]
    expect(rejects[0]).toEqual({
      socket: listening,
      peer: stranger,
      reason: 'busy'
    })
    const gone = once(listening, 'disconnect')
    await dialing.close()
    await gone
    expect(disconnects).toContainEqual({
      socket: listening,
      peer,
      reason: 'hangup'
    })
  })

  test('tell of each message, whichever way it is sent and received', async () => {
    const sends = listenTo('send')
    const receives = listenTo('receive')
    const { listening, dialing } = await connectedPair(transport)
    await dialing.send('ä')
    dialing.trySend(Buffer.from([1, 2, 3]))
    await dialing.sendMany(['x', 'yz', Buffer.alloc(5000)])
    expect(sends.map(({ size }) => size)).toEqual([2, 3, 1, 2, 5000])
    expect(sends[0]).toEqual({ socket: dialing, size: 2, data: 'ä' })

    const first = await listening.recv()
    expect(receives[0]).toEqual({ socket: listening, size: 2, data: first })
    await listening.recvMany(1)
    await once(listening, 'message')
    for await (const _ of listening) break
    while (receives.length < 5) await listening.recv()
    expect(receives.map(({ size }) => size)).toEqual([2, 3, 1, 2, 5000])
  })
})

test('a send that waits for room is told of when it is accepted', async () => {
  const sends = listenTo('send')
  const sock = socket({ sendBuffer: 0 })
  const refused = sock.send('refused', { timeout: 1 })
  await expect(refused).rejects.toMatchObject({ code: 'ETIMEDOUT' })
  const waiting = sock.send('later')
  expect(sends).toEqual([])
  const { url } = await sock.listen(freeUrl('tcp'))
  await socket().dial(url)
  await waiting
  expect(sends).toEqual([{ socket: sock, size: 5, data: 'later' }])
})

test('NODE_DEBUG=nng-pair writes a line for everything but messages', async () => {
  const main = async (
    { lib, once: event }: import('./support/childProcess').Tools,
    url: string
  ) => {
    const listening = new lib.PairSocket()
    const listener = await listening.listen(url)
    const dialing: PairSocket = new lib.PairSocket()
    await dialing.dial(url)
    const other = new lib.PairSocket()
    const rejected = event(listening, 'reject')
    await other.dial(url, { retry: true })
    await rejected
    await other.close()
    await other.dial(url).catch(() => {})
    await listener.close()
    await dialing.dial(url).catch(() => {})
    await dialing.send('x')
    await dialing.close({ timeout: 0 })
    await listening.close()
  }
  const url = freeUrl('ipc')
  const env = { ...process.env, NODE_DEBUG: 'nng-pair' }
  const run = inProcessUnder({ env }, main, url)
  expect((await ending(run)).code).toBe(0)
  const lines = run.stamped.filter((line) => line.startsWith('NNG-PAIR'))
  for (const text of [
    `has the listener ${url}`,
    `dials ${url}`,
    `has the peer ${url}`,
    `rejects the peer ${url}: busy`,
    `has lost the peer ${url}: `,
    `closed the listener ${url}`,
    `cannot dial ${url}: `,
    'is closing',
    'is closed, with '
  ]) {
    expect(lines.join('\n')).toContain(text)
  }
  // Each of them is one line, and nothing else was written.
  expect(lines).toEqual(run.stamped)
  expect(lines[0]).toMatch(/^NNG-PAIR \d+: socket \d+ has the listener /)

  const quiet = inProcessUnder({ env: { ...env, NODE_DEBUG: '' } }, main, url)
  await ending(quiet)
  expect(quiet.stamped).toEqual([])
})
