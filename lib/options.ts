import { argumentError, show } from './errors'
import { warnOfUnknown } from './optionNames'

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
  /** tcp: probe an idle connection (SO_KEEPALIVE). Default: false. */
  keepAlive?: boolean | undefined
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

/** Milliseconds: 0 to 2³¹-1, or `Infinity`. */
export function checkTimeout(
  name: string,
  value: unknown
): asserts value is number {
  checkNumber(name, value)
  if (value === Infinity) return
  if (!(value >= 0 && value <= MAX_MILLISECONDS)) {
    throw argumentError(
      'ERR_OUT_OF_RANGE',
      `${name} must be from 0 to ${MAX_MILLISECONDS} ms or Infinity, not ${value}`
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
  checkBoolean('keepAlive', o.keepAlive)
  checkInteger('ipcMode', o.ipcMode, 0, 0o777, '0o777')
  return o
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
