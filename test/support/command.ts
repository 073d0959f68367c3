import { execFileSync, spawn, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { ipcPath, type Transport } from './transports'

const ROOT = path.join(__dirname, '..', '..')

/** The built command. */
export const COMMAND = path.join(ROOT, 'dist', 'cli', 'main.js')

/** Compiles lib/ if any of it is newer than the built command. */
export function buildIfStale(): void {
  const built = fs.statSync(COMMAND, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const sources = fs
    .readdirSync(path.join(ROOT, 'lib'), { recursive: true })
    .map((name) => path.join(ROOT, 'lib', String(name)))
  if (sources.every((file) => fs.statSync(file).mtimeMs < built)) return
  execFileSync('npm', ['run', 'build:ts'], { cwd: ROOT, stdio: 'pipe' })
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

const running = new Set<Run>()
// Left behind by those that are killed.
const files: string[] = []

/** A process of its own, and what it writes. */
export class Run {
  stdout = ''
  /** The lines of standard error, with their time stamps. */
  readonly stamped: string[] = []
  /** When it has ended, and all that it wrote is here. */
  readonly exit: Promise<Exit>
  readonly #child
  readonly #watchers = new Set<() => void>()

  constructor(file: string, args: string[], options: SpawnOptions = {}) {
    const child = spawn(file, args, {
      ...options,
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.#child = child
    running.add(this)
    child.stdout.on('data', (data: Buffer) => {
      this.stdout += String(data)
      this.#notify()
    })
    let rest = ''
    child.stderr.on('data', (data: Buffer) => {
      const lines = (rest + String(data)).split('\n')
      rest = lines.pop()!
      this.stamped.push(...lines)
      this.#notify()
    })
    this.exit = once(child, 'close').then(([code, signal]) => {
      running.delete(this)
      if (rest !== '') this.stamped.push(rest)
      this.#notify()
      return { code, signal }
    })
  }

  /** The lines of standard error, without their time stamps. */
  get lines(): string[] {
    return this.stamped.map((line) =>
      line.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, '')
    )
  }

  /** Resolves once `found` says so of what was written; fails at the end. */
  async until(found: (run: this) => boolean): Promise<void> {
    let ended = false
    void this.exit.then(() => (ended = true))
    while (!found(this)) {
      if (ended) {
        throw new Error(
          `ended before it wrote what was expected:\n${this.stamped.join('\n')}`
        )
      }
      await new Promise<void>((resolve) => {
        this.#watchers.add(resolve)
        void this.exit.then(() => resolve())
      })
    }
  }

  /** Resolves once standard error has this line (time stamp aside). */
  line(text: string): Promise<void> {
    return this.until(({ lines }) => lines.includes(text))
  }

  get pid(): number {
    return this.#child.pid!
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Nobody reads standard error any more. */
  hangUp(): void {
    this.#child.stderr.destroy()
  }

  #notify(): void {
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    for (const watcher of watchers) watcher()
  }
}

afterAll(async () => {
  const left = [...running]
  for (const run of left) run.kill('SIGKILL')
  await Promise.all(left.map((run) => run.exit))
  for (const file of files) fs.rmSync(file, { force: true })
})

/** Runs `nng-pair`. */
export function nngPair(...args: string[]): Run {
  return new Run(process.execPath, [COMMAND, ...args])
}

/**
 * A URL that nobody uses, for processes that meet there. Its port is none
 * that the system gives to those who ask for any.
 */
export async function unusedUrl(transport: Transport): Promise<string> {
  if (transport === 'ipc') {
    const file = ipcPath()
    files.push(file)
    return `ipc://${file}`
  }
  for (;;) {
    const port = 10_240 + Math.floor(Math.random() * 20_000)
    const server = net.createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    server.close()
    if (free) return `tcp://127.0.0.1:${port}`
  }
}
