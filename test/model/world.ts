import { setImmediate as turn } from 'node:timers/promises'
import { NngError, PairSocket, type Dialer, type Listener } from '../../lib'
import { ownUrl, type Transport } from '../support/transports'
import type { Farewell, Peer, Report } from './agent'
import { Calls } from './calls'
import { Line, mayBeUnread, mayBeUnsent, type Piece } from './model'
import { comeBy, makePeer, messages, type PeerKind } from './peers'
import { Receiving } from './receiving'
import type { Schedule, Step } from './schedule'
import { Sending } from './sending'

/** What reached our kernel from a peer that died, and nobody had read. */
const AT_REST = 40_000

const NO_TURN_MS = 3
const nothing = new Int32Array(new SharedArrayBuffer(4))

/** A peer from its coming to its going, over one connection or several. */
interface Visit {
  readonly id: number
  readonly kind: PeerKind
  readonly listens: boolean
  readonly url: string
  readonly peer: Peer
  /** What it was asked to send. */
  readonly line: Line
  /** The connections to it: pieces of the socket's line. */
  readonly pieces: Piece[]
  /** How many of them have ended. */
  ended: number
  leaving: boolean
  /** How many of its messages have to arrive, if it has sent so many. */
  required: number
  /** All that was accepted on either side has to arrive. */
  completeFromUs: boolean
  completeToUs: boolean
  dialer: Dialer | undefined
}

/** Runs a schedule against a real socket, and compares it with the model. */
export class World {
  readonly #schedule: Schedule
  readonly #transport: Transport
  readonly #patience: number
  readonly #sock: PairSocket
  readonly #calls = new Calls()
  readonly #sending: Sending
  readonly #receiving: Receiving
  readonly #visits: Visit[] = []
  #url = ''
  #listener: Listener | undefined
  #closeEvents = 0
  #rejects = 0
  #changed = () => {}
  /** Nobody waits for its steps any more. */
  #over = false

