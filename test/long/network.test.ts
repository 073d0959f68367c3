// A network that fails: cables that are cut and put back, hosts that vanish,
// and, in between, a relay that is slow, cuts messages into pieces and breaks
// off. What arrives is in order and comes once, a peer that is gone is noticed
// in the time that was asked for, and the dialer finds the next one.

import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { PairSocketOptions, TcpPeer } from '../../lib'
import { ending, type Tools } from '../support/childProcess'
import type { Run } from '../support/command'
import { Network, whyNoNetwork, type HostName } from '../support/network'
import { numbered, type Numbered } from '../support/numbered'
import { random } from '../support/random'
import { Relay, type Habits } from '../support/relay'
import { Traffic, compare } from '../support/traffic'
import { freeUrl, socket } from '../support/transports'
import { until } from '../support/until'

/** A socket of a program on a host. */
interface Plan {
  /** What its lines begin with. */
  name: string
  url: string
  options: PairSocketOptions
  /** Whether it sends all the time, or its last message alone. */
  sends: boolean
}

/** What is left of it when it has ended. */
interface Report {
  sent: number
  /** The numbers of those received, as runs of consecutive ones. */
  pieces: [first: number, last: number][]
  unsent: number
}

/**
 * A program on a host: its sockets dial or listen, send numbered messages, and
 * say what happens to them. At SIGUSR2 they send a last message, which says how
 * many there were, and at SIGTERM they close.
 */
const hostMain = (
  { lib, once, say, sleep }: Tools,
  messages: Numbered,
  next: () => number,
  dials: boolean,
  plans: Plan[]
) => {
  let isLast = false
  process.once('SIGUSR2', () => (isLast = true))
  const closing = once(process, 'SIGTERM')

  async function run({ name, url, options, sends }: Plan): Promise<void> {
    const sock = new lib.PairSocket(options)
    const tell = (text: string) => say(`${name} ${text}`)
    const pieces: Report['pieces'] = []
    let sent = 0
    sock.on('connect', () => tell('connect'))
    sock.on('disconnect', (_, reason) => tell(`disconnect ${reason}`))

    const read = async () => {
      for await (const message of sock) {
        const [sender, number] = messages.check(message)
        const piece = pieces.at(-1)
        if (sender === 1) tell(`last ${number}`)
        else if (number === (piece?.[1] ?? -1) + 1 && piece) piece[1] = number
        else if (piece && number <= piece[1]) tell(`${number} comes late`)
        else pieces.push([number, number])
      }
    }
    const write = async () => {
      while (!isLast) {
        if (sends) {
          await sock.send(messages.make(0, sent, messages.size(next)))
          sent++
        }
        await sleep(1)
      }
      await sock.send(messages.make(1, sent, 10))
    }
    // What has come is said now and then: a test sees that it goes on.
    let told = -1
    const telling = setInterval(() => {
      const at = pieces.at(-1)?.[1] ?? -1
      if (at > told) tell(`at ${at}`)
      told = at
    }, 50)

    const reading = read()
    if (dials) await sock.dial(url, { retry: true })
    else await sock.listen(url)
    tell('ready')
    await write()
    await closing
    const { unsent } = await sock.close()
    await reading
    clearInterval(telling)
    tell(`report ${JSON.stringify({ sent, pieces, unsent })}`)
  }

  for (const plan of plans) void run(plan)
}

const hostSource = `(tools, seed, ...rest) => {
  const random = ${String(random)}
  const numbered = ${String(numbered)}
  return (${String(hostMain)})(tools, numbered(), random(seed), ...rest)
}`

/** A program on a host, as the test sees it. */
class Program {
  constructor(readonly run: Run) {}

  static async start(
    network: Network,
    host: HostName,
    dials: boolean,
    plans: Plan[]
  ): Promise<Program> {
    const run = network.run(host, hostSource, dials ? 1 : 2, dials, plans)
    const program = new Program(run)
    for (const { name } of plans) await run.line(`${name} ready`)
    return program
  }

  /** Resolves once it has said this so many times. */
  async said(text: string, times = 1): Promise<void> {
    await this.run.until(() => this.count(text) >= times)
  }

  count(text: string): number {
    return this.run.lines.filter((line) => line === text).length
  }

  /** What it said of the kind, of a socket. */
  all(name: string, kind: string): string[] {
    const start = `${name} ${kind} `
    return this.run.lines
      .filter((line) => line.startsWith(start))
      .map((line) => line.slice(start.length))
  }

  /** The last message that has arrived, as far as it was said. */
  at(name: string): number {
    return Number(this.all(name, 'at').at(-1) ?? -1)
  }

