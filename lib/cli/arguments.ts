import { parseArgs } from 'node:util'

/** How an exchange runs. */
export interface ExchangeOptions {
  /** Messages each way. */
  count: number
  /** The pause after each round, in milliseconds. */
  interval: number
  /** How long to wait for each message, in milliseconds. */
  timeout: number
  /** Sends and receives do not wait for each other. */
  concurrent: boolean
}

export type NodeNumber = '0' | '1'

export type Command =
  | { name: 'help' | 'version' }
  | {
      name: 'node'
      node: NodeNumber
      url: string
      options: ExchangeOptions
    }
  | { name: 'demo'; url: string | undefined; options: ExchangeOptions }

export const USAGE =
  'Usage: nng-pair [options] 0|1 <url>  or  nng-pair [options] demo [url]'

export const HELP = `${USAGE}

Two nodes send each other numbered messages over a PAIR v0 socket. The first
one to come listens at the URL, the other one dials it.

  0|1 <url>      run one node at tcp://host:port or ipc://path
  demo [url]     run both nodes; without a URL over ipc, then over tcp

Options:
  --count N      messages each way (default: 3)
  --interval MS  pause after each round, in milliseconds (default: 1000)
  --timeout MS   how long to wait for an answer to the dial and for each
                 message, in milliseconds (default: 10000)
  --concurrent   send and receive independently, instead of in turn
  --version      print the version and end
  --help         print this and end

Everything but --help and --version is written to standard error. The exit
status is 0 when all messages have been exchanged, 1 when something failed,
and 2 when the command line is wrong.
`

/** The command line is wrong. */
export class UsageError extends Error {}

const MAX_MILLISECONDS = 2 ** 31 - 1

function integer(
  option: string,
  text: string | undefined,
  fallback: number,
  min: number,
  max: number
): number {
  if (text === undefined) return fallback
  const value = /^\d+$/.test(text) ? Number(text) : NaN
  if (value >= min && value <= max) return value
  throw new UsageError(
    `--${option} takes an integer from ${min} to ${max}, not '${text}'`
  )
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        count: { type: 'string' },
        interval: { type: 'string' },
        timeout: { type: 'string' },
        concurrent: { type: 'boolean', default: false },
        version: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false }
      }
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

/** @throws UsageError */
export function parseCommand(args: string[]): Command {
  const { values, positionals } = parse(args)
  if (values.help) return { name: 'help' }
  if (values.version) return { name: 'version' }
  const { count, interval, timeout, concurrent } = values
  const options: ExchangeOptions = {
    count: integer('count', count, 3, 1, Number.MAX_SAFE_INTEGER),
    interval: integer('interval', interval, 1000, 0, MAX_MILLISECONDS),
    timeout: integer('timeout', timeout, 10_000, 1, MAX_MILLISECONDS),
    concurrent
  }
  const [what, url, ...more] = positionals
  if (more.length > 0) throw new UsageError(`too many arguments: '${more[0]}'`)
  switch (what) {
    case 'demo':
      return { name: 'demo', url, options }
    case '0':
    case '1':
      if (url === undefined) throw new UsageError('the URL is missing')
      return { name: 'node', node: what, url, options }
    case undefined:
      throw new UsageError('the node and the URL are missing')
    default:
      throw new UsageError(`the node is 0 or 1, not '${what}'`)
  }
}
