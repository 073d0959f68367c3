import { randomInt, randomUUID } from 'node:crypto'
import * as os from 'node:os'
import * as path from 'node:path'
import { PairSocket, type PairSocketOptions } from '../../lib'

/** Every test that depends on the transport runs over each of these. */
export const transports = ['tcp', 'ipc'] as const
export type Transport = (typeof transports)[number]

/** A path for an ipc socket, on Windows a name for a pipe: not used yet. */
export function ipcPath(): string {
  const name = `nng-pair-${randomUUID()}.ipc`
  return process.platform === 'win32' ? name : path.join(os.tmpdir(), name)
}

/** A URL to listen at: a free port, or a new path. */
export function freeUrl(transport: Transport): string {
  return transport === 'tcp' ? 'tcp://127.0.0.1:0' : `ipc://${ipcPath()}`
}

/** A host of this machine; a random one, where there is more than one. */
export function ownHost(): string {
  // Elsewhere, 127.0.0.1 is the only loopback address.
  if (process.platform !== 'linux') return '127.0.0.1'
  const byte = () => randomInt(1, 255)
  return `127.${byte()}.${byte()}.${byte()}`
}

/**
 * A URL that nobody else uses, also when its listener has gone: one that dials
 * again would find the next listener that gets the same port.
 */
export function ownUrl(transport: Transport): string {
  return transport === 'tcp' ? `tcp://${ownHost()}:0` : freeUrl(transport)
}

const open = new Set<PairSocket>()

/** A socket that is closed after the test, whatever happens in it. */
export function socket(options?: PairSocketOptions): PairSocket {
  const sock = new PairSocket(options)
  open.add(sock)
  return sock
}

afterEach(async () => {
  const sockets = [...open]
  open.clear()
  await Promise.all(sockets.map((sock) => sock.close({ timeout: 0 })))
})

export interface Pair {
  listening: PairSocket
  dialing: PairSocket
  url: string
}

/** Two connected sockets of this process; both have seen the connection. */
export async function connectedPair(
  transport: Transport,
  options: {
    listening?: PairSocketOptions
    dialing?: PairSocketOptions
  } = {}
): Promise<Pair> {
  const listening = socket(options.listening)
  const dialing = socket(options.dialing)
  const connected = new Promise((resolve) => listening.once('connect', resolve))
  const { url } = await listening.listen(freeUrl(transport))
  await dialing.dial(url)
  await connected
  return { listening, dialing, url }
}
