import { setTimeout as sleep } from 'node:timers/promises'
import type { PairSocket } from '../../lib'
import { connectedPair, type Transport } from './transports'

/**
 * Resolves when what the kernel had announced before the call has been read,
 * as far as anybody wants it: NNG's poller takes the descriptors of all
 * sockets in turn.
 */
export async function settle(transport: Transport): Promise<void> {
  const { listening, dialing } = await connectedPair(transport)
  for (let i = 0; i < 3; i++) {
    await listening.send('there')
    await dialing.recv()
    await dialing.send('and back')
    await listening.recv()
  }
  await Promise.all([listening, dialing].map((s) => s.close({ timeout: 0 })))
}

/**
 * How long the kernels of two ends may still make room for each other when
 * neither end reads or writes, in ms. Over tcp the receiving one confirms up
 * to 40 ms late on Linux and 200 ms late elsewhere, and the sending one, whose
 * buffer has room again, takes more then. With ipc there is one buffer only.
 */
const LATE = { ipc: 0, tcp: 210 }
/** How often it is tried again in that time. */
const TRIES = 3

/**
 * Sends the messages that `make` makes until the peer, its kernel and the
 * send buffer take no more; returns how many that were.
 */
export async function fill(
  sock: PairSocket,
  transport: Transport,
  make: (index: number) => string | Uint8Array
): Promise<number> {
  for (let count = 0, idle = 0; ;) {
    if (sock.trySend(make(count))) {
      count++
      idle = 0
    } else if (idle++ < TRIES) {
      await settle(transport)
      await sleep(LATE[transport] / TRIES)
    } else {
      return count
    }
  }
}
