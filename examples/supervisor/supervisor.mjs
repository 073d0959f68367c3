// Gives work to a child process that crashes now and then, starts it again, and
// gives the work that was not done to the next one. The socket stays all the
// time: a new child is only a new peer.
//
//   node examples/supervisor/supervisor.mjs
//
// @ts-check

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { PairSocket } from 'nng-pair'

const url = `ipc://supervisor-${process.pid}.ipc`
const program = fileURLToPath(new URL('child.mjs', import.meta.url))
const tasks = Array.from({ length: 10 }, (_, i) => i)

const sock = new PairSocket()
await sock.listen(url)

let starts = 0
let over = false
let child = start()

function start() {
  starts++
  const started = spawn(process.execPath, [program, url, String(starts)], {
    stdio: ['ignore', 'inherit', 'inherit']
  })
  started.once('exit', () => {
    if (!over) child = start()
  })
  return started
}

/**
 * Resolves with the result of a task. What was accepted may be lost with its
 * peer, so what has no result is sent again: to have it done twice does no harm.
 *
 * @param {number} task
 */
async function done(task) {
  for (;;) {
    // Of a child that goes before it has answered.
    const gone = new AbortController()
    const onDisconnect = () => gone.abort()
    sock.once('disconnect', onDisconnect)
    try {
      await sock.send(JSON.stringify({ task }), { signal: gone.signal })
      for (;;) {
        const message = await sock.recv({ signal: gone.signal })
        const result = JSON.parse(String(message))
        // Of a task that was sent again, and done twice.
        if (result.task !== task) continue
        return result.square
      }
    } catch (error) {
      if (!gone.signal.aborted) throw error
    } finally {
      sock.off('disconnect', onDisconnect)
    }
  }
}

for (const task of tasks) console.log(`${task} squared is`, await done(task))
over = true
child.kill()
await sock.close({ timeout: 1000 })
console.log(starts > 1 ? 'the child was restarted' : 'the child never crashed')