  constructor(schedule: Schedule, transport: Transport, patience: number) {
    this.#schedule = schedule
    this.#transport = transport
    this.#patience = patience
    const { sendBuffer, recvBuffer } = schedule
    const options = { sendBuffer, recvBuffer, reconnectMin: 1, reconnectMax: 4 }
    this.#sock = new PairSocket(options)
    this.#sending = new Sending(this.#sock, this.#calls, sendBuffer)
    this.#receiving = new Receiving(this.#sock, this.#calls)
    this.#sock.on('connect', () => this.#onConnect())
    this.#sock.on('disconnect', () => this.#onDisconnect())
    this.#sock.on('reject', (_, reason) => {
      this.#rejects++
      if (reason !== 'busy') this.#fail(`reject for the reason ${reason}`)
      this.#changed()
    })
    this.#sock.on('close', () => this.#closeEvents++)
  }

  async run(): Promise<void> {
    try {
      this.#listener = await this.#sock.listen(ownUrl(this.#transport))
      this.#url = this.#listener.url
      for (const step of this.#schedule.steps) {
        await this.#within(this.#do(step), JSON.stringify(step))
        this.#check()
      }
      await this.#within(this.#end(), `the end: ${this.#schedule.end}`)
      this.#check()
    } finally {
      await this.#cleanUp()
    }
  }

  async #cleanUp(): Promise<void> {
    this.#over = true
    const left = [
      this.#sock.close({ timeout: 0 }),
      ...this.#visits.map(({ peer }) => peer.end())
    ]
    await this.#within(Promise.allSettled(left), 'cleaning up')
  }

  // Failures.

  #fail(text: string): void {
    this.#calls.fail(text)
  }

  #check(): void {
    const { failures } = this.#calls
    if (failures.length > 0) throw new Error(failures.join('\n'))
  }

  async #within<T>(promise: Promise<T>, what: string): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const stats = JSON.stringify(this.#sock.stats())
        const all = [`hangs: ${what}`, stats, ...this.#calls.failures]
        reject(new Error(all.join('\n')))
      }, this.#patience)
    })
    try {
      return await Promise.race([promise, hangs])
    } finally {
      clearTimeout(timer)
    }
  }

  // The connections of the socket.

  get #visit(): Visit | undefined {
    return this.#visits.at(-1)
  }

  /** The piece of our line that this connection has carried so far. */
  #measure(piece: Piece): void {
    const { messagesSent, messagesLost } = this.#sock.stats()
    const others = this.#visits
      .flatMap(({ pieces }) => pieces)
      .filter((other) => other !== piece)
    const sum = (key: 'sent' | 'lost') =>
      others.reduce((total, other) => total + other[key], 0)
    piece.sent = messagesSent - sum('sent')
    piece.lost = messagesLost - sum('lost')
  }

  #onConnect(): void {
    const { messagesSent, messagesLost } = this.#sock.stats()
    const start = this.#visits
      .flatMap(({ pieces }) => pieces)
      .reduce((sum, { sent, lost }) => sum + sent + lost, 0)
    if (messagesSent + messagesLost < start) this.#fail('stats() go back')
    this.#visit?.pieces.push({ start, sent: 0, lost: 0 })
    this.#changed()
  }

  #onDisconnect(): void {
    const visit = this.#visit!
    const piece = visit.pieces.at(-1)!
    visit.ended++
    this.#measure(piece)
    // On Windows, all that is being written is lost with the connection.
    if (piece.lost > 1 && process.platform !== 'win32') {
      this.#fail(`${piece.lost} lost with a connection`)
    }
    if (!visit.leaving && !this.#calls.closing) {
      this.#fail('the peer was disconnected, and had not left')
    }
    this.#changed()
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#over) throw new Error('it has taken too long')
      await new Promise<void>((resolve) => {
        this.#changed = resolve
        setImmediate(resolve)
      })
    }
  }

  // What a step does.

  async #do(step: Step): Promise<void> {
    switch (step.do) {
      case 'send':
        return this.#sending.send(step.size, step.cancel)
      case 'sendMany':
        return this.#sending.sendMany(step.sizes, step.cancel)
      case 'trySend':
        this.#sending.trySend(step.size)
        return
      case 'flood':
        this.#sending.flood(step.size)
        return
      case 'drain':
        return this.#sending.drain(step.cancel)
      case 'recv':
        return this.#receiving.take('recv', step.cancel)
      case 'recvMany':
        return this.#receiving.take('recvMany', step.cancel, step.max)
      case 'tryRecv':
        this.#receiving.tryRecv()
        return
      case 'iterate':
        this.#calls.pending(this.#receiving.iterate(step.count))
        return
      case 'listen':
        return this.#listen(step.count)
      case 'turns':
        for (let i = 0; i < step.count; i++) await turn()
        this.#checkStats()
        return
      case 'no turn':
        // Other threads go on, and much has happened when this one hears of it.
        Atomics.wait(nothing, 0, 0, NO_TURN_MS)
        return
      case 'peer comes':
        return this.#come(step.kind, step.reads, step.listens)
      case 'peer sends':
        return this.#peerSends(step.sizes, step.cut)
      case 'peer reads':
        return this.#visit?.leaving === false
          ? this.#visit.peer.read(step.on)
          : undefined
      case 'peer leaves':
        return this.#leave(step.how)
      case 'stranger comes':
        return this.#stranger(step.kind)
      case 'reopen':
        return this.#reopen()
    }
  }

  /** A peer that comes later is told of before its messages, and after them. */
  #listen(count: number): void {
    const before = this.#visits.length
    this.#receiving.listen(count, (message) => {
      if (message.length === 0) return
      const [id] = messages.check(message)
      const { ended, pieces } = this.#visits[id - 1]!
      if (id > before && ended >= pieces.length) {
        this.#fail(`a message of peer ${id}, which is not connected`)
      }
    })
  }

  // Peers.

  async #come(kind: PeerKind, reads: boolean, listens: boolean): Promise<void> {
    if (this.#visit?.leaving === false) return
    await this.#gone()
    await this.#hangUp(this.#visit)
    const id = this.#visits.length + 1
    const { peerBuffers } = this.#schedule
    const options = { sendBuffer: peerBuffers, recvBuffer: peerBuffers }
    const peer = makePeer(kind, id, this.#transport, options)
    const visit: Visit = {
      id,
      kind,
      listens,
      url: listens ? await peer.listen() : this.#url,
      peer,
      line: new Line(),
      pieces: [],
      ended: 0,
      leaving: false,
      required: 0,
      completeFromUs: false,
      completeToUs: false,
      dialer: undefined
    }
    this.#visits.push(visit)
    this.#sending.connections++
    await this.#meet(visit, 1)
    if (reads) await peer.read(true)
  }

  /** Resolves when the socket has a connection to it, the n-th. */
  async #meet(visit: Visit, n: number): Promise<void> {
    if (visit.listens) visit.dialer = await this.#sock.dial(visit.url)
    else if (n === 1) await visit.peer.dial(visit.url)
    await this.#until(() => visit.pieces.length === n)
    await visit.peer.met(n)
  }

  /** Receives until the connection has ended, however full the buffers are. */
  async #gone(): Promise<void> {
    const visit = this.#visit
    if (visit === undefined) return
    const n = visit.pieces.length
    await this.#until(() => {
      if (visit.ended >= n) return true
      this.#receiving.tryRecv()
      return false
    })
  }

  /** The dialer of a peer that has gone would dial it for ever. */
  async #hangUp(visit: Visit | undefined): Promise<void> {
    await visit?.dialer?.close()
    if (visit !== undefined) visit.dialer = undefined
  }

  async #peerSends(sizes: number[], cut: number): Promise<void> {
    const visit = this.#visit
    if (visit === undefined || visit.leaving) return
    // A message without bytes does not say on which connection it came.
    if (visit.kind !== 'raw') sizes = sizes.filter((size) => size > 0)
    for (const size of sizes) visit.line.begin([size], this.#calls.now())
    await visit.peer.send(sizes, cut)
  }

  /** How many of its messages have been received, and their bytes. */
  #receivedFrom({ id }: Visit): { count: number; bytes: number } {
    const own = this.#receiving.bySender().get(id) ?? []
    return {
      count: own.length,
      bytes: own.reduce((sum, { length }) => sum + length, 0)
    }
  }

  /**
   * How many of its messages must be received when it dies now. Over tcp, what
   * was read makes room for more only when it is as much as a segment, which on
   * a loopback interface is 64 KiB: until then no more reaches our kernel.
   */
  #due(visit: Visit, accepted: number): number {
    const { bytes } = this.#receivedFrom(visit)
    const { sizes } = visit.line
    let room =
      this.#transport === 'tcp' ? Math.max(bytes, AT_REST) : bytes + AT_REST
    let count = 0
    for (; count < accepted; count++) {
      room -= sizes[count]! + 9
      if (room < 0) break
    }
    return count
  }

  async #leave(how: Farewell): Promise<void> {
    const visit = this.#visit
    if (visit === undefined || visit.leaving) return
    const { peer, kind, listens } = visit
    if (how === 'pause') {
      // A raw peer is another one when it comes again.
      if (kind === 'raw' || listens) return
      await this.#interrupt(visit, async () => {
        await peer.leave('pause')
        await peer.parted(visit.pieces.length)
        await this.#gone()
        await peer.dial(this.#url)
      })
      return
    }
    visit.leaving = true
    // A raw peer reads to the end. Others read what is there, and drop it.
    if (how === 'close') {
      visit.required = Infinity
      visit.completeFromUs = kind === 'raw'
    } else {
      const { accepted } = await peer.report()
      visit.required = this.#due(visit, accepted)
    }
    this.#calls.pending(peer.leave(how))
  }

  /** The connection ends and another one comes, to the same peer. */
  async #interrupt(visit: Visit, again: () => Promise<void>): Promise<void> {
    const n = visit.pieces.length
    // Else it would not notice, with messages that it has not read.
    await visit.peer.read(true)
    visit.leaving = true
    await again()
    await this.#until(() => visit.pieces.length === n + 1)
    await visit.peer.met(n + 1)
    visit.leaving = false
  }

  async #reopen(): Promise<void> {
    const visit = this.#visit
    if (visit?.leaving === true) {
      await this.#gone()
      await this.#hangUp(visit)
    }
    if (visit === undefined || visit.leaving) return this.#listenAgain()
    const { peer, kind, listens, pieces } = visit
    if (kind === 'raw') {
      visit.leaving = true
      this.#calls.pending(peer.leave('close'))
      if (listens) await this.#hangUp(visit)
      else await this.#listenAgain()
      return
    }
    await this.#interrupt(visit, async () => {
      const n = pieces.length
      if (listens) await this.#hangUp(visit)
      else await this.#listener!.close()
      await peer.parted(n)
      if (listens) await this.#meet(visit, n + 1)
      else this.#listener = await this.#sock.listen(this.#url)
    })
  }

  async #listenAgain(): Promise<void> {
    await this.#listener!.close()
    this.#listener = await this.#sock.listen(this.#url)
  }

  async #stranger(kind: Parameters<typeof comeBy>[1]): Promise<void> {
    const visit = this.#visit
    if (visit === undefined || visit.leaving) return
    const before = this.#rejects
    await comeBy(this.#url, kind)
    if (kind === 'busy') await this.#until(() => this.#rejects > before)
    if (this.#sock.stats().rejects !== this.#rejects) {
      this.#fail('stats().rejects are not the events')
    }
  }

  // The end.

  async #end(): Promise<void> {
    const { end } = this.#schedule
    if (end === 'settle') await this.#settle()
    if (end === 'peer closes') {
      await this.#leave('close')
      await this.#gone()
      // All that came before the end is there.
      while (this.#receiving.tryRecv());
    }
    await this.#close(end === 'close now' ? 0 : Infinity)
    await this.#calls.allSettled()
    await this.#checkClosed()
    await this.#compare()
  }

  /** Until every message that was accepted is where it belongs. */
  async #settle(): Promise<void> {
    if (this.#visit?.leaving !== false) {
      await this.#come('near', true, false)
    }
    const visit = this.#visit!
    await visit.peer.read(true)
    await this.#peerSends([10], 0)
    const last = visit.line.sizes.length - 1
    // The last of its messages; those before it come before it.
    await this.#until(() => {
      this.#receiving.tryRecv()
      const taken = this.#receiving.taken.at(-1)
      if (taken === undefined || taken.length === 0) return false
      const [id, number] = messages.check(taken)
      return id === visit.id && number === last
    })
    this.#sending.send(10, 'never')
    await this.#until(() =>
      this.#sending.line.calls.every(({ outcome }) => outcome !== 'pending')
    )
    await this.#sock.drain()
    const piece = visit.pieces.at(-1)!
    this.#measure(piece)
    await visit.peer.hasReceived(piece.sent)
    visit.completeToUs = visit.completeFromUs = true
    const { messagesReceived, unreadMessages, unsentMessages } =
      this.#sock.stats()
    if (
      messagesReceived !== this.#receiving.taken.length ||
      unreadMessages + unsentMessages > 0
    ) {
      this.#fail(`at rest: ${JSON.stringify(this.#sock.stats())}`)
    }
  }

  async #close(timeout: number): Promise<void> {
    const sock = this.#sock
    const visit = this.#visit
    if (visit?.leaving === false) {
      await visit.peer.read(true)
      visit.completeFromUs = timeout > 0
    } else if (visit !== undefined && visit.ended < visit.pieces.length) {
      // It had not read all, and what is on its way may be lost with this.
      if (timeout === 0) visit.completeFromUs = false
    }
    const { messagesSent, messagesLost, unsentMessages } = sock.stats()
    const accepted = messagesSent + messagesLost + unsentMessages
    const { peer } = sock
    this.#calls.closing = true
    const closed = sock.close(timeout === 0 ? { timeout } : {})
    // Whatever peer still leaves, or stalls, lets us go.
    const { unsent } = await closed
    const after = sock.stats()
    const most = accepted - after.messagesSent - messagesLost
    // What a peer that dies takes with it may be lost before the close.
    const least = visit?.leaving === true ? after.unsentMessages : most
    if (unsent < least || unsent > most) {
      this.#fail(`unsent: ${unsent}, and not ${least} to ${most}`)
    }
    if (
      peer !== undefined &&
      visit?.leaving === false &&
      timeout > 0 &&
      unsent > 0
    ) {
      this.#fail(`close() has left ${unsent} unsent, with a peer`)
    }
    if (this.#closeEvents !== 1 || sock.peer !== undefined) {
      this.#fail(`closed, with ${this.#closeEvents} events`)
    }
  }

  /** Everything fails now, each in its way. */
  async #checkClosed(): Promise<void> {
    const sock = this.#sock
    const calls: [syscall: string, call: () => Promise<unknown>][] = [
      ['send', () => sock.send('late')],
      ['send', () => sock.sendMany(['late'])],
      ['recv', () => sock.recv()],
      ['recv', () => sock.recvMany(2)],
      ['drain', () => sock.drain()],
      ['listen', () => sock.listen(this.#url)],
      ['dial', () => sock.dial(this.#url)],
      // eslint-disable-next-line @typescript-eslint/require-await
      ['send', async () => sock.trySend('late')]
    ]
    for (const [syscall, call] of calls) {
      const error = await call().then(
        () => undefined,
        (reason: unknown) => reason
      )
      if (
        !(error instanceof NngError) ||
        error.code !== 'ECLOSED' ||
        error.syscall !== syscall
      ) {
        this.#fail(`${syscall} after close(): ${String(error)}`)
      }
    }
    const { done } = await sock[Symbol.asyncIterator]().next()
    if (done !== true || sock.tryRecv() !== undefined || !sock.closed) {
      this.#fail('there is something after close()')
    }
    if (sock.stats().waitingSends !== 0) this.#fail('waits after close()')
  }

  // The comparison with the model.

  /** What holds at any moment. */
  #checkStats(): void {
    const stats = this.#sock.stats()
    const { messagesSent, messagesLost, unsentMessages } = stats
    const accepted = messagesSent + messagesLost + unsentMessages
    const { atLeast, atMost } = this.#sending.line.bounds()
    const fail = (what: string) =>
      this.#fail(`${what}: ${JSON.stringify(stats)}`)
    if (accepted < atLeast || accepted > atMost) {
      fail(`${atLeast} to ${atMost} accepted`)
    }
    const pending = this.#sending.line.calls.filter(
      (c) => c.outcome === 'pending'
    )
    const connected = this.#visits.length > 0
    if (
      stats.waitingSends > pending.length ||
      (!connected && stats.waitingSends < pending.length)
    ) {
      fail(`${pending.length} calls wait`)
    }
    const { sendBuffer, recvBuffer } = this.#schedule
    const ofLists = this.#sending.line.calls.some(
      ({ kind, outcome }) => kind === 'sendMany' && outcome !== 'accepted'
    )
    const inLine = this.#sending.line.calls
      .filter(({ outcome }) => outcome === 'accepted')
      .flatMap(({ first, count }) =>
        this.#sending.line.sizes.slice(first, first + count)
      )
    const unsent = unsentMessages > 0 ? inLine.slice(-unsentMessages) : []
    if (!ofLists && !mayBeUnsent(unsent, sendBuffer, connected)) {
      fail('too many accepted')
    }
    const taken = this.#receiving.taken.length
    if (stats.unreadMessages + taken > stats.messagesReceived) {
      fail(`${taken} received`)
    }
    const [first, ...others] = this.#visits
    if (first?.pieces.length !== 1 || others.length > 0) return
    // Nothing was lost: what has not been received yet is what comes next.
    const next = first.line.sizes.slice(taken)
    if (stats.unreadMessages > next.length) fail('more than were sent')
    const room = recvBuffer + this.#receiving.leftByListener
    if (!mayBeUnread(next.slice(0, stats.unreadMessages), room)) {
      fail('too many read ahead')
    }
  }

  /** Who has received what, when all is over. */
  async #compare(): Promise<void> {
    const { messagesSent, messagesLost, unsentMessages } = this.#sock.stats()
    const accepted = messagesSent + messagesLost + unsentMessages
    if (!this.#sending.line.settledInOrder())
      this.#fail('sends settle out of order')
    this.#receiving.checkOrder()
    const bySender = this.#receiving.bySender()
    for (const visit of this.#visits) {
      const { id, peer, line, pieces } = visit
      // What was on its way is received before the end of the connection.
      if (visit.completeFromUs) await peer.parted(pieces.length)
      await peer.leave('now')
      const report = await peer.report()
      for (const failure of report.failures) this.#fail(`peer: ${failure}`)
      if (report.torn && visit.completeFromUs && pieces.at(-1)?.lost === 0) {
        this.#fail('a torn message')
      }
      const said = (fault: string | undefined, of: string) => {
        if (fault !== undefined) this.#fail(`${of} peer ${id}: ${fault}`)
      }
      const { received } = report
      said(
        this.#sending.line.fault(
          received,
          pieces,
          accepted,
          visit.completeFromUs
        ),
        'to'
      )
      const numbers = (bySender.get(id) ?? []).map((message) =>
        message.length === 0 ? -1 : messages.check(message)[1]
      )
      said(this.#faultToUs(line, numbers, report, visit), 'from')
    }
  }

  #faultToUs(
    line: Line,
    numbers: number[],
    { accepted, pieces }: Report,
    visit: Visit
  ): string | undefined {
    const { kind, required, completeToUs } = visit
    const made = kind === 'raw' ? line.sizes.length : accepted
    // It may have been accepted, and not have left.
    const sent = kind === 'raw' ? made : (pieces.at(-1)?.sent ?? 0)
    const due = Math.min(required, sent)
    // What came over an earlier connection may be lost; close() drops what
    // nobody has received.
    const all = pieces.length === 1 && !this.#schedule.end.startsWith('close')
    if (all && numbers.length < due) {
      return `${numbers.length} of ${due} received`
    }
    return line.fault(numbers, pieces, made, completeToUs)
  }
}
