// Closing in the middle of heavy traffic both ways: a slow reader gets every
// message that was accepted, in order and whole, and then the end.
//
//   NNG_PAIR_CLOSE_MESSAGES=100000 NNG_PAIR_CLOSE_ROUNDS=100 \
//     npx jest test/long/close-under-load

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import type { PairSocket } from '../../lib'
import { cats, installed, type Cat } from '../support/cats'
import { ending, inProcess, type Main } from '../support/childProcess'
import { unusedUrl } from '../support/command'
import { numbered, type Numbered } from '../support/numbered'
import { random } from '../support/random'
import { SlowCat } from '../support/slowCat'
import { socket, transports } from '../support/transports'
import { until } from '../support/until'

const MESSAGES = Number(process.env.NNG_PAIR_CLOSE_MESSAGES ?? 5000)
const ROUNDS = Number(process.env.NNG_PAIR_CLOSE_ROUNDS ?? 2)
const SEED = Number(process.env.NNG_PAIR_CLOSE_SEED ?? randomInt(2 ** 31))
// Far more than it takes.
const ROUND_WITHIN_MS = 10_000 + MESSAGES
const SUCCESS = { code: 0, signal: null }

const messages = numbered()
// Who sends them.
const OURS = 1
const THEIRS = 2

/** Mostly small, and a few that are more than the kernel takes at once. */
function size(next: () => number): number {
  const kind = next()
  if (kind < 0.9) return 10 + Math.floor(next() * 90)
  if (kind < 0.999) return 10 + Math.floor(next() * 5000)
  return 10 + Math.floor(next() * 300_000)
}

/**
 * Sends in every way until `MESSAGES` were accepted and the buffer is full, and
 * closes at that very moment, with calls that still wait. Returns how many were
 * accepted.
 */
async function sendAndClose(
  sock: PairSocket,
  next: () => number
): Promise<number> {
  let accepted = 0
  const make = (ahead = 0) => messages.make(OURS, accepted + ahead, size(next))
  while (accepted < MESSAGES) {
    const kind = next()
    if (kind < 0.4) {
      await sock.send(make())
      accepted++
    } else if (kind < 0.6) {
      const batch = Array.from({ length: 30 }, (_, i) => make(i))
      await sock.sendMany(batch)
      accepted += batch.length
    } else if (sock.trySend(make())) accepted++
  }
  while (sock.trySend(make())) accepted++
  // Most of the time they have to wait. With the engine on a thread of its own
  // there may be room again, and then they are owed as well.
  const late = Promise.allSettled([sock.send(make(0)), sock.send(make(1))])
  expect(await sock.close()).toEqual({ unsent: 0 })
  for (const outcome of await late) {
    if (outcome.status === 'fulfilled') accepted++
    else expect(outcome.reason).toMatchObject({ code: 'ECLOSED' })
  }
  return accepted
}

/** Connects a socket, which sends and closes while what comes is received. */
async function closeUnderLoad(
  sock: PairSocket,
  url: string,
  role: 'listen' | 'dial',
  next: () => number,
  onMessage: (message: Buffer) => void
): Promise<number> {
  const reading = (async () => {
    for await (const message of sock) onMessage(message)
  })()
  const connected = once(sock, 'connect')
  if (role === 'listen') await sock.listen(url)
  else await sock.dial(url, { retry: true })
  await connected
  const accepted = await sendAndClose(sock, next)
  await reading
  return accepted
}

const opposite = { listen: 'dial', dial: 'listen' } as const
const EAGER = { reconnectMin: 1, reconnectMax: 20 }

/** Reads in bursts, and sends all the time, until its peer is gone. */
const slowReader: Main<
  [
    numbered: string,
    url: string,
    role: 'listen' | 'dial',
    rounds: number,
    ids: { from: number; to: number }
  ]
