import { channel, type Channel } from 'node:diagnostics_channel'
import { debuglog } from 'node:util'
import type { NativeSocket } from './native'

/**
 * What tells of all sockets, for those who subscribe by `node:diagnostics_channel`.
 * Whoever is in a hurry looks at `hasSubscribers` first: without them that is
 * all that it costs.
 */
export const channels = {
  connect: channel('nng-pair:connect'),
  disconnect: channel('nng-pair:disconnect'),
  reject: channel('nng-pair:reject'),
  send: channel('nng-pair:send'),
  receive: channel('nng-pair:receive')
}

/** Tells of a message: its bytes, and how many there are. */
export function tellMessage(
  of: Channel,
  socket: object,
  data: string | Uint8Array
): void {
  const size = typeof data === 'string' ? Buffer.byteLength(data) : data.length
  of.publish({ socket, size, data })
}

const debug = debuglog('nng-pair')

/** Writes a line to standard error with `NODE_DEBUG=nng-pair`. */
export function trace(
  socket: NativeSocket,
  text: string,
  ...args: unknown[]
): void {
  debug(`socket %d ${text}`, socket.id, ...args)
}
