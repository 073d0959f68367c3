export { PairSocket } from './socket'
export type {
  CloseOptions,
  CloseResult,
  DialOptions,
  DisconnectReason,
  PairSocketEvents,
  PairSocketStats
} from './socket'
export { Dialer, Listener } from './endpoint'
export { NngError } from './errors'
export type { NngErrorCode } from './errors'
export type { PairSocketOptions, WaitOptions } from './options'
export type { IpcPeer, Peer, TcpPeer } from './peer'
export type { MessageData } from './bytes'
export type { PairDuplex } from './duplex'
