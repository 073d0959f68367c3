import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as os from 'node:os'
import * as path from 'node:path'
import * as readline from 'node:readline'
import { PairSocket } from '../index'
import type { ExchangeOptions, NodeNumber } from './arguments'

const MAIN = path.join(__dirname, 'main.js')

/** A path, or on Windows the name of a pipe, that nothing else uses. */
function unusedIpcUrl(): string {
  const name = `nng-pair-demo-${process.pid}`
  return process.platform === 'win32'
    ? `ipc://${name}`
    : `ipc://${path.join(os.tmpdir(), `${name}.ipc`)}`
}

async function unusedTcpUrl(): Promise<string> {
  await using sock = new PairSocket()
  return (await sock.listen('tcp://127.0.0.1:0')).url
}

/**
 * Runs both nodes as processes of their own, over each transport or at the
 * URL; returns whether both succeeded each time.
 *
 * @param end ends the processes early: then it rejects with the signal's
 *   reason
 */
export async function demo(
  url: string | undefined,
  options: ExchangeOptions,
  end: AbortSignal
): Promise<boolean> {
  const urls =
    url === undefined ? [unusedIpcUrl(), await unusedTcpUrl()] : [url]
  for (const each of urls) {
    if (!(await runBoth(each, options, end))) return false
  }
  return true
}

async function runBoth(
  url: string,
  options: ExchangeOptions,
  end: AbortSignal
): Promise<boolean> {
  end.throwIfAborted()
  const children: ChildProcess[] = []
  // They remove their ipc file before they end.
  const stop = () => children.forEach((child) => child.kill('SIGTERM'))
  end.addEventListener('abort', stop)
  const start = (node: NodeNumber) => {
    const child = startNode(node, url, options)
    children.push(child)
    return child
  }

  process.stderr.write(`$ nng-pair 0 ${url} &\n`)
  const first = start('0')
  const exits = [exit(first)]
  // By its first line it listens.
  await Promise.race([once(first.stderr!, 'data'), ...exits])
  if (!end.aborted) {
    process.stderr.write(`$ nng-pair 1 ${url}\n`)
    exits.push(exit(start('1')))
  }
  const codes = await Promise.all(exits)
  end.removeEventListener('abort', stop)
  end.throwIfAborted()
  return codes.every((code) => code === 0)
}

function startNode(
  node: NodeNumber,
  url: string,
  { count, interval, timeout, concurrent }: ExchangeOptions
): ChildProcess {
  const args = ['--count', count, '--interval', interval, '--timeout', timeout]
  if (concurrent) args.push('--concurrent')
  const child = spawn(
    process.execPath,
    [MAIN, ...args.map(String), node, url],
    { stdio: ['ignore', 'ignore', 'pipe'] }
  )
  // Line by line, so that the two do not mix within one.
  readline
    .createInterface({ input: child.stderr })
    .on('line', (line) => process.stderr.write(`${line}\n`))
  return child
}

/** The exit code, or null; by then all its output has been passed on. */
async function exit(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'close')) as [number | null]
  return code
}