  /** Resolves once there is more than what has arrived by now. */
  async goesOn(name: string): Promise<void> {
    const before = this.at(name)
    await this.run.until(() => this.at(name) > before)
  }

  /** Resolves once the last message of the peer has arrived. */
  async last(name: string): Promise<void> {
    await this.run.until(() => this.all(name, 'last').length > 0)
  }

  /** Its sockets send nothing more but their last message. */
  finish(): void {
    this.run.kill('SIGUSR2')
  }

  close(): void {
    this.run.kill('SIGTERM')
  }

  async report(name: string): Promise<Report> {
    expect(await ending(this.run)).toEqual({ code: 0, signal: null })
    return JSON.parse(this.all(name, 'report')[0]!) as Report
  }
}

interface Ends {
  network: Network
  listening: Program
  dialing: Program
}

/** Of the first listener; the others have the next ones. */
const PORT = 5000

/** Programs on two hosts: the left one dials. All are connected. */
async function connected(plans: Omit<Plan, 'url'>[]): Promise<Ends> {
  const network = await Network.create()
  const all = plans.map((plan, i) => ({
    ...plan,
    url: network.url('right', PORT + i)
  }))
  const listening = await Program.start(network, 'right', false, all)
  const dialing = await Program.start(network, 'left', true, all)
  for (const { name } of plans) {
    await listening.said(`${name} connect`)
    await dialing.said(`${name} connect`)
  }
  return { network, listening, dialing }
}

// A peer that is gone is noticed within these bounds, whatever the machine is
// doing: none of the systems' own times are in them.
const SOONEST_MS = 1500
const LATEST_MS = 20_000

/** The one had everything that the other was rid of. */
function expectAll({ sent, unsent }: Report, { pieces }: Report): void {
  expect(unsent).toBe(0)
  expect(sent).toBeGreaterThan(0)
  expect(pieces).toEqual([[0, sent - 1]])
}

/** The one had all but what was lost with a connection. */
function expectOneGap({ sent, unsent }: Report, { pieces }: Report): void {
  expect(unsent).toBe(0)
  expect(pieces[0]![0]).toBe(0)
  expect(pieces.length).toBeLessThanOrEqual(2)
  expect(pieces.at(-1)![1]).toBe(sent - 1)
}

/** How long it takes until something is said, from now on. */
async function timed(saying: Promise<void>): Promise<number> {
  const start = performance.now()
  await saying
  return performance.now() - start
}

if (whyNoNetwork !== undefined) {
  process.stderr.write(`network.test.ts: not run on hosts: ${whyNoNetwork}\n`)
}
const describeHosts = whyNoNetwork === undefined ? describe : describe.skip

