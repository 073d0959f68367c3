#!/usr/bin/env node
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { HELP, USAGE, UsageError, parseCommand } from './arguments'

function version(): string {
  const file = path.join(__dirname, '..', '..', 'package.json')
  return (JSON.parse(fs.readFileSync(file, 'utf8')) as { version: string })
    .version
}

/** Ends the process by the signal, as its parent expects to see it. */
function endBy(signal: NodeJS.Signals): void {
  // Process 1 of a container does not die of its own signal.
  process.exitCode = 128 + os.constants.signals[signal]
  process.kill(process.pid, signal)
}

/** Returns the exit code. */
async function run(args: string[], end: AbortSignal): Promise<number> {
  const command = parseCommand(args)
  switch (command.name) {
    case 'help':
      process.stdout.write(HELP)
      return 0
    case 'version':
      process.stdout.write(`${version()}\n`)
      return 0
    case 'node': {
      // Not before it is needed: --help works without the binary.
      const { exchange } = await import('./exchange.js')
      const { node, url, options } = command
      return (await exchange(node, url, options, end)) ? 0 : 1
    }
    case 'demo': {
      const { demo } = await import('./demo.js')
      return (await demo(command.url, command.options, end)) ? 0 : 1
    }
  }
}

/** Returns the exit code; reports what goes wrong. */
async function main(args: string[], end: AbortSignal): Promise<number> {
  try {
    return await run(args, end)
  } catch (error) {
    const { message } = error as Error
    if (error instanceof UsageError) {
      process.stderr.write(`nng-pair: ${message}\n${USAGE}\n`)
      return 2
    }
    if (error !== end.reason) process.stderr.write(`nng-pair: ${message}\n`)
    return 1
  }
}

const end = new AbortController()
let signal: NodeJS.Signals | undefined
for (const each of ['SIGINT', 'SIGTERM'] as const) {
  process.once(each, () => {
    signal ??= each
    end.abort(each)
  })
}
// Nobody reads the log any more: end in good order, the ipc file is to go.
process.stderr.on('error', (error) => end.abort(error))

void main(process.argv.slice(2), end.signal).then((code) => {
  process.exitCode = code
  if (signal !== undefined) endBy(signal)
})
