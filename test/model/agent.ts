import type { PairSocket, PairSocketOptions } from '../../lib'
import type { Numbered } from '../support/numbered'

/** What a peer has to say of itself. */
export interface Report {
  /** How many of its messages were accepted. */
  accepted: number
  /** The numbers of what it has received; -1 for a message of no bytes. */
  received: number[]
  /** Of each connection that has ended, and of the one that has not. */
  pieces: { start: number; sent: number; lost: number }[]
  /** It was cut off in the middle of a message. */
  torn: boolean
  failures: string[]
}

/**
 * How a peer goes: in good order; at once; with a reset; in the middle of a
 * message; with a message that is longer than any. One that pauses closes its
 * endpoint, and comes again. A socket of ours knows no ways but the first two
 * and the last.
 */
export const FAREWELLS = [
  'close',
  'now',
  'reset',
  'torn',
  'absurd',
  'pause'
] as const
export type Farewell = (typeof FAREWELLS)[number]

/** What a schedule can have a peer do, of whichever kind that is. */
export interface Peer {
  /** Listens; resolves with its URL. */
  listen(): Promise<string>
  dial(url: string): Promise<void>
  /** Sends messages of these sizes; does not wait until they are accepted. */
  send(sizes: number[], cut: number): Promise<void>
  /** Reads what comes from now on, or stalls. */
  read(on: boolean): Promise<void>
  /** Resolves when so many messages have been accepted. */
  hasSent(count: number): Promise<void>
  /** Resolves when so many messages were received over the last connection. */
  hasReceived(count: number): Promise<void>
  /** Resolves when it has a connection, the n-th. */
  met(n: number): Promise<void>
  /**
   * Resolves when it has no connection, has had so many, and has read all that
   * they brought. Only for one that reads.
   */
  parted(count: number): Promise<void>
  leave(how: Farewell): Promise<void>
  report(): Promise<Report>
  /** It is over, whatever it was about to do. */
  end(): Promise<void>
}

/**
 * A peer that is a socket of ours. Its source is all that it needs: a worker is
 * given that.
 */
export function agent(
  Socket: typeof PairSocket,
  { make, check }: Numbered,
  id: number,
  url: string,
  options: PairSocketOptions
): Peer {
  const sock = new Socket({ reconnectMin: 1, reconnectMax: 4, ...options })
  const received: number[] = []
  const pieces: Report['pieces'] = []
  const failures: string[] = []
  const waiting = new Set<() => void>()
  let made = 0
  let accepted = 0
  let before = 0
  let open = false
  let endpoint: { close(): Promise<void> } | undefined
  let reading: AbortController | undefined

  const changed = () => {
    for (const look of waiting) look()
  }
  const until = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return
        waiting.delete(look)
        resolve()
      }
      waiting.add(look)
      look()
    })
  const measure = () => {
    const { messagesSent, messagesLost } = sock.stats()
    const last = pieces.at(-1)
    const start = last ? last.start + last.sent + last.lost : 0
    const lost = pieces.reduce((sum, piece) => sum + piece.lost, 0)
    const sent = messagesSent - (start - lost)
    return { start, sent, lost: messagesLost - lost }
  }
  sock.on('connect', () => {
    open = true
    before = received.length
    changed()
  })
  sock.on('disconnect', () => {
    open = false
    pieces.push(measure())
    changed()
  })
  const readOn = async (signal: AbortSignal) => {
    try {
      for (;;) {
        const message = await sock.recv({ signal })
        received.push(message.length === 0 ? -1 : check(message)[1])
        changed()
      }
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (error !== 'stalls' && code !== 'ECLOSED') failures.push(String(error))
    }
  }
  const isAccepted = (sent: Promise<void>) =>
    sent.then(
      () => {
        accepted++
        changed()
      },
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECLOSED') failures.push(String(error))
      }
    )

  return {
    async listen() {
      const listener = await sock.listen(url)
      endpoint = listener
      return listener.url
    },
    async dial(other) {
      endpoint = await sock.dial(other)
    },
    send(sizes) {
      for (const size of sizes)
        void isAccepted(sock.send(make(id, made++, size)))
      return Promise.resolve()
    },
    read(on) {
      reading?.abort('stalls')
      reading = undefined
      if (on && !sock.closed)
        void readOn((reading = new AbortController()).signal)
      return Promise.resolve()
    },
    hasSent: (count) => until(() => accepted >= count),
    hasReceived: (count) => until(() => received.length - before >= count),
    met: (n) => until(() => open && pieces.length + 1 >= n),
    async parted(count) {
      await until(() => !open && pieces.length >= count)
      // What was read ahead comes one by one.
      while (sock.stats().unreadMessages > 0) {
        await new Promise((resolve) => setImmediate(resolve))
      }
      await new Promise((resolve) => setImmediate(resolve))
    },
    async leave(how) {
      if (how === 'pause') await endpoint?.close()
      else await sock.close(how === 'close' ? {} : { timeout: 0 })
    },
    report() {
      const all = open ? [...pieces, measure()] : pieces
      return Promise.resolve({
        accepted,
        received,
        pieces: all,
        torn: false,
        failures
      })
    },
    async end() {
      await sock.close({ timeout: 0 })
    }
  }
}
