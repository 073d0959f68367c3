import * as net from 'node:net'

// What is written in a URL's place, and what was probably meant. The first that
// makes a URL of it is said.
const rewritings: readonly [wrong: RegExp, right: string][] = [
  // tcp4://host:port
  [/^tcp[46]:\/\//i, 'tcp://'],
  // tcp:host:port
  [/^tcp:\/?(?!\/)/i, 'tcp://'],
  // ipc:path, ipc:/path, unix:/path and unix:///path, as others have it
  [/^ipc:(?!\/\/)/i, 'ipc://'],
  [/^unix:(?:\/\/)?/i, 'ipc://'],
  // \\.\pipe\name
  [/^\\\\[.?]\\pipe\\/i, 'ipc://'],
  // host:port, [::1]:port, *:port, :port
  [/^(?=(?:[\w.-]*|\*|\[[\da-f:.]+\]):\d+$)/i, 'tcp://'],
  // port
  [/^(?=\d+$)/, 'tcp://127.0.0.1:'],
  // tcp://host:port/path
  [/^(tcp:\/\/[^/]*:\d+)\/.+$/i, '$1'],
  // //host:port
  [/^\/\/(?=[^/]*:\d+$)/, 'tcp://'],
  // path, absolute or relative
  [/^(?=\.{0,2}\/)/, 'ipc://']
]

const TCP = 'tcp://'

/** An IPv6 address and a port without the brackets: tcp://::1:5555 */
function bracketed(url: string): string | undefined {
  if (!url.toLowerCase().startsWith(TCP)) return undefined
  const [, host, port] = /^(.*):(\d+)$/.exec(url.slice(TCP.length)) ?? []
  return host !== undefined && net.isIPv6(host)
    ? `${TCP}[${host}]:${port}`
    : undefined
}

/**
 * The URL that was probably meant by one that is none: `localhost:1234`,
 * `ipc:/tmp/x`, `unix:/tmp/x`, `tcp4://host:1`. Undefined if there is no good
 * guess; `isValid` tells whether a guess is one.
 */
export function probablyMeant(
  url: string,
  isValid: (url: string) => boolean
): string | undefined {
  const trimmed = url.trim()
  const guesses = [
    trimmed,
    bracketed(trimmed),
    ...rewritings
      .filter(([wrong]) => wrong.test(trimmed))
      .map(([wrong, right]) => trimmed.replace(wrong, right))
  ]
  return guesses.find(
    (guess) => guess !== undefined && guess !== url && isValid(guess)
  )
}

/** A host of tcp without a port: `tcp://host`. */
export function lacksPort(url: string): boolean {
  const host = /^tcp:\/\/(.*?):?\/?$/i.exec(url)?.[1]
  if (host === undefined) return false
  return /^[\w.-]+$|^\[[\da-f:.]+\]$/i.test(host) || net.isIPv6(host)
}
