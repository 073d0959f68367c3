// Asks several questions at once. A PAIR socket carries messages and knows
// nothing of questions: each has a number, by which its answer is found.
//
//   node examples/request-reply/server.mjs
//   node examples/request-reply/client.mjs
//
// @ts-check

import { PairSocket } from 'nng-pair'

const [, , url = 'ipc://request-reply.ipc'] = process.argv

/**
 * @typedef {object} Open
 * @property {(answer: string) => void} resolve
 * @property {(error: Error) => void} reject
 */

/** @type {Map<number, Open>} */
const open = new Map()
let last = 0

const sock = new PairSocket()
sock.on('message', (message) => {
  const { id, answer } = JSON.parse(String(message))
  // Nobody waits for what comes too late, or answers somebody before us.
  open.get(id)?.resolve(answer)
})
sock.on('disconnect', () => {
  // Whoever comes next knows nothing of them.
  for (const { reject } of open.values()) reject(new Error('the peer has gone'))
})

/**
 * Resolves with the answer; rejects when none comes in time, and when the peer
 * goes.
 *
 * @param {string} question
 * @param {number} timeout in milliseconds
 * @returns {Promise<string>}
 */
async function ask(question, timeout = 5000) {
  const id = ++last
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  try {
    return await new Promise((resolve, reject) => {
      open.set(id, { resolve, reject })
      timer = setTimeout(() => {
        reject(new Error(`no answer within ${timeout} ms`))
      }, timeout)
      sock.send(JSON.stringify({ id, question }), { timeout }).catch(reject)
    })
  } finally {
    clearTimeout(timer)
    open.delete(id)
  }
}

await sock.dial(url)
const words = ['one', 'two', 'three']
console.log(await Promise.all(words.map((word) => ask(word))))
await ask('nothing', 200).catch((error) => console.log(error.message))
await sock.close()
