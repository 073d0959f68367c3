import { randomInt } from 'node:crypto'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import {
  PairSocket,
  type Dialer,
  type Listener,
  type NngError,
  type PairSocketOptions
} from '../../lib'
import { cancelling } from '../support/cancelling'
import { sourceInProcess, type Tools } from '../support/childProcess'
import { Run } from '../support/command'
import { numbered, type Numbered } from '../support/numbered'
import { random } from '../support/random'
import { RawPeer, frame } from '../support/rawPeer'
import { Traffic, checkStats, compare, messages } from '../support/traffic'
import { ownUrl, transports, type Transport } from '../support/transports'
import { until } from '../support/until'

// Everything at once, at random, for a while: the promises of
// docs/guarantees.md hold whatever comes together. A seed repeats the choices;
// the system's timing is never the same.
//   NNG_PAIR_STRESS_SECONDS=120 NNG_PAIR_STRESS_SEED=1 npx jest test/long/stress

const SECONDS = Number(process.env.NNG_PAIR_STRESS_SECONDS ?? 8)
const SEED = Number(process.env.NNG_PAIR_STRESS_SEED ?? randomInt(2 ** 31))
// To end what is under way, on a slow machine under a sanitizer.
const GRACE_MS = 60_000

type Next = () => number

const pick = <T>(next: Next, ...list: T[]): T =>
  list[Math.floor(next() * list.length)]!

function options(next: Next): PairSocketOptions {
  return {
    recvBuffer: pick(next, 0, 1, 16, 128),
    sendBuffer: pick(next, 0, 1, 16, 128),
    reconnectMin: 1,
    reconnectMax: pick(next, 1, 20)
  }
}

/** What goes on, for the report of a failure. */
class World {
  readonly traffics: Traffic[] = []
  readonly sockets: PairSocket[] = []
  count = 0
  lost = 0
  fail: (error: Error) => void = () => {}
  readonly #failure: Promise<never>

  constructor(
    readonly name: string,
    readonly transport: Transport,
    readonly next: Next
  ) {
    this.#failure = new Promise((_, reject) => (this.fail = reject))
    this.#failure.catch(() => {})
  }

