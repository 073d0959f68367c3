/**
 * The addon's surface, typed in one place, and how its binary is found.
 * Numbers named `error` are NNG's; 0 means none.
 */

import { createRequire } from 'node:module'
import * as path from 'node:path'
import nodeGypBuild = require('node-gyp-build')
import { binaryBesideExecutable, bundled, bundledError } from './bundled'

export interface NativeOptions {
  sendBuffer: number
  recvBuffer: number
  maxMessageSize: number
  reconnectMin: number
  reconnectMax: number
  noDelay: boolean
  keepAlive: boolean
  /** Milliseconds, but for the count; 0: the system's own. */
  keepAliveDelay: number
  keepAliveInterval: number
  keepAliveCount: number
  userTimeout: number
  ipcMode: number
}

export interface NativePeer {
  ipc: boolean
  /** tcp: the numeric address; ipc: the path. */
  address: string
  port: number
  /** -1 where the system does not tell; as uid and gid. */
  pid: number
  uid: number
  gid: number
  /** Which endpoint made the connection. */
  dialed: boolean
  endpoint: number
}

/** In the order of the core's `EventType`. */
export enum NativeEventType {
  connect,
  disconnect,
  reject,
  dialed,
  resolved,
  listening
}

export interface NativeEvent {
  type: NativeEventType
  /**
   * The pipe's; `dialed`: the dialer's; `resolved`: what `resolve` returned;
   * `listening`: the listener's.
   */
  id: number
  /**
   * `disconnect`, `reject`: why; `dialed`: why the first attempt failed, or 0;
   * `resolved`: why there is no address, or 0.
   */
  error: number
  /** `connect` and `reject`. */
  peer?: NativePeer
  /** `disconnect`: how many messages have ever arrived until then. */
  messages?: number
  /** `listening`: of `listen`. */
  call?: number
  /** `resolved`: numeric, without brackets. */
  address?: string
}

export interface NativeStats {
  messagesSent: number
  messagesReceived: number
  messagesLost: number
  bytesSent: number
  bytesReceived: number
  unsentMessages: number
  unsentBytes: number
  inboxMessages: number
  inboxBytes: number
  rejects: number
}

/** What `send` returns; a negative number is an NNG error. */
export const SEND_ACCEPTED = 0
export const SEND_FULL = 1
export const SEND_QUEUED = 2

export interface NativeSocket {
  /** No other socket of this thread has it; not 0. */
  readonly id: number
  /**
   * Called when something has happened that was waited for, or an event is
   * there to be taken: then `events` is true.
   */
  onready: (events: boolean) => void

  /** With `queue`, a message that finds no room waits in line. */
  send(data: string | Uint8Array, queue: boolean): number
  /**
   * Sends from `list[from]` up to `list[end]` without waiting, until a message
   * is not accepted or the outbox is open for this socket; returns the index of
   * the first that was not sent, or `end`. Nothing may be in line. The list is a
   * copy of ours: reading it runs no code.
   */
  sendMany(
    list: readonly (string | Uint8Array)[],
    from: number,
    end: number
  ): number
  /** Sends what is in line while there is room; returns how many ever left it. */
  flushQueue(): number
  /** The `number`th message ever queued, from 0, is not to be sent. */
  cancelQueued(number: number): void
  accepted(): number
  finished(): number
  /** The bytes that are accepted and not sent, while there is a peer; else 0. */
  backlog(): number
  wakeWhenFinished(count: number): void

  /**
   * Received messages, as many as fit: small ones (SMALL bytes at most) are
   * copied to `slab` from `at` on, one behind the other, and larger ones are
   * pushed onto `large`. `sizes` gets the size of each, or -1 for a large
   * one; returns how many there are. `served` of them have somebody waiting
   * for them; the rest counts as read ahead until the next call.
   */
  take(
    slab: Uint8Array,
    at: number,
    sizes: Int32Array,
    large: Buffer[],
    served: number
  ): number
  /** False: there is a message to take. True: `onready` will be called. */
  waitForMessage(): boolean
  discard(): void

