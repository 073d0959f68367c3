import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { PairSocket, WaitOptions } from '../../lib'
import { cancelling, wasCancelled } from './cancelling'
import { numbered } from './numbered'
import { until } from './until'

export const messages = numbered()

interface Batch {
  numbers: number[]
  /** They have no number. */
  empty: number
}

/** How often each call is made, and whether calls are cancelled. */
export interface Habits {
  cancels: boolean
  /** Calls of `send()` and `sendMany()` that may wait at the same time. */
  atOnce: number
  readers: number
  /** Of its messages, 10 at least; else that of `numbered()`. */
  size?: ((random: () => number) => number) | undefined
}

const KEPT_LOG = 40

/**
 * One end of a connection that sends and receives at random, and keeps a
 * record of what was promised and of what came.
 */
export class Traffic {
  readonly accepted: number[] = []
  readonly refused = new Set<number>()
  /** Cancelled calls of `sendMany()`: the first so many were accepted. */
  readonly partly: Batch[] = []
  emptyAccepted = 0
  /** In the order of their arrival, by sender; what `tryRecv()` took, apart. */
  readonly received = new Map<number, number[]>()
  readonly tried = new Map<number, number[]>()
  emptyReceived = 0
  connects = 0
  disconnects = 0
  sending = 0
  #sent = 0
  readonly #log: string[] = []
  readonly #reading: Promise<void>[]

  constructor(
    readonly id: number,
    readonly sock: PairSocket,
    readonly next: () => number,
    readonly habits: Habits,
    /** Hears at once of what must not happen. */
    readonly fail: (error: Error) => void
  ) {
    sock.on('connect', () => {
      this.connects++
      this.log('connect')
    })
    sock.on('disconnect', () => {
      this.disconnects++
      this.log('disconnect')
    })
    this.#reading = Array.from({ length: habits.readers }, () => this.#read())
    for (const reading of this.#reading) reading.catch(fail)
  }

  log(what: string): void {
    this.#log.push(`${performance.now().toFixed(1)} ${what}`)
    if (this.#log.length > KEPT_LOG) this.#log.shift()
  }

  describe(): string {
    const count = (map: Map<number, number[]>) =>
      [...map].map(([id, list]) => `${id}: ${list.length} to ${list.at(-1)}`)
    return [
      `socket ${this.id}: ${this.accepted.length} accepted, ` +
        `${this.refused.size} refused, ${this.partly.length} batches in part, ` +
        `${this.emptyAccepted} empty; received ${count(this.received).join()}, ` +
        `tried ${count(this.tried).join()}, empty ${this.emptyReceived}; ` +
        `${this.sending} calls of send wait`,
      `closed: ${this.sock.closed}, peer: ${JSON.stringify(this.sock.peer)}`,
      JSON.stringify(this.sock.stats()),
      ...this.#log
    ].join('\n    ')
  }

  // Sending.

  /** Sends until `over` says so, or it is closed, whatever is under way then. */
  async write(isOver: () => boolean): Promise<void> {
    const { next, habits, sock } = this
    const over = () => sock.closed || isOver()
    while (!over()) {
      const kind = next()
      if (kind < 0.2) this.#trySend()
      else if (kind < 0.25) {
        // Calls that are made meanwhile may get in between its messages.
        await until(() => over() || this.sending === 0)
        if (this.sending === 0) await this.#sendMany()
      } else this.send().catch(this.fail)
      if (next() < 0.3) await turn()
      if (next() < 0.002) await sleep(next() * 20)
      await until(() => over() || this.sending < habits.atOnce)
    }
    this.log('writes no more')
  }

  #options(): [WaitOptions, () => void] {
    return this.habits.cancels ? cancelling(this.next) : [{}, () => {}]
  }

  #message(): Buffer {
    if (this.next() < 0.1) return Buffer.alloc(0)
    const size = (this.habits.size ?? messages.size)(this.next)
    return messages.make(this.id, this.#sent++, size)
  }

  #accept({ numbers, empty }: Batch): void {
    this.accepted.push(...numbers)
    this.emptyAccepted += empty
  }

