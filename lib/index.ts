// First: it tells a bundle that cannot work before anything else fails in it.
import './bundled'
export { PairSocket } from './socket'
export type { PairSocketStats } from './socket'
export type { DisconnectReason, PairSocketEvents } from './events'
export type { CloseResult } from './closing'
export { Dialer, Listener } from './handles'
export { NngError } from './errors'
export type { NngErrorCode } from './errors'
export type {
  CloseOptions,
  DialOptions,
  KeepAliveOptions,
  PairSocketOptions,
  WaitOptions
} from './options'
export type { IpcPeer, Peer, TcpPeer } from './peer'
export type { MessageData } from './bytes'
export type { PairDuplex } from './duplex'
