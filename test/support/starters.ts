import { fork, type ChildProcess, type ForkOptions } from 'node:child_process'
import { once } from 'node:events'
import * as path from 'node:path'
import { socket } from './transports'

export interface Outcome {
  pid: number
  error?: string
  type?: 'listener' | 'dialer'
  received?: string
  code?: string
}

type Command = 'meet' | 'listen' | 'close'

interface Arguments {
  url?: string
}

function outcomeOf(child: ChildProcess): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const onExit = () => reject(new Error('the process has ended'))
    child.once('exit', onExit)
    child.once('message', (message: Outcome) => {
      child.off('exit', onExit)
      if (message.error !== undefined) reject(new Error(message.error))
      else resolve({ ...message, pid: child.pid! })
    })
  })
}

/** Processes that do the same at the same moment. */
export class Starters {
  readonly children: ChildProcess[]

  private constructor(children: ChildProcess[]) {
    this.children = children
  }

  static #fork(
    count: number,
    args: string[] = [],
    options: ForkOptions = {}
  ): Starters {
    const script = path.join(__dirname, 'starter.cjs')
    return new Starters(
      Array.from({ length: count }, () => fork(script, args, options))
    )
  }

  /** Processes that wait for what they are to do. */
  static async start(count: number, options?: ForkOptions): Promise<Starters> {
    const starters = Starters.#fork(count, [], options)
    await Promise.all(starters.children.map(outcomeOf))
    return starters
  }

  /** Processes that do it as the first thing, and what came of it. */
  static startWith(
    count: number,
    command: Command,
    args: Arguments = {}
  ): [Starters, Promise<Outcome[]>] {
    const starters = Starters.#fork(count, [
      JSON.stringify({ command, ...args })
    ])
    return [starters, Promise.all(starters.children.map(outcomeOf))]
  }

  /**
   * All of them do it; resolves with what came of it, in their order. Unless
   * they are to do it when told, they agree on a moment that is long enough
   * from now for the message to be there.
   */
  run(
    command: Command,
    args: Arguments = {},
    at = Date.now() + 3
  ): Promise<Outcome[]> {
    return Promise.all(
      this.children.map((child) => {
        child.send({ command, at, ...args })
        return outcomeOf(child)
      })
    )
  }

  /** Ends them as a crash would. */
  async kill(): Promise<void> {
    await Promise.all(
      this.children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const exited = once(child, 'exit')
        child.kill('SIGKILL')
        await exited
      })
    )
  }
}

/** Who dials this path reaches this process. */
export async function expectReaches(url: string, pid: number): Promise<void> {
  const dialing = socket()
  const connected = once(dialing, 'connect')
  await dialing.dial(url)
  expect(await connected).toMatchObject([{ pid }])
  await dialing.close()
}