describeHosts(`on two hosts${whyNoNetwork ? ` (${whyNoNetwork})` : ''}`, () => {
  test('a cable that is put back has cost nothing, not even in close()', async () => {
    const { network, listening, dialing } = await connected([
      { name: 'pair', options: {}, sends: true }
    ])
    const both = [listening, dialing]
    const goOn = () => Promise.all(both.map((one) => one.goesOn('pair')))
    await goOn()

    network.cut('right')
    await sleep(500)
    const stopped = both.map((one) => one.at('pair'))
    await sleep(2500)
    // It is really cut.
    expect(both.map((one) => one.at('pair'))).toEqual(stopped)
    network.plug('right')
    await goOn()
    for (const one of both) expect(one.all('pair', 'disconnect')).toEqual([])

    // The one sends its last message. The other one closes while it is cut off.
    listening.finish()
    await dialing.last('pair')
    network.cut('left')
    dialing.finish()
    dialing.close()
    await sleep(1000)
    expect(dialing.all('pair', 'report')).toEqual([])
    network.plug('left')

    const sent = await dialing.report('pair')
    await listening.said('pair disconnect hangup')
    listening.close()
    const received = await listening.report('pair')
    expectAll(sent, received)
    expectAll(received, sent)
    for (const one of both) expect(one.count('pair connect')).toBe(1)
  })

  test.each(['left', 'right'] as const)(
    'a peer behind a cable that is cut on the %s is noticed in time',
    async (side) => {
      const probes = { delay: 1000, interval: 1000, count: 3 }
      const { network, listening, dialing } = await connected([
        { name: 'probed', options: { keepAlive: probes }, sends: false },
        { name: 'limited', options: { userTimeout: 2000 }, sends: true },
        // These have the system's times: two hours, a quarter of one.
        { name: 'patient', options: { keepAlive: true }, sends: false },
        { name: 'sending', options: {}, sends: true }
      ])
      const both = [listening, dialing]
      const goOn = (name: string) =>
        Promise.all(both.map((one) => one.goesOn(name)))
      await Promise.all([goOn('limited'), goOn('sending')])

      network.cut(side)
      const times = await Promise.all(
        both.flatMap((one) => [
          timed(one.said('probed disconnect timeout')),
          timed(one.said('limited disconnect timeout'))
        ])
      )
      for (const time of times) {
        expect(time).toBeGreaterThan(SOONEST_MS)
        expect(time).toBeLessThan(LATEST_MS)
      }
      for (const one of both) {
        expect(one.all('patient', 'disconnect')).toEqual([])
        expect(one.all('sending', 'disconnect')).toEqual([])
      }

      network.plug(side)
      await Promise.all(
        both.flatMap((one) => [
          one.said('probed connect', 2),
          one.said('limited connect', 2)
        ])
      )
      await goOn('limited')
      for (const one of both) one.finish()
      const names = ['probed', 'limited', 'patient', 'sending']
      for (const one of both) {
        for (const name of names) await one.last(name)
      }
      for (const one of both) one.close()
      const reports = async (name: string) =>
        [await dialing.report(name), await listening.report(name)] as const
      const [dialer, listener] = await reports('limited')
      expectOneGap(dialer, listener)
      expectOneGap(listener, dialer)
      const [here, there] = await reports('sending')
      expectAll(here, there)
      expectAll(there, here)
    }
  )

  test('a host that vanishes is noticed, and the next one found', async () => {
    const plan = {
      name: 'pair',
      options: { userTimeout: 2000, reconnectMin: 100, reconnectMax: 1000 },
      sends: true
    }
    const { network, listening, dialing } = await connected([plan])
    await Promise.all([listening.goesOn('pair'), dialing.goesOn('pair')])
    await network.vanish()
    const time = await timed(dialing.said('pair disconnect timeout'))
    expect(time).toBeGreaterThan(SOONEST_MS)
    expect(time).toBeLessThan(LATEST_MS)

    // There is no way to anybody now, which a dial is told at once.
    const tried = network.noRoutes('left')
    const start = performance.now()
    while (network.noRoutes('left') < tried + 6) await sleep(100)
    // At least 50, 100, 200 and 400 ms of back-off, and twice 500.
    expect(performance.now() - start).toBeGreaterThan(1000)

    await network.replace()
    const url = network.url('right', PORT)
    const next = await Program.start(network, 'right', false, [
      { ...plan, url }
    ])
    await next.said('pair connect')
    await Promise.all([next.goesOn('pair'), dialing.goesOn('pair')])
    for (const one of [next, dialing]) one.finish()
    await Promise.all([next.last('pair'), dialing.last('pair')])
    dialing.close()
    const { sent } = await dialing.report('pair')
    next.close()
    const { pieces } = await next.report('pair')
    // It goes on behind what the other host had.
    expect(pieces).toHaveLength(1)
    expect(pieces[0]![0]).toBeGreaterThan(listening.at('pair'))
    expect(pieces[0]![1]).toBe(sent - 1)
  })

  test('a host that came back unnoticed is found by the next send', async () => {
    const plan = { name: 'pair', options: {}, sends: false }
    const { network, dialing } = await connected([plan])
    await network.vanish()
    await network.replace()
    const url = network.url('right', PORT)
    const next = await Program.start(network, 'right', false, [
      { ...plan, url }
    ])
    expect(dialing.all('pair', 'disconnect')).toEqual([])
    dialing.finish()
    await dialing.said('pair disconnect reset')
    await dialing.said('pair connect', 2)
    await next.said('pair connect')
  })
})

// A failure names the seed, which repeats the choices:
//   NNG_PAIR_NETWORK_SEED=1 npx jest test/long/network
const SEED = Number(process.env.NNG_PAIR_NETWORK_SEED ?? randomInt(2 ** 31))

/** Cuts what comes into pieces, some of them tiny, and lets some of it wait. */
function unsteady(next: () => number): Habits {
  return {
    pause: () => (next() < 0.1 ? next() * 5 : 0),
    piece: (size) => 1 + Math.floor(next() * (next() < 0.3 ? 20 : size))
  }
}

/** The size of messages of which each piece has some. */
const small = (next: () => number) => 10 + Math.floor(next() * 1000)

/** Takes its time for everything. */
function slow(next: () => number): Habits {
  return {
    pause: () => next() * 3,
    piece: () => 1 + Math.floor(next() * 32_768)
  }
}

