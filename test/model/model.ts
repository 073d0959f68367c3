// The reference model of a PAIR socket: what docs/guarantees.md promises, as
// data and rules, without a byte on a wire.
//
// Each side of a connection has a line of messages: those that it has accepted,
// in their order. Each connection carries one unbroken piece of the line: it
// begins where the connection before it ended, and has as many messages as were
// handed to the kernel. What a receiver has had is, of each such piece, the
// first ones: none twice, none left out, none in another's place.

export type SendKind = 'send' | 'sendMany' | 'trySend'

/** One call that hands over messages: `send`, `sendMany` or `trySend`. */
export interface SendCall {
  /** When it began, by the clock of the schedule. */
  readonly begun: number
  readonly kind: SendKind
  /** The numbers of its messages, from `first` on. */
  readonly first: number
  readonly count: number
  /** When it was settled. */
  settled: number
  outcome: 'pending' | 'accepted' | 'refused'
}

/** The piece of a line that one connection has carried. */
export interface Piece {
  /** How many messages of the line came before it. */
  readonly start: number
  /** How many were handed to the kernel. */
  sent: number
  /** How many the kernel had in part when the connection ended. */
  lost: number
}

/** Where in its line a message can be, at the earliest and at the latest. */
type Place = readonly [earliest: number, latest: number]

/** The messages that one side was asked to send, in the order of the calls. */
export class Line {
  readonly calls: SendCall[] = []
  readonly sizes: number[] = []
  readonly #callOf: SendCall[] = []

  begin(
    sizes: readonly number[],
    begun: number,
    kind: SendKind = 'send'
  ): SendCall {
    const call: SendCall = {
      begun,
      kind,
      first: this.sizes.length,
      count: sizes.length,
      settled: Infinity,
      outcome: 'pending'
    }
    this.calls.push(call)
    for (const size of sizes) {
      this.sizes.push(size)
      this.#callOf.push(call)
    }
    return call
  }

  settle(call: SendCall, accepted: boolean, now: number): void {
    call.outcome = accepted ? 'accepted' : 'refused'
    call.settled = now
  }

  /** Messages that were accepted, and those of a list that may have been. */
  bounds(): { atLeast: number; atMost: number } {
    let atLeast = 0
    let atMost = 0
    for (const { outcome, kind, count } of this.calls) {
      if (outcome === 'accepted') atLeast += count
      // Of a list that was cancelled, the first ones may have been accepted.
      if (outcome !== 'refused' || kind === 'sendMany') atMost += count
    }
    return { atLeast, atMost }
  }

  /** Sends are settled in the order of their calls; a list may take longer. */
  settledInOrder(): boolean {
    const times = this.calls
      .filter(({ kind, outcome }) => kind === 'send' && outcome === 'accepted')
      .map(({ settled }) => settled)
    return times.every((time, i) => i === 0 || time >= times[i - 1]!)
  }

  /**
   * What is wrong with what a peer has received over these connections, if
   * anything is; `accepted` is the length of the line. Messages without bytes
   * have no number: -1.
   */
  fault(
    received: readonly number[],
    pieces: readonly Piece[],
    accepted: number,
    complete: boolean
  ): string | undefined {
    const sure = this.#sure(received)
    const { atLeast, atMost } = this.bounds()
    if (accepted < Math.max(atLeast, sure.length) || accepted > atMost) {
      return `${accepted} accepted, not ${atLeast} to ${atMost}`
    }
    const places: Place[] = []
    for (const number of received) {
      const call = this.#callOf[number]
      if (number >= 0 && (call === undefined || !this.#mayArrive(call))) {
        return `message ${number} was received, and never accepted`
      }
      places.push(this.#placeOf(number, sure, accepted))
    }
    return fits(places, pieces, complete)
      ? undefined
      : `received ${String(received)} over ${JSON.stringify(pieces)}, ` +
          `${accepted} accepted${complete ? ', all of them due' : ''}`
  }

  #mayArrive({ outcome, kind }: SendCall): boolean {
    return outcome !== 'refused' || kind === 'sendMany'
  }

  /** The numbers that are in the line for sure. */
  #sure(received: readonly number[]): number[] {
    const last = new Map<SendCall, number>()
    for (const number of received) {
      const call = this.#callOf[number]
      if (call) last.set(call, Math.max(last.get(call) ?? 0, number + 1))
    }
    return this.sizes.flatMap((_, number) => {
      const call = this.#callOf[number]!
      const sure = call.outcome === 'accepted' || number < (last.get(call) ?? 0)
      return sure ? [number] : []
    })
  }