> = async (
  { lib, once, say, sleep, turn },
  numbered,
  url,
  role,
  rounds,
  { from, to }
) => {
  const { make, check } = (0, eval)(`(${numbered})()`) as Numbered
  for (let round = 0; round < rounds; round++) {
    const sock = new lib.PairSocket({ reconnectMin: 1, reconnectMax: 20 })
    let reason = ''
    sock.once('disconnect', (_, why) => (reason = why))
    const connected = once(sock, 'connect')
    if (role === 'listen') await sock.listen(url)
    else await sock.dial(url, { retry: true })
    await connected

    let sent = 0
    const sending = (async () => {
      for (; reason === ''; sent++) {
        await sock.send(make(to, sent, sent % 100 === 0 ? 20_000 : 50))
        if (sent % 20 === 0) await turn()
      }
    })().catch(() => {})
    let received = 0
    while (reason === '' || sock.stats().unreadMessages > 0) {
      const burst = 200 + ((received * 7) % 1000)
      for (let i = 0; i < burst; i++) {
        const message = sock.tryRecv()
        if (message === undefined) {
          if (reason !== '') break
          await turn()
          continue
        }
        const [sender, number] = check(message)
        if (sender !== from || number !== received) {
          throw new Error(`${number} of ${sender} instead of ${received}`)
        }
        received++
      }
      await sleep(1)
    }
    await sock.close({ timeout: 0 })
    await sending
    say(`${received} messages, then ${reason}; sent some: ${sent > 0}`)
  }
}

/** Takes messages of the reader: in order and whole, from the first one on. */
function inOrder(): (message: Buffer) => void {
  let next = 0
  return (message) => expect(messages.check(message)).toEqual([THEIRS, next++])
}

describe.each(transports)('a close under load over %s', (transport) => {
  const roles = ['listen', 'dial'] as const

  test.each(roles)(
    'loses nothing to another process of ours; it is to %s',
    async (role) => {
      const url = await unusedUrl(transport)
      const next = random(SEED)
      const run = inProcess(
        slowReader,
        String(numbered),
        url,
        opposite[role],
        ROUNDS,
        { from: OURS, to: THEIRS }
      )
      for (let round = 0; round < ROUNDS; round++) {
        const sock = socket(EAGER)
        const closed = closeUnderLoad(sock, url, role, next, inOrder())
        await run.until(({ lines }) => lines.length > round)
        const accepted = await closed
        expect([SEED, round, run.lines[round]]).toEqual([
          SEED,
          round,
          `${accepted} messages, then hangup; sent some: true`
        ])
      }
      expect(await ending(run)).toEqual(SUCCESS)
    },
    ROUNDS * ROUND_WITHIN_MS
  )

  const combinations = cats.flatMap((cat) =>
    roles.map((role) => ({ cat, role }))
  )
  const ifInstalled = cats.every(installed) ? test : test.skip

  ifInstalled.each(combinations)(
    'loses nothing to $cat; ours is to $role',
    async ({ cat, role }) => {
      const next = random(SEED)
      for (let round = 0; round < ROUNDS; round++) {
        const url = await unusedUrl(transport)
        await closeTo(cat, role, url, next)
      }
    },
    ROUNDS * ROUND_WITHIN_MS
  )
})

const CHATTER = 'x'.repeat(5000)

async function closeTo(
  cat: Cat,
  role: 'listen' | 'dial',
  url: string,
  next: () => number
): Promise<void> {
  const reader = new SlowCat(cat, opposite[role], url, CHATTER)
  try {
    let received = 0
    const reading = (async () => {
      for await (const message of reader.messages()) {
        const [sender, number] = messages.check(message)
        if (sender !== OURS || number !== received) {
          throw new Error(`${number} instead of ${received}, seed ${SEED}`)
        }
        received++
      }
    })()
    let chatter = 0
    const closed = closeUnderLoad(socket(EAGER), url, role, next, (message) => {
      expect(message.equals(Buffer.from(CHATTER))).toBe(true)
      chatter++
    })
    const ended = reading.then(() => {
      throw new Error(`${cat} has ended after ${received} messages`)
    })
    const accepted = await Promise.race([closed, ended])
    await Promise.race([ended, until(() => received >= accepted)])
    ended.catch(() => {})
    await reader.kill()
    await reading
    expect(received).toBe(accepted)
    expect(chatter).toBeGreaterThan(0)
  } finally {
    await reader.kill()
  }
}