  /** `onready` will be called soon, by itself. */
  wake(): void
  takeEvents(): NativeEvent[]

  /**
   * Looks up the first address of a host, which takes no thread of the pool;
   * returns the number of the `resolved` that follows, or a negative error.
   */
  resolve(host: string): number
  /**
   * Of tcp with a numeric host alone: a name would keep the pool's thread. Once
   * there is a listener, and before anybody can connect to it, `listening`
   * tells its id and the number of this call.
   */
  listen(
    url: string,
    call: number
  ): Promise<[error: number, id: number, url: string]>
  /** The dialer's id, or a negative error; without `retry`, `dialed` follows. */
  dial(url: string, retry: boolean): number
  closeEndpoint(id: number, dialer: boolean): Promise<unknown>
  /** It neither dials nor accepts any more; its connection stays. */
  stopEndpoint(id: number, dialer: boolean): void

  /** Half-closes a pipe; returns an error. */
  finishPipe(pipe: number): number
  /**
   * The bytes that the peer's kernel has not confirmed yet, and those that
   * came from it so far.
   */
  pipeProgress(
    pipe: number
  ): [error: number, unconfirmed: number, received: number]

  close(): Promise<unknown>
  keepAlive(): void
  letGo(): void
  stats(): NativeStats
}

/** Real time, on the event loop's own thread. */
export interface NativeClock {
  /** Called when the alarm is due, or the loop had a turn. */
  ontime: (alarm: boolean, turn: boolean) => void
  /** Milliseconds from some moment on. */
  now(): number
  /** In so many milliseconds at the earliest; there is one alarm. */
  setAlarm(ms: number): void
  /** Keeps the process alive until then. */
  waitForTurn(): void
  keepAlive(): void
  letGo(): void
}

interface Native {
  Socket: new (options: NativeOptions) => NativeSocket
  /** Only where there is libuv's loop. */
  Clock?: new () => NativeClock
  /** Memory for outbox.ts; null where there is none. */
  outbox: ArrayBuffer | null
  /** Calls in no async context: what is made there keeps none. */
  outside<T>(call: () => T): T
  /** Ends the process, unless it listens to `uncaughtException`. */
  uncaught(error: unknown): void
  /** Before the process exits, where that ends no environment. */
  exiting(): void
  errorText(error: number): string
  nngVersion: string
}

function load(): Native {
  try {
    if (binaryBesideExecutable !== undefined) {
      // The `require` of a single executable's own code loads no files.
      return createRequire(binaryBesideExecutable)(
        binaryBesideExecutable
      ) as Native
    }
    // Known in this form by what copies a program's files (bundled.ts), which
    // would take the whole package along for a path.join() of this.
    return nodeGypBuild(`${__dirname}/..`) as Native
  } catch (cause) {
    // It has been loaded, and the system is at its end.
    if ((cause as { code?: unknown }).code === 'ERR_NNG_PAIR_NO_ENGINE')
      throw cause
    if (bundled) throw bundledError(cause)
    const { platform } = process
    const root = path.dirname(__dirname)
    const error = new Error(
      `nng-pair has no binary for ${platform}-${process.arch} ` +
        `(Node-API ${process.versions.napi ?? 'missing'}): ` +
        `${(cause as Error).message.split('\n', 1)[0]}. ` +
        (platform === 'linux' || platform === 'darwin' || platform === 'win32'
          ? 'With a C++ compiler and CMake, build it from the source in the ' +
            `package:\n\n    npx cmake-js@8 compile -d "${root}"\n`
          : 'It runs on Linux, macOS and Windows.'),
      { cause }
    )
    throw Object.assign(error, { code: 'ERR_NNG_PAIR_NO_BINARY' })
  }
}

export const native: Native = load()

// Bun tells an addon nothing when the process exits, and Windows tells it too
// late, when its other threads have been ended.
if (process.versions.bun !== undefined || process.platform === 'win32') {
  process.on('exit', native.exiting)
}
