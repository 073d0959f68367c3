import type { NativePeer } from './native'
import { tcpUrl } from './url'

/** The peer of a tcp connection. */
export interface TcpPeer {
  readonly transport: 'tcp'
  /** `tcp://address:port` of the peer. */
  readonly url: string
  /** Numeric, without brackets; of a link with its zone: `fe80::1%eth0`. */
  readonly address: string
  readonly port: number
  /** Of a peer over ipc alone. */
  readonly path?: undefined
  readonly pid?: undefined
  readonly uid?: undefined
  readonly gid?: undefined
}

/**
 * The peer of an ipc connection. The system vouches for the numbers: they are
 * those of the process that connected, or listened, at that time.
 */
export interface IpcPeer {
  readonly transport: 'ipc'
  /** `ipc://path` */
  readonly url: string
  /** As it was given to this side's endpoint. */
  readonly path: string
  /** `undefined` where the system does not tell; as `uid` and `gid`. */
  readonly pid: number | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  /** Of a peer over tcp alone. */
  readonly address?: undefined
  readonly port?: undefined
}

/** The other end of a connection. `transport` tells which of them it is. */
export type Peer = TcpPeer | IpcPeer

export function toPeer(peer: NativePeer): Peer {
  if (!peer.ipc) {
    const { address, port } = peer
    return { transport: 'tcp', url: tcpUrl(address, port), address, port }
  }
  const known = (id: number) => (id < 0 ? undefined : id)
  return {
    transport: 'ipc',
    url: `ipc://${peer.address}`,
    path: peer.address,
    pid: known(peer.pid),
    uid: known(peer.uid),
    gid: known(peer.gid)
  }
}