  #placeOf(number: number, sure: readonly number[], accepted: number): Place {
    if (number < 0) return [0, accepted - 1]
    let before = 0
    let after = 0
    for (const other of sure) {
      if (this.#precedes(other, number)) before++
      else if (this.#precedes(number, other)) after++
    }
    return [before, accepted - 1 - after]
  }

  /** Whether `a` must come before `b` if both are accepted. */
  #precedes(a: number, b: number): boolean {
    const one = this.#callOf[a]!
    const other = this.#callOf[b]!
    if (one === other) return a < b
    if (one.begun > other.begun) return false
    // A list that waits for room is passed by others, but for its first.
    return (
      one.kind !== 'sendMany' || a === one.first || one.settled < other.begun
    )
  }
}

/** Whether messages at these places are the first ones of each piece. */
function fits(
  places: readonly Place[],
  pieces: readonly Piece[],
  complete: boolean
): boolean {
  // Where the next message may be: so far into that piece. More than one while
  // the order of the calls does not say it all.
  let states = pieces.map((_, piece) => ({ piece, offset: 0 }))
  for (const [earliest, latest] of places) {
    states = states.filter(({ piece, offset }) => {
      const { start, sent } = pieces[piece]!
      const place = start + offset
      return offset < sent && place >= earliest && place <= latest
    })
    const next = new Map<string, { piece: number; offset: number }>()
    for (const { piece, offset } of states) {
      next.set(`${piece} ${offset + 1}`, { piece, offset: offset + 1 })
      for (let later = piece + 1; later < pieces.length; later++) {
        next.set(`${later} 0`, { piece: later, offset: 0 })
      }
    }
    states = [...next.values()]
  }
  if (!complete) return places.length === 0 || states.length > 0
  return states.some(
    ({ piece, offset }) =>
      piece === pieces.length - 1 && offset === pieces[piece]!.sent
  )
}

// How a call may be cancelled, and how it may then end.

export const CANCELS = [
  'never',
  'before',
  'at once',
  'microtask',
  'tick',
  'immediate',
  'soon',
  'zero',
  'short'
] as const
export type Cancel = (typeof CANCELS)[number]

/** What a call that was made is settled with: nothing, or its error. */
export type Outcome = { ok: true } | { ok: false; error: unknown }

/** The reason of the signals. */
export const CANCELLED = 'cancelled'

/** What is wrong with this outcome of a call, if anything is. */
export function wrongOutcome(
  syscall: 'send' | 'recv' | 'drain',
  cancel: Cancel,
  closing: boolean,
  outcome: Outcome
): string | undefined {
  const timed = cancel === 'zero' || cancel === 'short'
  if (outcome.ok) {
    return cancel === 'before' ? 'has ignored an aborted signal' : undefined
  }
  if (outcome.error === CANCELLED) {
    return timed || cancel === 'never' ? 'was never cancelled' : undefined
  }
  if (cancel === 'before') return 'does not reject with the reason'
  const error = outcome.error as NodeJS.ErrnoException
  if (error.syscall !== syscall || typeof error.errno !== 'number') {
    return `rejects with ${String(error)}, of ${error.syscall}`
  }
  if (error.code === 'ECLOSED' && closing) return undefined
  if (error.code === 'ETIMEDOUT' && timed) return undefined
  return `rejects with ${String(error)}`
}

// Back-pressure.

const WRITE_BUFFER = 64 * 1024
const READ_AHEAD = 64 * 1024

/**
 * Whether so many messages may be accepted and not sent. Without a peer that is
 * the send buffer; with one, one more may be on its way, and so much of small
 * ones; these wait for the next peer if it goes.
 */
export function mayBeUnsent(
  sizes: readonly number[],
  sendBuffer: number,
  everConnected: boolean
): boolean {
  if (!everConnected) return sizes.length <= sendBuffer
  const beyond = Math.max(0, sizes.length - sendBuffer - 1)
  const bytes = sizes
    .toSorted((a, b) => a - b)
    .slice(0, beyond)
    .reduce((sum, size) => sum + size, 0)
  return bytes <= WRITE_BUFFER
}

/**
 * Whether these may have been read ahead, the next ones that nobody has asked
 * for: as many as the receive buffer holds, and what the last read brought.
 */
export function mayBeUnread(
  sizes: readonly number[],
  recvBuffer: number
): boolean {
  const bytes = sizes.slice(recvBuffer + 1).reduce((sum, size) => sum + size, 0)
  return bytes <= READ_AHEAD
}
