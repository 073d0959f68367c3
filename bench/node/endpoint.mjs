// One end of a job in a process of its own:
//
//   node endpoint.mjs <peer> listen|dial <url> <pattern> <style> <size> <count> <warm-up> [<dialer>…]
//
// It writes lines of JSON: where it listens, then what it has measured. It ends when its stdin does. A
// listener that has to start its dialer is told the command.

import { runPattern } from './patterns.mjs'

const [peer, role, url, pattern, style, ...rest] = process.argv.slice(2)
const [size, count, warmup] = rest.slice(0, 3).map(Number)
const job = { role, pattern, style, size, count, warmup }

function tell(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

async function connect() {
  const { listen, dial } = await import(`./${peer}.mjs`)
  if (role === 'dial') return dial(url, style)
  const { url: bound, connected } = await listen(url, style, rest.slice(3))
  tell({ listening: bound })
  return connected
}

const conn = await connect()
tell({ [role]: await runPattern(conn, job) })
process.stdin.on('end', () => process.exit()).resume()
