// Runs one job of one contestant: its two ends in a process each, or where its listener puts them.

import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

// A job takes seconds; this is for one that hangs.
const LIMIT_MS = 180_000

/** Resolves with what each end has measured. */
export async function runJob(
  contestant,
  job,
  { nodeOptions = () => [], wrap = '' } = {}
) {
  const path = join(tmpdir(), `nng-pair-bench-${randomUUID()}.ipc`)
  const url = job.transport === 'tcp' ? 'tcp://127.0.0.1:0' : `ipc://${path}`
  const ends = []
  const command = (role, to) => [
    ...wrap.replaceAll('{role}', role).split(' ').filter(Boolean),
    ...contestant.peer.command(nodeOptions(role)),
    ...[role, to, job.pattern, contestant.style],
    ...[job.size, job.count, job.warmup].map(String)
  ]
  const start = (role, argv) => {
    const end = new End(contestant, role, argv)
    ends.push(end)
    return end
  }
  const limit = setTimeout(() => {
    for (const end of ends) end.fail(`no end after ${LIMIT_MS / 1000} s`)
  }, LIMIT_MS)
  try {
    let listener, dialer
    if (contestant.peer.startsDialer) {
      const argv = [...command('listen', url), ...command('dial', url)]
      listener = dialer = start('listen', argv)
    } else {
      listener = start('listen', command('listen', url))
      const { listening } = await listener.line('listening')
      dialer = start('dial', command('dial', listening))
    }
    const [a, b] = await Promise.all([
      listener.line('listen'),
      dialer.line('dial')
    ])
    await Promise.all(ends.map((end) => end.end()))
    return { listener: a.listen, dialer: b.dial }
  } finally {
    clearTimeout(limit)
    for (const end of ends) end.kill()
    rmSync(path, { force: true })
  }
}

class End {
  #child
  #role
  #waiting = new Map()
  #lines = new Map()
  #error
  #exited
  #complaint = ''

  constructor({ peer }, role, [program, ...args]) {
    this.#role = role
    this.#child = spawn(program, args, {
      env: { ...process.env, ...peer.env },
      stdio: ['pipe', 'pipe', 'pipe']
    })
    this.#exited = once(this.#child, 'close').then(
      ([code, signal]) => {
        if (code !== 0) this.fail(`ended with ${signal ?? `code ${code}`}`)
        else this.fail('ended early')
        return code
      },
      (error) => this.fail(error.message)
    )
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.on('data', (chunk) => (this.#complaint += chunk))
    createInterface({ input: this.#child.stdout }).on('line', (line) =>
      this.#onLine(line)
    )
  }

  #onLine(line) {
    const message = JSON.parse(line)
    for (const key of Object.keys(message)) {
      this.#lines.set(key, message)
      this.#waiting.get(key)?.resolve(message)
    }
  }

  /** The line that has the key. */
  line(key) {
    if (this.#lines.has(key)) return Promise.resolve(this.#lines.get(key))
    if (this.#error) return Promise.reject(this.#error)
    return new Promise((resolve, reject) =>
      this.#waiting.set(key, { resolve, reject })
    )
  }

  fail(why) {
    this.#error ??= new Error(
      `${this.#role}: ${why}${this.#complaint && `\n${this.#complaint.trim()}`}`
    )
    for (const { reject } of this.#waiting.values()) reject(this.#error)
  }

  /** Lets the process end by itself. */
  async end() {
    this.#child.stdin.end()
    if ((await this.#exited) !== 0) throw this.#error
    if (this.#complaint) process.stderr.write(this.#complaint)
  }

  kill() {
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      this.#child.kill('SIGKILL')
  }
}