/** Two sockets that meet through a relay, to send and receive at random. */
async function relayed(
  makeHabits: (next: () => number) => Habits,
  size?: (next: () => number) => number
) {
  const next = random(SEED)
  let fail!: (error: Error) => void
  const failed = new Promise<never>((_, reject) => (fail = reject))
  failed.catch(() => {})
  const traffic = (id: number) => {
    const sock = socket({ reconnectMin: 1, reconnectMax: 20 })
    const habits = { cancels: false, atOnce: 4, readers: 2, size }
    return new Traffic(id, sock, next, habits, fail)
  }
  const listening = traffic(1)
  const dialing = traffic(2)
  const { url } = await listening.sock.listen(freeUrl('tcp'))
  const relay = await Relay.open(url, makeHabits(next))
  await dialing.sock.dial(relay.url)
  await until(() => listening.connects === 1 && dialing.connects === 1)
  /** Fails as soon as one of them hears of what must not happen. */
  const orFail = <T>(call: Promise<T>) => Promise.race([call, failed])
  return { listening, dialing, relay, next, orFail }
}

describe(`through a relay (seed ${SEED})`, () => {
  test.each([
    ['ends its connections', 'end'],
    ['resets its connections', 'reset']
  ] as const)('that %s, what is lost is what it dropped', async (_, how) => {
    const CUTS = 10
    const ends = await relayed(unsteady, small)
    const { listening, dialing, relay, next } = ends
    const both = [listening, dialing]
    // The dialer may hear first that a connection has ended, and come again
    // while the listener is busy with the last one: what it sends then is lost.
    const busy = new Set<number>()
    listening.sock.on('reject', (peer) => busy.add((peer as TcpPeer).port))
    let over = false
    const writing = Promise.all(both.map((one) => one.write(() => over)))
    const cutting = async () => {
      for (let cuts = 1; cuts <= CUTS; cuts++) {
        await sleep(next() * 200)
        await relay.cut(how)
        await until(
          () => listening.connects > cuts && dialing.sock.peer !== undefined
        )
      }
    }
    await ends.orFail(cutting())

    // What is accepted from now on arrives, behind everything else.
    const before = both.map(({ accepted }) => accepted.length)
    await until(() => both.every((one, i) => one.accepted.length > before[i]!))
    over = true
    await ends.orFail(writing)
    const hasLast = (from: Traffic, to: Traffic) =>
      to.numbersFrom(from.id).has(Math.max(...from.accepted))
    await until(
      () => hasLast(listening, dialing) && hasLast(dialing, listening)
    )
    const received = () => both.map(({ sock }) => sock.stats().messagesReceived)
    const passed = () => [
      relay.passed('toListener', busy),
      relay.passed('toDialer', busy)
    ]
    if (how === 'end') {
      // Empty ones, which have no number, may still be under way.
      const deadline = performance.now() + 5000
      while (
        !isDeepStrictEqual(received(), passed()) &&
        performance.now() < deadline
      ) {
        await sleep(10)
      }
      expect(received()).toEqual(passed())
    } else {
      // A reset may cost what its reader's kernel did not have yet.
      received().forEach((count, i) => {
        expect(count).toBeLessThanOrEqual(passed()[i]!)
      })
    }
    await Promise.all(both.map((one) => one.empty()))
    const gaps = relay.passages.length - 1
    compare(listening, dialing, gaps)
    compare(dialing, listening, gaps)
  })

  test.each([
    ['listening', 'dialing', 'toDialer'],
    ['dialing', 'listening', 'toListener']
  ] as const)(
    'that is slow, a graceful close of the %s end loses nothing',
    async (name, otherName, to) => {
      const ends = await relayed(slow)
      const closing = ends[name]
      const other = ends[otherName]
      const gone = once(other.sock, 'disconnect')
      let over = false
      const writing = closing.write(() => over)
      // The other one does not mind that it closes.
      const sending = other.write(() => other.disconnects > 0)
      await ends.orFail(sleep(500))
      over = true
      await ends.orFail(writing)
      // A good deal is still under way, or has not left yet.
      const passed = ends.relay.passed(to)
      expect(passed).toBeLessThan(closing.accepted.length)
      expect(await ends.orFail(closing.sock.close())).toEqual({ unsent: 0 })
      expect((await gone)[1]).toBe('hangup')
      await other.empty()
      compare(closing, other, 0)
      await other.sock.close({ timeout: 0 })
      await ends.orFail(sending)
      await Promise.all([closing.finish(), other.finish()])
      compare(other, closing, 1)
    }
  )
})
