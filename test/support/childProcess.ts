import * as path from 'node:path'
import { Run, buildIfStale, type Exit } from './command'

/** What the code of a process of its own is given. */
export interface Tools {
  lib: typeof import('../../lib')
  AsyncLocalStorage: typeof import('node:async_hooks').AsyncLocalStorage
  /** Has V8 collect what it can, at once. */
  collectGarbage: () => void
  createHook: typeof import('node:async_hooks').createHook
  diagnostics: typeof import('node:diagnostics_channel')
  fs: typeof import('node:fs')
  net: typeof import('node:net')
  once: typeof import('node:events').once
  parentPort: import('node:worker_threads').MessagePort | null
  /** What is measured, once it has been the same for 200 ms. */
  settled: <T>(measure: () => T) => Promise<T>
  sleep: typeof import('node:timers/promises').setTimeout
  stream: typeof import('node:stream')
  /** Lets the event loop turn. */
  turn: typeof import('node:timers/promises').setImmediate
  /** Writes a line that the test sees (`Run.line`), whatever comes next. */
  say: (text: string) => void
  /** How many threads of this process have this name (Linux). */
  threads: (name: string) => number
  /** Runs such a function, or the source of one, in a worker thread. */
  startWorker: <A extends readonly unknown[]>(
    main: Main<A> | string,
    ...args: A
  ) => import('node:worker_threads').Worker
}

/**
 * Code for another process or thread, which is given its source alone: what
 * it needs comes with the tools and the arguments, as JSON.
 */
export type Main<A extends readonly unknown[]> = (
  tools: Tools,
  ...args: A
) => unknown

/** Runs a function in a process of its own, with the built package. */
export function inProcess<A extends readonly unknown[]>(
  main: Main<A>,
  ...args: A
): Run {
  return inProcessWith([], main, ...args)
}

/** The same with options for node. */
export function inProcessWith<A extends readonly unknown[]>(
  nodeOptions: readonly string[],
  main: Main<A>,
  ...args: A
): Run {
  const source = sourceInProcess(String(main), ...args)
  return new Run(process.execPath, [...nodeOptions, '-e', source])
}

/** The same with options for the process: its environment, its user. */
export function inProcessUnder<A extends readonly unknown[]>(
  options: ConstructorParameters<typeof Run>[2],
  main: Main<A>,
  ...args: A
): Run {
  const source = sourceInProcess(String(main), ...args)
  return new Run(process.execPath, ['-e', source], options)
}

/** What node is to run for the source of a function, and its arguments. */
export function sourceInProcess(main: string, ...args: unknown[]): string {
  buildIfStale()
  const tools = path.join(__dirname, 'childTools.cjs')
  return (
    `const { tools } = require(${JSON.stringify(tools)})\n` +
    `;(${main})(tools, ...${JSON.stringify(args)})`
  )
}

// Far more than any machine takes, and less than a test's own limit: a process
// that hangs is told from one that is slow.
const END_WITHIN_MS = 20_000

/** How a process ended, which must be soon; else it is killed and named. */
export async function ending(run: Run, within = END_WITHIN_MS): Promise<Exit> {
  let hangs = false
  const timer = setTimeout(() => {
    hangs = true
    run.kill('SIGKILL')
  }, within)
  const exit = await run.exit
  clearTimeout(timer)
  if (hangs)
    throw new Error(`does not end; it wrote:\n${run.stamped.join('\n')}`)
  return exit
}
