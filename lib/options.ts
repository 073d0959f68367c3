import { argumentError, show } from './errors'
import type { NativeOptions } from './native'
import { warnOfUnknown } from './optionNames'

/**
 * When an idle tcp connection is probed, and when it is given up: after `delay`
 * + `count` × `interval` without a word from the peer's system. What is left
 * out is the system's: two hours, 75 seconds and 9 probes on Linux (8 on
 * macOS; one second and 10 on Windows).
 *
 * Systems count in whole seconds here: times are rounded up.
 */
export interface KeepAliveOptions {
  /**
   * How long the connection is idle before the first probe, in milliseconds:
   * 1 to 32,767,000 (TCP_KEEPIDLE).
   */
  delay?: number | undefined
  /**
   * From one probe to the next, in milliseconds: 1 to 32,767,000
   * (TCP_KEEPINTVL).
   */
  interval?: number | undefined
  /**
   * After how many probes without an answer the peer is gone: 1 to 127
   * (TCP_KEEPCNT).
   */
  count?: number | undefined
}

/** Options of a {@link PairSocket}; each has a default. */
export interface PairSocketOptions {
  /**
   * How long `recv()` waits, in milliseconds. 0: only if a message is ready
   * now. Default: `Infinity`.
   */
  recvTimeout?: number | undefined
  /** How long `send()` waits for room, in milliseconds. Default: `Infinity`. */
  sendTimeout?: number | undefined
  /**
   * How many messages are accepted while there is no peer, or a slow one:
   * 0 to 8192. Default: 128.
   */
  sendBuffer?: number | undefined
  /**
   * How many messages are read ahead of `recv()`, besides what the connection
   * holds, one or 64 KiB of small ones: 0 to 8192. Default: 128.
   */
  recvBuffer?: number | undefined
  /**
   * The largest message in bytes, 1 to 2³¹-1. A peer that announces a larger
   * one is disconnected before any memory is taken for it; sending a larger
   * one fails with `EMSGSIZE`. Default: 64 MiB.
   */
  maxMessageSize?: number | undefined
  /** The shortest back-off before a redial, in milliseconds. Default: 100. */
  reconnectMin?: number | undefined
  /** The longest back-off before a redial, in milliseconds. Default: 10,000. */
  reconnectMax?: number | undefined
  /** tcp: send small messages at once (TCP_NODELAY). Default: true. */
  noDelay?: boolean | undefined
  /**
   * tcp: probe an idle connection (SO_KEEPALIVE), at the system's times or at
   * these. A peer that is gone is noticed so while nothing is sent; while
   * something is, see `userTimeout`. Default: false.
   */
  keepAlive?: boolean | KeepAliveOptions | undefined
  /**
   * tcp: how long what was sent may stay unconfirmed by the peer's system
   * before the connection is given up, in milliseconds: 1 to 2³¹-1, or
   * `Infinity`, which is the system's own limit, about a quarter of an hour on
   * Linux (TCP_USER_TIMEOUT, RFC 5482). Whole seconds on macOS, rounded up.
   *
   * On Linux two things come with it. A peer that is there, but reads nothing
   * for so long while there is more for it than its buffers hold, is given up
   * as well: take a time that is longer than the peer may pause. And with
   * `keepAlive` it decides, instead of `count`, when an idle peer is gone.
   * Default: `Infinity`.
   */
  userTimeout?: number | undefined
  /**
   * The permission bits of an ipc socket file. On Windows, whether everybody on
   * the machine may connect (0o006) or its user alone. Default: 0o600.
   */
  ipcMode?: number | undefined
}

/** Options with the defaults filled in. */
export type ResolvedOptions = {
  readonly [Name in keyof PairSocketOptions]-?: Exclude<
    PairSocketOptions[Name],
    undefined
  >
}

const MAX_BUFFER = 8192
const MAX_MILLISECONDS = 2 ** 31 - 1
// What Linux takes: other systems take more.
const MAX_KEEP_ALIVE_MS = 32_767_000
const MAX_KEEP_ALIVE_COUNT = 127

export const defaults: ResolvedOptions = {
  recvTimeout: Infinity,
  sendTimeout: Infinity,
  sendBuffer: 128,
  recvBuffer: 128,
  maxMessageSize: 64 * 2 ** 20,
  reconnectMin: 100,
  reconnectMax: 10_000,
  noDelay: true,
  keepAlive: false,
  userTimeout: Infinity,
  ipcMode: 0o600
}

function checkNumber(name: string, value: unknown): asserts value is number {
  if (typeof value !== 'number') {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      `${name} must be a number, not ${show(value)}`
    )
  }
}

function checkInteger(
  name: string,
  value: unknown,
  min: number,
  max: number,
  shown = String(max)
): void {
  checkNumber(name, value)
  if (!Number.isInteger(value) || value < min || value > max) {
    throw argumentError(
      'ERR_OUT_OF_RANGE',
      `${name} must be an integer from ${min} to ${shown}, not ${value}`
    )
  }
}

/** Milliseconds: `min` to 2³¹-1, or `Infinity`. */
export function checkTimeout(
  name: string,
  value: unknown,
  min = 0
): asserts value is number {
  checkNumber(name, value)
  if (value === Infinity) return
  if (!(value >= min && value <= MAX_MILLISECONDS)) {
    throw argumentError(
      'ERR_OUT_OF_RANGE',
      `${name} must be from ${min} to ${MAX_MILLISECONDS} ms or Infinity, not ${value}`
    )
  }
}

export function checkBoolean(name: string, value: unknown): void {
  if (typeof value !== 'boolean') {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      `${name} must be a boolean, not ${show(value)}`
    )
  }
}