  /** Runs once; ends early if one of the calls under way fails. */
  async run(kind: Kind, over: () => boolean): Promise<void> {
    await Promise.race([kind(this, over), this.#failure])
    await this.end()
  }

  socket(): PairSocket {
    const sock = new PairSocket(options(this.next))
    this.sockets.push(sock)
    return sock
  }

  traffic(cancels = true): Traffic {
    const traffic = new Traffic(
      this.traffics.length + 1,
      this.socket(),
      this.next,
      {
        cancels,
        atOnce: pick(this.next, 1, 4, 20),
        readers: pick(this.next, 1, 2, 8)
      },
      this.fail
    )
    this.traffics.push(traffic)
    return traffic
  }

  async end(): Promise<void> {
    await Promise.all(this.sockets.map((sock) => sock.close({ timeout: 0 })))
    await Promise.all(this.traffics.map((traffic) => traffic.finish()))
    this.sockets.length = 0
    this.traffics.length = 0
  }

  describe(): string {
    return [
      `${this.name}, episode ${this.count}`,
      ...this.traffics.map((traffic) => traffic.describe())
    ].join('\n  ')
  }
}

type Kind = (world: World, over: () => boolean) => Promise<void>

const during = (ms: number): (() => boolean) => {
  const end = performance.now() + ms
  return () => performance.now() >= end
}

const has = (traffic: Traffic, sender: Traffic, number: number) =>
  (traffic.received.get(sender.id)?.at(-1) ?? -1) >= number ||
  (traffic.tried.get(sender.id)?.at(-1) ?? -1) >= number

/** Whether the one has all that the other was promised. */
const complete = (from: Traffic, to: Traffic) =>
  from.accepted.every((number) => has(to, from, number))

/**
 * One of two connected sockets closes, the other hears all that it was sent.
 * Whatever went wrong before has lost messages in so many pieces.
 */
async function closeOne(
  world: World,
  closing: Traffic,
  other: Traffic,
  gaps: [closing: number, other: number]
): Promise<void> {
  const { next } = world
  const gone = new Promise((resolve) => other.sock.once('disconnect', resolve))
  const timeout = pick(next, Infinity, Infinity, 0, next() * 20)
  closing.log(`close within ${timeout}`)
  const { unsent } = await closing.sock.close({ timeout })
  await closing.finish()
  await gone
  await other.empty()
  await other.sock.close({ timeout: 0 })
  await other.finish()
  if (timeout === Infinity) expect(unsent).toBe(0)
  const missing = compare(
    closing,
    other,
    gaps[0] + (timeout === Infinity ? 0 : 1)
  )
  // What nobody had received is dropped.
  compare(other, closing, gaps[1] + 1)
  checkStats(closing)
  checkStats(other)
  world.lost += missing
}

/** Two sockets, one connection, nothing goes wrong. */
const steady: Kind = async (world, over) => {
  const { transport, next } = world
  const one = world.traffic()
  const other = world.traffic()
  const url = ownUrl(transport)
  // Under wine both of two can listen (test/windows/left-out.json).
  const kinds = process.env.NNG_PAIR_UNDER_WINE === undefined ? 1 : 0.75
  const kind = transport === 'tcp' ? 0 : next() * kinds
  if (kind < 0.5) {
    const listener = await one.sock.listen(url)
    await other.sock.dial(listener.url)
  } else if (kind < 0.75) {
    await other.sock.dial(url, { retry: true })
    await one.sock.listen(url)
  } else {
    await Promise.all([
      one.sock.listenOrDial(url),
      other.sock.listenOrDial(url)
    ])
  }
  const enough = during(next() * 1000)
  const writing = [one, other].map((traffic) =>
    traffic.write(() => over() || enough())
  )
  await Promise.all(writing)
  await until(() => one.connects === 1 && other.connects === 1)
  if (next() < 0.3) {
    await until(() => one.sending === 0 && other.sending === 0)
    await until(() => complete(one, other) && complete(other, one))
    await Promise.all([one, other].map(({ sock }) => sock.close()))
    await Promise.all([one.finish(), other.finish()])
    // The last may have had no number.
    compare(one, other, 0.5)
    compare(other, one, 0.5)
  } else if (next() < 0.5) {
    await closeOne(world, one, other, [0, 0])
  } else {
    await closeOne(world, other, one, [0, 0])
  }
}

/** Two sockets whose endpoints come and go, and strangers that come by. */
const unsteady: Kind = async (world, over) => {
  const { transport, next } = world
  const listening = world.traffic()
  const dialing = world.traffic()
  let listener: Listener = await listening.sock.listen(ownUrl(transport))
  const { url } = listener
  let dialer: Dialer = await dialing.sock.dial(url)
  const enough = during(next() * 2000)
  const done = () => over() || enough()
  const writing = [listening, dialing].map((traffic) => traffic.write(done))
  while (!done()) {
    await sleep(next() * 30)
    const kind = next()
    if (kind < 0.3) {
      listening.log('listener.close()')
      await listener.close()
      listener = await listening.sock.listen(url)
    } else if (kind < 0.6) {
      dialing.log('dialer.close()')
      await dialer.close()
      dialer = await dialing.sock.dial(url, { retry: true })
    } else {
      const stranger = world.socket()
      const dialed = stranger.dial(url, { timeout: next() * 20 })
      await dialed.catch((error: NngError) => {
        expect(error.code).toBe('ETIMEDOUT')
      })
      if (next() < 0.5) await turn()
      await stranger.close({ timeout: 0 })
      world.sockets.splice(world.sockets.indexOf(stranger), 1)
    }
  }
  await Promise.all(writing)
  // They meet again: a message each way.
  const meet = async (from: Traffic, to: Traffic) => {
    const first = from.accepted.length
    const heard = () =>
      from.accepted.slice(first).some((number) => has(to, from, number))
    while (!heard()) {
      await from.send()
      await sleep(1)
    }
  }
  await meet(listening, dialing)
  await meet(dialing, listening)
  const [one, other] =
    next() < 0.5 ? [listening, dialing] : [dialing, listening]
  await closeOne(world, one, other, [one.disconnects, other.disconnects])
}

/** How a peer leaves, with all that it sent in the kernel of this side. */
const farewells = {
  'has finished': async (raw: RawPeer) => {
    await raw.finish()
    await raw.close()
  },
  'closes with what we sent unread': (raw: RawPeer) => raw.close(),
  resets: (raw: RawPeer) => raw.reset()
}

/** No more than the kernel takes from a peer although nobody reads. */
const AT_REST = 40_000

/** Sizes of all kinds around those at which something changes. */
function* sizesAtRest(next: Next): Generator<number> {
  let bytes = 0
  for (let left = 1 + Math.floor(next() * 20); left > 0; left--) {
    const size = pick(next, 10, 500, 4096, 4097, 5000, 17_000)
    if ((bytes += size + 9) > AT_REST) return
    yield size
  }
}

/**
 * A socket that reads when it suits it and sends all the time, and peers that
 * leave before, while or after it does. Nothing that they sent is lost.
 */
const leaving: Kind = async (world, over) => {
  const { transport, next } = world
  const ours = world.socket()
  const { url } = await ours.listen(ownUrl(transport))
  for (let id = 1; !over() && id < 50; id++) {
    const connected = new Promise((resolve) => ours.once('connect', resolve))
    let gone = false
    ours.once('disconnect', () => (gone = true))
    const sendSome = () => {
      while (next() < 0.6) ours.trySend(Buffer.alloc(next() * 20_000))
    }
    if (next() < 0.3) sendSome()
    const sent: Buffer[] = []
    let left: Promise<unknown>
    let how: string
    if (next() < 0.5) {
      how = 'closes in good order'
      const peer = world.socket()
      await peer.dial(url)
      for (const size of sizesAtRest(next)) {
        const message = messages.make(id, sent.length, size)
        if (peer.trySend(message)) sent.push(message)
        if (next() < 0.2) await turn()
      }
      if (next() < 0.5) await connected
      left = peer.close().then(({ unsent }) => expect(unsent).toBe(0))
      world.sockets.splice(world.sockets.indexOf(peer), 1)
    } else {
      const [name, leave] = pick(next, ...Object.entries(farewells))
      how = name
      const raw = await RawPeer.shake(url)
      for (const size of sizesAtRest(next)) {
        sent.push(messages.make(id, sent.length, size))
      }
      await raw.write(...sent.map((message) => frame(transport, message)))
      if (next() < 0.5) await connected
      sendSome()
      left = leave(raw)
    }
    sendSome()
    // A peer that closes waits for us to read, or for a quiet moment.
    if (next() < 0.2) await left
    for (let turns = next() * 5; turns > 1; turns--) await turn()
    sendSome()

    let count = 0
    const take = (message: Buffer) => {
      const [sender, number] = messages.check(message)
      if (sender !== id || number !== count++) {
        throw new Error(`message ${number} of ${sender} after ${count}`)
      }
    }
    for (;;) {
      // What a peer has sent is there when its disconnect is told.
      const last = gone
      const kind = next()
      let some: Buffer[] = []
      if (last || kind < 0.4) {
        const message = ours.tryRecv()
        if (message !== undefined) some = [message]
      } else {
        const call =
          kind < 0.7
            ? ours.recv({ timeout: 1 }).then((message) => [message])
            : ours.recvMany(1 + Math.floor(next() * 4), { timeout: 1 })
        some = await call.catch((error: unknown) => {
          if ((error as NngError).code !== 'ETIMEDOUT') throw error
          return []
        })
      }
      some.forEach(take)
      if (last && some.length === 0) break
      sendSome()
      if (next() < 0.3) await turn()
    }
    await left
    if (count !== sent.length) {
      throw new Error(
        `a peer that ${how}: ${count} of ${sent.length} messages of ` +
          sent.map(({ length }) => length).join()
      )
    }
  }
}

/** What another process does until it is killed. */
async function childMain(
  { lib, say, turn }: Tools,
  { check, make, size }: Numbered,
  next: Next,
  options: PairSocketOptions,
  listens: boolean,
  url: string,
  id: number
): Promise<void> {
  const sock = new lib.PairSocket(options)
  let first = -1
  let last = -1
  void (async () => {
    for await (const message of sock) {
      if (message.length === 0) continue
      const [, number] = check(message)
      if (last >= 0 && number !== last + 1) {
        throw new Error(`message ${number} comes after ${last}`)
      }
      if (first < 0) first = number
      last = number
    }
  })().catch((error: Error) => say(`bad: ${error.stack}`))
  if (listens) say(`at ${(await sock.listen(url)).url}`)
  else await sock.dial(url)
  for (let sent = 0; ;) {
    for (let burst = next() * 20; burst > 0; burst--) {
      await sock.send(make(id, sent++, size(next)))
    }
    await sock.drain()
    say(`drained ${sent} ${first} ${last}`)
    await turn()
  }
}

const childSource = `(tools, seed, ...rest) => {
  const random = ${String(random)}
  const numbered = ${String(numbered)}
  return (${String(childMain)})(tools, numbered(), random(seed), ...rest)
}`

/** One socket, and peers in other processes that are killed at any moment. */
const killed: Kind = async (world, over) => {
  const { transport, next } = world
  const bothWays = next() < 0.6
  const ours = world.traffic(false)
  const { url } = await ours.sock.listen(ownUrl(transport))
  let done = false
  const writing = ours.write(() => !bothWays || done)
  let before = -1
  for (let id = 100; !over() && id < 105; id++) {
    const listens = next() < 0.4
    const run = new Run(process.execPath, [
      '-e',
      sourceInProcess(
        childSource,
        Math.floor(next() * 2 ** 31),
        options(next),
        listens,
        listens ? ownUrl(transport) : url,
        id
      )
    ])
    const said = (word: string) =>
      run.lines.filter((line) => line.startsWith(word))
    const gone = new Promise((resolve) => ours.sock.once('disconnect', resolve))
    let dialer: Dialer | undefined
    if (listens) {
      await run.until(() => said('at ').length > 0)
      dialer = await ours.sock.dial(said('at ')[0]!.slice('at '.length))
    }
    const reports = Math.floor(next() * 4)
    await run.until(
      () => said('drained').length >= reports || said('bad').length > 0
    )
    for (let turns = next() * 20; turns > 0; turns--) await turn()
    await until(() => ours.sock.peer !== undefined)
    ours.log(`SIGKILL of ${id}`)
    run.kill('SIGKILL')
    const exit = await run.exit
    await gone
    await dialer?.close()
    await ours.empty()
    if (exit.signal !== 'SIGKILL' || said('bad').length > 0) {
      throw new Error(`the child has failed: ${run.stamped.join('\n')}`)
    }

    // All that reached our kernel, and no gap in it.
    const numbers = ours.numbersFrom(id)
    const [drained = 0, first = -1, last = -1] = (
      said('drained').at(-1)?.split(' ') ?? []
    )
      .slice(1)
      .map(Number)
    if (Math.max(-1, ...numbers) !== numbers.size - 1) {
      throw new Error(`not in one piece: ${[...numbers].join(' ')}`)
    }
    if (!bothWays || transport === 'ipc') {
      expect(numbers.size).toBeGreaterThanOrEqual(drained)
    }
    // What one has had comes to no other.
    if (first >= 0) expect(first).toBeGreaterThan(before)
    before = Math.max(before, last)
  }
  // A call that waits for room, and has no peer any more, ends with it.
  done = true
  await ours.sock.close({ timeout: 0 })
  await writing
  await ours.finish()
  checkStats(ours)
}

const EXPECTED_ERRORS = [
  'EADDRINUSE',
  'ECLOSED',
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT'
]

/** Sockets in all states, of which nothing is asked but to be well. */
const crowd: Kind = async (world, over) => {
  const { transport, next } = world
  const sockets: PairSocket[] = []
  const endpoints: (Listener | Dialer)[] = []
  const urls = [ownUrl('ipc')]
  const calls = new Set<Promise<unknown>>()
  const failures: unknown[] = []
  const begin = <T>(call: Promise<T>, use?: (value: T) => unknown) => {
    const all: Promise<unknown> = call
      .then(use)
      .catch((error: unknown) => {
        const { code } = error as NngError
        if (error !== 'cancelled' && !EXPECTED_ERRORS.includes(code)) {
          failures.push(error)
        }
      })
      .finally(() => calls.delete(all))
    calls.add(all)
  }
  const enough = during(next() * 1000)
  while (!over() && !enough()) {
    if (sockets.length < 20 && next() < 0.3) sockets.push(world.socket())
    const sock = pick(next, ...sockets)
    const [cancel, begun] = cancelling(next)
    if (sock !== undefined) {
      const kind = Math.floor(next() * 14)
      if (kind === 0) {
        begin(sock.listen(ownUrl(transport)), (listener) => {
          urls.push(listener.url)
          endpoints.push(listener)
        })
      } else if (kind === 1) {
        begin(sock.listen(pick(next, ...urls)), (l) => endpoints.push(l))
      } else if (kind <= 3) {
        const dialed = sock.dial(pick(next, ...urls), {
          ...cancel,
          retry: next() < 0.5
        })
        begin(dialed, (dialer) => endpoints.push(dialer))
      } else if (kind === 4) {
        begin(sock.listenOrDial(pick(next, ...urls), cancel))
      } else if (kind === 5) {
        begin(sock.send(Buffer.alloc(next() * 100_000), cancel))
      } else if (kind === 6) {
        begin(sock.sendMany(['', 'one', Buffer.alloc(70_000)], cancel))
      } else if (kind === 7) {
        begin(sock.recv(cancel))
      } else if (kind === 8) {
        begin(sock.recvMany(3, cancel))
      } else if (kind === 9) {
        begin(sock.drain(cancel))
      } else if (kind === 10) {
        sock.unref().ref().tryRecv()
        sock.stats()
      } else if (kind === 11 && endpoints.length > 0) {
        const [endpoint] = endpoints.splice(next() * endpoints.length, 1)
        begin(endpoint!.close())
      } else if (kind === 12 && next() < 0.5) {
        begin(sock.close({ timeout: pick(next, 0, next() * 30) }))
        sockets.splice(sockets.indexOf(sock), 1)
      } else if (kind === 13) {
        for (let i = 0; i < 20 && !sock.closed; i++) sock.trySend('at once')
      }
    }
    begun()
    if (next() < 0.3) await turn()
    await until(() => calls.size < 100)
  }
  await Promise.all(world.sockets.map((sock) => sock.close({ timeout: 0 })))
  await Promise.all(calls)
  if (failures.length > 0) throw failures[0]
}

/** Each as often as it is at work at the same time, per transport. */
const kinds: [kind: Kind, count: number][] = [
  [steady, 2],
  [unsteady, 1],
  [leaving, 1],
  [killed, 2],
  [crowd, 1]
]

test(
  `random schedules for ${SECONDS} s`,
  async () => {
    const over = during(SECONDS * 1000)
    let failed = false
    const worlds: World[] = []
    const failure = (world: World, error: unknown) =>
      new Error(
        `NNG_PAIR_STRESS_SEED=${SEED}\n${world.describe()}\n` +
          String((error as Error).stack ?? error)
      )
    const runs = transports.flatMap((transport, t) =>
      kinds.flatMap(([kind, count], k) =>
        Array.from({ length: count }, async (_, i) => {
          const name = `${kind.name} ${i + 1} over ${transport}`
          const next = random(SEED + t * 10_000 + k * 100 + i)
          const world = new World(name, transport, next)
          worlds.push(world)
          const stop = () => failed || over()
          try {
            for (; !stop(); world.count++) {
              await world.run(kind, stop)
            }
          } catch (error) {
            failed = true
            throw failure(world, error)
          }
        })
      )
    )
    let timer: NodeJS.Timeout | undefined
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => {
          failed = true
          const open = worlds.filter(({ sockets }) => sockets.length > 0)
          const text = open.map((world) => world.describe()).join('\n')
          reject(new Error(`NNG_PAIR_STRESS_SEED=${SEED}: hangs\n${text}`))
        },
        SECONDS * 1000 + GRACE_MS
      )
    })
    try {
      await Promise.race([Promise.all(runs), hangs])
    } finally {
      clearTimeout(timer)
      for (const { sockets } of worlds) {
        for (const sock of sockets) void sock.close({ timeout: 0 })
      }
    }
    const summary = worlds.map(
      ({ name, count, lost }) => `${name}: ${count} episodes, ${lost} cut off`
    )
    if (SECONDS > 8) console.log(`seed ${SEED}\n${summary.join('\n')}`)
    for (const { count } of worlds) expect(count).toBeGreaterThan(0)
  },
  SECONDS * 1000 + GRACE_MS + 10_000
)
