// Two equal nodes send each other three messages. In two terminals:
//
//   node examples/two-nodes/node.mjs 0
//   node examples/two-nodes/node.mjs 1
//
// @ts-check

import { setTimeout as pause } from 'node:timers/promises'
import { PairSocket } from 'nng-pair'

const [, , node = '0', url = 'ipc://two-nodes.ipc'] = process.argv

const sock = new PairSocket({ recvTimeout: 10_000 })
try {
  // Whoever comes first listens; the other one dials.
  await sock.listenOrDial(url)
  for (let i = 0; i < 3; i++) {
    await sock.send(`message ${i} from node ${node}`)
    console.log(`node ${node} received`, String(await sock.recv()))
    await pause(100)
  }
} finally {
  // Waits until the other one has everything.
  await sock.close()
}
