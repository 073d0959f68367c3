// Streams beside each other, and round trips beside a stream: in workers of one process, or in a
// process each.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { join } from 'node:path'
import { home } from './peers.mjs'

const program = join(home, 'node', 'threads.mjs')
const LIMIT_MS = 180_000

/** Resolves with the rate of all streams, and with the times of the round trips if there are any. */
export async function runThreads({ peer }, job) {
  const child = spawn(
    process.execPath,
    [program, JSON.stringify({ ...job, beside: peer.id })],
    {
      env: { ...process.env, ...peer.env },
      stdio: ['ignore', 'pipe', 'pipe']
    }
  )
  const limit = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS)
  const [said, complaint, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close')
  ])
  clearTimeout(limit)
  if (code !== 0)
    throw new Error(`ended with ${signal ?? `code ${code}`}\n${complaint}`)
  return JSON.parse(said)
}
