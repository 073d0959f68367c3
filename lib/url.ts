import * as net from 'node:net'
import { NNG, NngError, argumentError, show } from './errors'
import { lacksPort, probablyMeant } from './urlHints'

/** A URL that was checked: what NNG is given, in parts. */
export type Address =
  | { transport: 'tcp'; host: string; port: number; url: string }
  | { transport: 'ipc'; path: string; url: string }

const onWindows = process.platform === 'win32'

// The path of a socket, with its NUL (sun_path): Linux has 108, others 104. A
// pipe of Windows may be longer, but not in NNG (NNG_MAXADDRLEN).
const MAX_PATH = onWindows ? 127 : process.platform === 'linux' ? 107 : 103

// How the names of pipes begin on Windows, as node:net wants them.
const PIPES = /^[\\/]{2}[.?][\\/]pipe[\\/]/i

const TCP = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([\w.*-]*)):(\d+)\/?$/i

type Syscall = 'listen' | 'dial'

function invalid(syscall: Syscall, url: string, detail: string): NngError {
  return new NngError(NNG.EADDRINVAL, syscall, { address: url, detail })
}

/** The same of what is not even like a URL, with what it should have been. */
function noUrl(syscall: Syscall, url: string, like: string): NngError {
  const hint = hintAt(url, syscall)
  return invalid(syscall, url, `not a URL like ${like}${hint}`)
}

function hintAt(url: string, syscall: Syscall): string {
  if (lacksPort(url)) return '; the port is missing'
  const meant = probablyMeant(url, (guess) => isUrl(guess, syscall))
  return meant === undefined ? '' : `; did you mean '${meant}'?`
}

function isUrl(url: string, syscall: Syscall): boolean {
  try {
    parseUrl(url, syscall)
    return true
  } catch {
    return false
  }
}

/**
 * Checks a URL before NNG sees it: `tcp://host:port`, with an IPv6 address in
 * brackets, or `ipc://path`. An empty host or `*` is all addresses to
 * `listen`, which takes port 0 (any), too, and this machine to `dial`.
 */
export function parseUrl(url: string, syscall: Syscall): Address {
  if (typeof url !== 'string') {
    throw argumentError(
      'ERR_INVALID_ARG_TYPE',
      `url must be a string, not ${show(url)}`
    )
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)
  if (scheme === null) {
    throw noUrl(syscall, url, 'tcp://host:port or ipc://path')
  }
  const rest = url.slice(scheme[0].length)
  switch (scheme[1]!.toLowerCase()) {
    case 'tcp':
      return parseTcp(url, rest, syscall)
    case 'ipc':
      return parseIpc(url, rest, syscall)
    default:
      throw new NngError(NNG.ENOTSUP, syscall, {
        address: url,
        detail: `the scheme '${scheme[1]}' is not tcp or ipc${hintAt(url, syscall)}`
      })
  }
}

function parseTcp(url: string, rest: string, syscall: Syscall): Address {
  const match = TCP.exec(rest)
  if (match === null) {
    throw noUrl(syscall, url, 'tcp://host:port')
  }
  const host = match[1] ?? match[2]!.toLowerCase()
  const port = Number(match[3])
  if (match[1] !== undefined && !net.isIPv6(host)) {
    throw invalid(syscall, url, `'${host}' is not an IPv6 address`)
  }
  if (port > 65535) {
    throw invalid(syscall, url, `there is no port ${match[3]}`)
  }
  if (syscall === 'dial') {
    if (port === 0) throw invalid(syscall, url, 'port 0 cannot be dialed')
  }
  if (host.includes('*') && host !== '*') {
    throw invalid(syscall, url, `'${host}' is not a host`)
  }
  return { transport: 'tcp', host, port, url }
}

function parseIpc(url: string, rest: string, syscall: Syscall): Address {
  const path = onWindows ? rest.replace(PIPES, '') : rest
  if (path === '') throw invalid(syscall, url, 'the path is missing')
  if (path.includes('\0')) throw invalid(syscall, url, 'the path has a NUL')
  if (Buffer.byteLength(path) > MAX_PATH) {
    throw invalid(
      syscall,
      url,
      `the path is longer than ${MAX_PATH} bytes, the system's limit`
    )
  }
  return { transport: 'ipc', path, url }
}

/** Writes an address as a URL, with an IPv6 host in brackets. */
export function tcpUrl(host: string, port: number): string {
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * The host that has to be looked up before NNG can listen on the address: it
 * would block on a name. `localhost` is 127.0.0.1, so that everybody on the
 * machine means the same by it; an empty host or `*` is every IPv4 address.
 */
export function nameToLookUp(address: Address): string | undefined {
  if (address.transport === 'ipc') return undefined
  const { host } = address
  return listenHosts.has(host) || net.isIP(host) !== 0 ? undefined : host
}

const listenHosts: ReadonlyMap<string, string> = new Map([
  ['', '0.0.0.0'],
  ['*', '0.0.0.0'],
  ['localhost', '127.0.0.1']
])

/** What NNG is to listen on, given what the lookup has found. */
export function listenUrl(address: Address, found?: string): string {
  if (address.transport === 'ipc') return `ipc://${address.path}`
  const { host, port } = address
  return tcpUrl(found ?? listenHosts.get(host) ?? host, port)
}

// What `dns.lookup` says of the same, for those who know its errors.
const resolverErrors: Readonly<
  Record<number, { code: string; errno: number; detail: string }>
> = {
  [NNG.EADDRINVAL]: {
    code: 'ENOTFOUND',
    errno: -3008,
    detail: 'is not known'
  },
  [NNG.EAGAIN]: {
    code: 'EAI_AGAIN',
    errno: -3001,
    detail: 'cannot be resolved now'
  }
}

/** The error of `listen` when the lookup has failed. */
export function lookupError(errno: number, host: string, url: string): Error {
  const known = resolverErrors[errno]
  if (known === undefined) {
    return new NngError(errno, 'listen', { address: url })
  }
  const { detail, ...rest } = known
  const cause = Object.assign(
    new Error(`getaddrinfo ${rest.code} ${host}`),
    rest,
    { syscall: 'getaddrinfo', hostname: host }
  )
  return new NngError(errno, 'listen', {
    address: url,
    detail: `the host '${host}' ${detail}`,
    cause
  })
}

/** What NNG is to dial. It resolves names itself, anew for each attempt. */
export function dialUrl(address: Address): string {
  return address.transport === 'ipc'
    ? `ipc://${address.path}`
    : tcpUrl(hostToDial(address.host), address.port)
}

/**
 * Who listens at all addresses is reached at the loopback address: a
 * listener's URL can be dialed. Not every system lets the others be dialed.
 */
function hostToDial(host: string): string {
  if (host === '' || host === '*' || host === '0.0.0.0') return '127.0.0.1'
  if (!net.isIPv6(host) || host.includes('%')) return host
  switch (new URL(`http://[${host}]`).hostname) {
    case '[::]':
      return '::1'
    case '[::ffff:0:0]':
      return '127.0.0.1'
    default:
      return host
  }
}
