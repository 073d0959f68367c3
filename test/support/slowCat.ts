import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { catEnvironment, meeting, type Cat } from './cats'

// How long what it prints is left alone, after each so many messages.
const PAUSE_MS = 2
const BURST = 1000

/**
 * How often it sends, in seconds. nngcat gives up when what it prints is not
 * read for as long as that, so it sends but once in our time; nanocat goes on
 * reading in between.
 */
const INTERVAL = { nngcat: '3600', nanocat: '0.01' }

// What --msgpack prints before the bytes of a message: how many bytes the
// length has, by the first byte.
const BIN = new Map([
  [0xc4, 1],
  [0xc5, 2],
  [0xc6, 4]
])

/** How long the first message in these bytes is, and where it begins. */
function firstMessage(
  bytes: Buffer
): { begin: number; end: number } | undefined {
  const [type] = bytes
  if (type === undefined) return undefined
  const size = BIN.get(type)
  if (size === undefined) throw new Error(`not of msgpack's bin: ${type}`)
  if (bytes.length < 1 + size) return undefined
  const begin = 1 + size
  const end = begin + bytes.readUIntBE(1, size)
  return end <= bytes.length ? { begin, end } : undefined
}

/**
 * A cat that sends, and reads slowly: it has to wait until what
 * it printed is read, and that is done in bursts.
 */
export class SlowCat {
  readonly #child

  constructor(cat: Cat, role: 'listen' | 'dial', url: string, data: string) {
    this.#child = spawn(
      cat,
      [
        ...meeting(cat, role, url),
        // It dials until somebody listens, as nanocat does by itself.
        ...(cat === 'nngcat' ? ['--async'] : []),
        ...['--msgpack', '--data', data, '--interval', INTERVAL[cat]]
      ],
      { stdio: ['ignore', 'pipe', 'ignore'], env: catEnvironment() }
    )
  }

  /** What it receives, each message as it is, until the cat ends. */
  async *messages(): AsyncGenerator<Buffer, void, undefined> {
    let rest = Buffer.alloc(0)
    let burst = 0
    for await (const chunk of this.#child.stdout) {
      rest = Buffer.concat([rest, chunk as Buffer])
      for (let found; (found = firstMessage(rest)) !== undefined;) {
        yield rest.subarray(found.begin, found.end)
        rest = rest.subarray(found.end)
        if (++burst % BURST === 0) await sleep(PAUSE_MS)
      }
    }
    if (rest.length > 0) throw new Error('it ended within a message')
  }

  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await exit
  }
}
