// One of two processes that hold many connected sockets between them and then do nothing: half of its
// sockets listen, half of them dial the other's. Driven by its parent.
//
//   node idle.mjs <peer> <style>

import { readFileSync, readdirSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'

const [peer, style] = process.argv.slice(2)
const { listen, dial } = await import(`./${peer}.mjs`)
const AT_ONCE = 64
const HELLO = Buffer.from('hello')
const idle = []
let accepted = []
let before

const actions = {
  async listen({ urls }) {
    before = await resident()
    const listeners = await inBatches(urls, (url) => listen(url, style))
    accepted = listeners.map(({ connected }) => connected)
    return { urls: listeners.map(({ url }) => url) }
  },

  // Every socket has sent and received before it falls idle, which also proves that it is connected.
  async dial({ urls }) {
    await inBatches(urls, async (url) => {
      const conn = await dial(url, style)
      await conn.send(HELLO)
      await conn.recv()
      rest(conn)
    })
  },

  async answer() {
    await inBatches(accepted, async (connected) => {
      const conn = await connected
      await conn.recv()
      await conn.send(HELLO)
      rest(conn)
    })
  },

  async weigh() {
    const bytes = (await resident()) - before
    return {
      sockets: idle.length,
      kib: bytes / idle.length / 1024,
      threads: threads(),
      descriptors: readdirSync('/proc/self/fd').length
    }
  }
}

/** Somebody waits for its next message, as with a socket that is in use. */
function rest(conn) {
  idle.push({ conn, next: conn.recv() })
}

async function inBatches(list, work) {
  const results = []
  for (let i = 0; i < list.length; i += AT_ONCE)
    results.push(...(await Promise.all(list.slice(i, i + AT_ONCE).map(work))))
  return results
}

/** Bytes of physical memory, with no garbage in them. */
async function resident() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await turn()
  }
  return process.memoryUsage.rss()
}

function threads() {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(/^Threads:\s*(\d+)/m.exec(status)[1])
}

process.on('message', async ({ action, ...args }) => {
  try {
    process.send({ ...(await actions[action](args)) })
  } catch (error) {
    process.send({ error: error.message })
  }
})
process.send({})
