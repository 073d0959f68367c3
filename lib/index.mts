// The same classes for import as for require.
export { Dialer, Listener, NngError, PairSocket } from './index.js'
export type * from './index.js'
