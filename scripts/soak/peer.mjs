// A peer of the process that is watched: a process or a worker of its own.
//
//   node scripts/soak/peer.mjs MODE URL SENDER
//
// MODE says how it ends: `stays` until it has the watched one's last message,
// `leaves` in good order after some messages of its own, or `floods` until it
// is killed. The first two end with exit code 0 if nothing was missing.

import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { Account, receive, send } from './exchange.mjs'

const { PairSocket } = createRequire(import.meta.url)('../../dist')

parentPort?.postMessage('loaded')

const [mode, url, name] = workerData ?? process.argv.slice(2)
const sender = Number(name)

// What was meant for the peer before it, and lost with it, is none of its own.
const account = new Account({ fromFirst: mode === 'stays' })
const sock = new PairSocket({ reconnectMin: 10, reconnectMax: 100 })
await sock.dial(url, { retry: true })
// Where another one is still the peer, what is sent is lost: not before this
// one is served.
let finished = account.enter(await sock.recv())
const some = 50 + Math.random() * 2000
const enough = {
  stays: () => finished,
  leaves: (count) => count > some,
  floods: () => false
}
const receiving = receive(sock, (data) => (finished = account.enter(data)))
await send(sock, sender, enough[mode])
if (mode === 'stays') await receiving
const { unsent } = await sock.close()
await receiving
if (unsent > 0) throw new Error(`${unsent} messages were not sent`)
