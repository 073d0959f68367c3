// Answers questions, each when its answer is ready: not in their order.
//
//   node examples/request-reply/server.mjs
//
// @ts-check

import { setTimeout as pause } from 'node:timers/promises'
import { PairSocket } from 'nng-pair'

const [, , url = 'ipc://request-reply.ipc'] = process.argv

const sock = new PairSocket()
await sock.listen(url)
console.log('listening')

/** @param {{ id: number, question: string }} request */
async function answer({ id, question }) {
  if (question === 'nothing') return
  // The first questions take longest.
  await pause(100 / id)
  await sock.send(JSON.stringify({ id, answer: question.toUpperCase() }))
}

sock.on('message', (message) => {
  answer(JSON.parse(String(message))).catch(console.error)
})