  #batch(data: Buffer[]): Batch {
    const whole = data.filter((message) => message.length > 0)
    return {
      numbers: whole.map((message) => messages.check(message)[1]),
      empty: data.length - whole.length
    }
  }

  async send(): Promise<void> {
    const data = this.#message()
    const batch = this.#batch([data])
    const [options, begun] = this.#options()
    this.sending++
    try {
      const call = this.sock.send(data, options)
      // It was copied.
      data.fill(0xee)
      begun()
      await call
      this.#accept(batch)
    } catch (error) {
      wasCancelled(error)
      for (const number of batch.numbers) this.refused.add(number)
    } finally {
      this.sending--
    }
  }

  async #sendMany(): Promise<void> {
    const length = 1 + Math.floor(this.next() * 20)
    const data = Array.from({ length }, () => this.#message())
    const batch = this.#batch(data)
    const [options, begun] = this.#options()
    this.sending++
    try {
      const call = this.sock.sendMany(data, options)
      begun()
      await call
      this.#accept(batch)
    } catch (error) {
      wasCancelled(error)
      this.partly.push(batch)
    } finally {
      this.sending--
    }
  }

  #trySend(): void {
    if (this.sock.closed) return
    const data = this.#message()
    if (this.sock.trySend(data)) this.#accept(this.#batch([data]))
    // Its number is free again.
    else if (data.length > 0) this.#sent--
  }

  // Receiving.

  async #read(): Promise<void> {
    const { next, sock } = this
    while (!sock.closed) {
      const [options, begun] = this.#options()
      try {
        if (next() < 0.3) {
          const call = sock.recvMany(1 + Math.floor(next() * 10), options)
          begun()
          for (const message of await call) this.#take(message, this.received)
        } else {
          const call = sock.recv(options)
          begun()
          this.#take(await call, this.received)
        }
      } catch (error) {
        wasCancelled(error)
      }
      if (next() < 0.1) await turn()
      if (next() < 0.002) await sleep(next() * 20)
      const message = next() < 0.1 ? sock.tryRecv() : undefined
      if (message !== undefined) this.#take(message, this.tried)
    }
  }

  #take(message: Buffer, where: Map<number, number[]>): void {
    if (message.length === 0) {
      this.emptyReceived++
      return
    }
    const [sender, number] = messages.check(message)
    const list = where.get(sender)
    if (list === undefined) where.set(sender, [number])
    else if (number > list.at(-1)!) list.push(number)
    else throw new Error(`message ${number} comes after ${list.at(-1)}`)
  }

  /** The numbers of what came from a sender; none may have come twice. */
  numbersFrom(sender: number): Set<number> {
    const received = this.received.get(sender) ?? []
    const tried = this.tried.get(sender) ?? []
    const all = new Set([...received, ...tried])
    if (all.size !== received.length + tried.length) {
      throw new Error(`messages of ${sender} came twice`)
    }
    return all
  }

  /** Resolves once all that has arrived is in the record. */
  async empty(): Promise<void> {
    // A call that was given a message may settle a turn of the loop later.
    await until(() => this.#recorded === this.sock.stats().messagesReceived)
  }

  get #recorded(): number {
    let sum = this.emptyReceived
    for (const map of [this.received, this.tried]) {
      for (const list of map.values()) sum += list.length
    }
    return sum
  }

  /** After close(): all calls have ended. */
  async finish(): Promise<void> {
    await Promise.all(this.#reading)
    await until(() => this.sending === 0)
  }
}

/**
 * Compares what one end was promised with what the other has. What is lost
 * with a connection is lost in one piece: `gaps` says how many there may be.
 * Returns how many messages are missing.
 */
export function compare(from: Traffic, to: Traffic, gaps: number): number {
  for (const sender of [...to.received.keys(), ...to.tried.keys()]) {
    if (sender !== from.id) throw new Error(`${sender} is a stranger`)
  }
  const got = to.numbersFrom(from.id)
  const accepted = from.accepted.toSorted((a, b) => a - b)
  const known = new Set(accepted)
  for (const { numbers } of from.partly) {
    numbers.forEach((number) => known.add(number))
  }
  for (const number of got) {
    if (!known.has(number)) throw new Error(`${number} was not accepted`)
  }
  let missing = 0
  let found = 0
  let whole = true
  for (const number of accepted) {
    const here = got.has(number)
    if (!here) missing++
    if (!here && whole) found++
    whole = here
  }
  if (found > gaps) {
    const lost = accepted.filter((number) => !got.has(number))
    throw new Error(`${found} gaps, not ${gaps}: ${lost.join(' ')}`)
  }
  expect(got.size + to.emptyReceived).toBeLessThanOrEqual(
    from.sock.stats().messagesSent
  )
  const doubtful = from.partly.reduce((sum, { empty }) => sum + empty, 0)
  expect(to.emptyReceived).toBeLessThanOrEqual(from.emptyAccepted + doubtful)
  if (gaps === 0) {
    expect(to.emptyReceived).toBeGreaterThanOrEqual(from.emptyAccepted)
    for (const { numbers } of from.partly) {
      const came = numbers.filter((number) => got.has(number))
      expect(came).toEqual(numbers.slice(0, came.length))
    }
  }
  return missing
}

/** Its counters add up to what was accepted. */
export function checkStats(traffic: Traffic): void {
  const { messagesSent, messagesLost, unsentMessages } = traffic.sock.stats()
  const sum = messagesSent + messagesLost + unsentMessages
  const sure = traffic.accepted.length + traffic.emptyAccepted
  const doubtful = traffic.partly.reduce(
    (sum, { numbers, empty }) => sum + numbers.length + empty,
    0
  )
  expect(sum).toBeGreaterThanOrEqual(sure)
  expect(sum).toBeLessThanOrEqual(sure + doubtful)
  if (traffic.disconnects === 0) expect(messagesLost).toBe(0)
}
