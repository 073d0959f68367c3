// Run by main.mjs.
//
// @ts-check

import { workerData } from 'node:worker_threads'
import { PairSocket } from 'nng-pair'

const sock = new PairSocket()
// By itself it would dial again for ever.
sock.on('disconnect', () => void sock.close())
await sock.dial(workerData)

// Ends when the socket is closed.
for await (const text of sock) {
  await sock.send(String(String(text).split(/\s+/).length))
}
