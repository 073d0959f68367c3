// A worker thread counts words for its parent. Each thread has a socket of its
// own, so either could move to another process, or another machine, and only
// the URL would change.
//
//   node examples/worker/main.mjs
//
// @ts-check

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { PairSocket } from 'nng-pair'

const url = `ipc://worker-${process.pid}.ipc`

const sock = new PairSocket({ recvTimeout: 10_000 })
await sock.listen(url)
const worker = new Worker(new URL('worker.mjs', import.meta.url), {
  workerData: url
})
// A worker that fails is an 'error'; without a listener it ends this process.
const ended = once(worker, 'exit')

for (const text of ['to be or not to be', 'that is the question']) {
  await sock.send(text)
  console.log(String(await sock.recv()), 'words')
}
// The worker's loop ends when it sees the end of the connection.
await sock.close()
await ended