export function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      `${name} must be an object, not ${show(value)}`
    )
  }
}

/**
 * As Node's own functions take it: it may be of another realm, or not Node's
 * at all, as long as it can be listened to.
 */
function isSignal(value: unknown): boolean {
  if (value instanceof AbortSignal) return true
  if (typeof value !== 'object' || value === null) return false
  if (!('aborted' in value)) return false
  const { addEventListener, removeEventListener } =
    value as Partial<AbortSignal>
  return (
    Boolean(value.aborted) ||
    (typeof addEventListener === 'function' &&
      typeof removeEventListener === 'function')
  )
}

export function checkSignal(value: unknown): void {
  if (!isSignal(value)) {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      `signal must be an AbortSignal, not ${show(value)}`
    )
  }
}

const keepAliveNames = ['delay', 'interval', 'count']

/** Checks it, and returns what is of our own: it is read once. */
function resolveKeepAlive(value: unknown): boolean | KeepAliveOptions {
  if (typeof value === 'boolean') return value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      `keepAlive must be a boolean or an object, not ${show(value)}`
    )
  }
  const { delay, interval, count } = value as KeepAliveOptions
  for (const name of Object.keys(value)) {
    if (keepAliveNames.includes(name)) continue
    if (value[name as keyof typeof value] !== undefined) {
      warnOfUnknown(name, keepAliveNames)
    }
  }
  const check = (name: string, part: unknown, max: number) => {
    if (part !== undefined) checkInteger(`keepAlive.${name}`, part, 1, max)
  }
  check('delay', delay, MAX_KEEP_ALIVE_MS)
  check('interval', interval, MAX_KEEP_ALIVE_MS)
  check('count', count, MAX_KEEP_ALIVE_COUNT)
  return { delay, interval, count }
}

/** Fills in the defaults and checks types and ranges. */
export function resolveOptions(options: PairSocketOptions): ResolvedOptions {
  checkObject('options', options)
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined)
  )
  for (const name of Object.keys(given)) {
    if (!(name in defaults)) warnOfUnknown(name, Object.keys(defaults))
  }
  const o: ResolvedOptions = { ...defaults, ...given }
  checkTimeout('recvTimeout', o.recvTimeout)
  checkTimeout('sendTimeout', o.sendTimeout)
  checkInteger('sendBuffer', o.sendBuffer, 0, MAX_BUFFER)
  checkInteger('recvBuffer', o.recvBuffer, 0, MAX_BUFFER)
  checkInteger('maxMessageSize', o.maxMessageSize, 1, 2 ** 31 - 1)
  checkInteger('reconnectMin', o.reconnectMin, 1, MAX_MILLISECONDS)
  checkInteger('reconnectMax', o.reconnectMax, o.reconnectMin, MAX_MILLISECONDS)
  checkBoolean('noDelay', o.noDelay)
  const keepAlive = resolveKeepAlive(o.keepAlive)
  checkTimeout('userTimeout', o.userTimeout, 1)
  checkInteger('ipcMode', o.ipcMode, 0, 0o777, '0o777')
  return { ...o, keepAlive }
}

/** As the addon takes them: 0 is what is left to the system. */
export function toNativeOptions(options: ResolvedOptions): NativeOptions {
  const { keepAlive, userTimeout } = options
  const {
    delay = 0,
    interval = 0,
    count = 0
  } = typeof keepAlive === 'object' ? keepAlive : {}
  return {
    ...options,
    keepAlive: keepAlive !== false,
    keepAliveDelay: delay,
    keepAliveInterval: interval,
    keepAliveCount: count,
    userTimeout: userTimeout === Infinity ? 0 : Math.ceil(userTimeout)
  }
}

/** Options of a call that may wait. */
export interface WaitOptions {
  /**
   * Aborts the call: it rejects with the signal's reason. It may be of another
   * realm, or a polyfill's.
   */
  signal?: AbortSignal | undefined
  /**
   * Milliseconds of real time, or `Infinity`. Then the call rejects with
   * `ETIMEDOUT`.
   */
  timeout?: number | undefined
}

/** Options of {@link PairSocket.dial}. */
export interface DialOptions extends WaitOptions {
  /**
   * Resolve at once and keep dialing in the background until a peer answers.
   * Default: false, which rejects when the first attempt fails.
   */
  retry?: boolean | undefined
}

/** Options of {@link PairSocket.close}. */
export interface CloseOptions {
  /**
   * How long to wait, in milliseconds, until the peer has everything. 0:
   * close now. Default: `Infinity`.
   */
  timeout?: number | undefined
}

export function checkWaitOptions(options: WaitOptions): void {
  checkObject('options', options)
  if (options.signal !== undefined) checkSignal(options.signal)
  if (options.timeout !== undefined) checkTimeout('timeout', options.timeout)
}

/**
 * Warns of options that do not exist. A call that does not have to wait leaves
 * this out: it does without those that do, too, and has no time for it.
 *
 * @param own the option that the call has besides
 */
export function checkNames(options: WaitOptions, own?: string): void {
  for (const name in options) {
    if (name === 'timeout' || name === 'signal' || name === own) continue
    warnOfUnknown(name, ['signal', 'timeout', ...(own ? [own] : [])])
  }
}

/** Of a call that takes nothing but a timeout. */
export function checkTimeoutOption(options: CloseOptions): void {
  checkObject('options', options)
  if (options.timeout !== undefined) checkTimeout('timeout', options.timeout)
  for (const name in options) {
    if (name !== 'timeout') warnOfUnknown(name, ['timeout'])
  }
}
