// Ten thousand idle sockets in one process, connected with ten thousand in another.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { home } from './peers.mjs'

const program = join(home, 'node', 'idle.mjs')
// For everything but the sockets.
const OTHER_DESCRIPTORS = 200
const LIMIT_MS = 300_000

// An address for each run: on the same one, the ports of the runs before are taken for another minute.
let runs = 0

/** Resolves with the cost of a socket, averaged over both processes. */
export async function runIdle({ peer, style }, job) {
  const host = `127.0.0.${2 + (runs++ % 250)}`
  const dir = mkdtempSync(join(tmpdir(), 'nng-pair-bench-'))
  const half = Math.floor(sockets(peer, job) / 2)
  const urls = (name) =>
    Array.from({ length: half }, (_, i) =>
      job.transport === 'tcp' ? `tcp://${host}:0` : `ipc://${dir}/${name}${i}`
    )
  const ends = [new Holder(peer, style), new Holder(peer, style)]
  const limit = setTimeout(() => {
    for (const end of ends) end.kill()
  }, LIMIT_MS)
  try {
    const [a, b] = ends
    await Promise.all([a.answer(), b.answer()])
    const start = performance.now()
    const [listeningA, listeningB] = await Promise.all([
      a.ask({ action: 'listen', urls: urls('a') }),
      b.ask({ action: 'listen', urls: urls('b') })
    ])
    await connect(a, b, listeningB.urls)
    await connect(b, a, listeningA.urls)
    const seconds = (performance.now() - start) / 1000
    const weights = [
      await a.ask({ action: 'weigh' }),
      await b.ask({ action: 'weigh' })
    ]
    return { ...average(weights), seconds }
  } finally {
    clearTimeout(limit)
    for (const end of ends) end.kill()
    rmSync(dir, { recursive: true, force: true })
  }
}

function connect(dialer, listener, urls) {
  return Promise.all([
    listener.ask({ action: 'answer' }),
    dialer.ask({ action: 'dial', urls })
  ])
}

/** As many as wanted, or as the limit of open files allows. */
function sockets({ descriptors }, { count }) {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  const hard = /^Max open files\s+\d+\s+(\d+|unlimited)/m.exec(limits)[1]
  if (hard === 'unlimited') return count
  return Math.min(
    count,
    Math.floor((Number(hard) - OTHER_DESCRIPTORS) / descriptors)
  )
}

function average(weights) {
  return Object.fromEntries(
    Object.keys(weights[0]).map((key) => [
      key,
      weights.reduce((sum, weight) => sum + weight[key], 0) / weights.length
    ])
  )
}

class Holder {
  #child

  constructor(peer, style) {
    this.#child = spawn(
      'sh',
      [
        '-c',
        'ulimit -n $(ulimit -Hn) && exec "$@"',
        'sh',
        ...[process.execPath, '--expose-gc', program, peer.module, style]
      ],
      {
        env: { ...process.env, ...peer.env },
        stdio: ['ignore', 'inherit', 'inherit', 'ipc']
      }
    )
  }

  async ask(message) {
    const answer = this.answer()
    this.#child.send(message)
    return answer
  }

  async answer() {
    const over = new AbortController()
    const { signal } = over
    try {
      const [message] = await Promise.race([
        once(this.#child, 'message', { signal }),
        once(this.#child, 'exit', { signal }).then(([code, by]) => {
          throw new Error(`ended with ${by ?? `code ${code}`}`)
        })
      ])
      if (message.error !== undefined) throw new Error(message.error)
      return message
    } finally {
      over.abort()
    }
  }

  kill() {
    this.#child.kill('SIGKILL')
  }
}
