import { getSystemErrorName, inspect } from 'node:util'
import { native } from './native'

/** NNG's error numbers (nng.h) by the names that Node's users know. */
export const NNG = {
  EINTR: 1,
  ENOMEM: 2,
  EINVAL: 3,
  EBUSY: 4,
  ETIMEDOUT: 5,
  ECONNREFUSED: 6,
  ECLOSED: 7,
  EAGAIN: 8,
  ENOTSUP: 9,
  EADDRINUSE: 10,
  ESTATE: 11,
  ENOENT: 12,
  EPROTO: 13,
  EHOSTUNREACH: 14,
  EADDRINVAL: 15,
  EPERM: 16,
  EMSGSIZE: 17,
  ECONNABORTED: 18,
  ECONNRESET: 19,
  ECANCELED: 20,
  EMFILE: 21,
  ENOSPC: 22,
  EEXIST: 23,
  ECONNSHUT: 31,
  EINTERNAL: 1000
} as const

/** The `code` of an {@link NngError}, or the name of a system error. */
export type NngErrorCode = keyof typeof NNG

const names = new Map<number, string>(
  Object.entries(NNG).map(([name, number]) => [number, name])
)

// NNG passes on a system error that it has no number for with this added.
const SYSTEM_ERROR = 0x10000000

function nameOf(errno: number): string {
  const name = names.get(errno)
  if (name !== undefined) return name
  if (errno > SYSTEM_ERROR && errno < 2 * SYSTEM_ERROR) {
    return getSystemErrorName(SYSTEM_ERROR - errno)
  }
  return 'EINTERNAL'
}

// What a person can act on, where NNG's own words do not say it.
const explanations: Readonly<Record<string, Readonly<Record<number, string>>>> =
  {
    listen: {
      [NNG.EADDRINUSE]: 'the address is taken',
      [NNG.EADDRINVAL]: 'the address is not one of this machine',
      [NNG.EPERM]: 'not permitted',
      [NNG.ENOENT]: 'the folder does not exist',
      [NNG.EBUSY]: 'another process keeps the folder locked'
    },
    dial: {
      [NNG.ECONNREFUSED]: 'nobody listens at the address',
      [NNG.ECONNRESET]: 'the peer hung up in the handshake',
      [NNG.EPROTO]: 'the peer does not speak PAIR v0',
      [NNG.EADDRINVAL]: 'the host is not known, or not to be reached from here',
      [NNG.EAGAIN]: 'the host cannot be resolved now',
      [NNG.ETIMEDOUT]: 'no answer in time'
    },
    recv: { [NNG.ETIMEDOUT]: 'no message came in time' },
    send: {
      [NNG.ETIMEDOUT]: 'no room in the send buffer in time',
      [NNG.EMSGSIZE]: 'the message is larger than maxMessageSize'
    },
    drain: { [NNG.ETIMEDOUT]: 'not everything was sent in time' }
  }

function explain(errno: number, syscall: string): string {
  if (errno === NNG.ECLOSED) return 'the socket is closed'
  return explanations[syscall]?.[errno] ?? native.errorText(errno).toLowerCase()
}

/**
 * An error of a socket, shaped like Node's system errors.
 *
 * The codes: `ETIMEDOUT`, `ECLOSED` (the socket was closed), `EADDRINUSE`,
 * `ECONNREFUSED`, `ECONNRESET` (the peer hung up in the handshake), `EPROTO`
 * (the peer speaks something else), `EADDRINVAL` (the URL, or an address that
 * does not exist), `ENOTSUP` (another URL scheme), `EMSGSIZE`, `EPERM`, and
 * others of NNG or of the system.
 */
export class NngError extends Error {
  override readonly name = 'NngError'
  /** The error's stable name, such as `ETIMEDOUT`. */
  readonly code: NngErrorCode | (string & {})
  /** NNG's number of the error. */
  readonly errno: number
  /** What failed: `listen`, `dial`, `send`, `recv`, `drain`, `socket`, … */
  readonly syscall: string
  /** The URL, where there is one. */
  readonly address?: string

  constructor(
    errno: number,
    syscall: string,
    options: {
      address?: string | undefined
      detail?: string | undefined
      cause?: unknown
    } = {}
  ) {
    const { address, detail } = options
    const code = nameOf(errno)
    const why = detail ?? explain(errno, syscall)
    super(
      `${syscall} ${code}: ${why}` +
        (address === undefined ? '' : ` '${address}'`),
      'cause' in options ? { cause: options.cause } : undefined
    )
    this.code = code
    this.errno = errno
    this.syscall = syscall
    if (address !== undefined) this.address = address
  }
}

/** Somewhere to take an error's stack from later: that of the caller of `entry`. */
export interface CallSite {
  stack?: string
}

type Entry =
  ((...args: never[]) => unknown) | (abstract new (...args: never[]) => unknown)

export function callSite(entry: Entry): CallSite {
  const site: CallSite = {}
  Error.captureStackTrace(site, entry)
  return site
}

/** Gives an error made now the stack of the call that it answers. */
export function at<E extends Error>(error: E, site: CallSite): E {
  const frames = site.stack?.indexOf('\n    at ') ?? -1
  error.stack =
    `${error.name}: ${error.message}` +
    (frames < 0 ? '' : site.stack!.slice(frames))
  return error
}

/** Runs a check of the arguments of `entry`; its error gets the stack of the call. */
export function checked<T>(entry: Entry, check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw at(error as Error, callSite(entry))
  }
}

/** An argument, whatever it is, for the message of an error. */
export function show(value: unknown): string {
  return inspect(value, { depth: -1, breakLength: Infinity })
}

/** A `TypeError` or `RangeError` with one of Node's own codes. */
export function argumentError(
  code:
    | 'ERR_INVALID_ARG_TYPE'
    | 'ERR_INVALID_ARG_VALUE'
    | 'ERR_INVALID_STATE'
    | 'ERR_OUT_OF_RANGE',
  message: string
): Error {
  const error =
    code === 'ERR_OUT_OF_RANGE'
      ? new RangeError(message)
      : new TypeError(message)
  return Object.assign(error, { code })
}
