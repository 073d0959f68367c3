// What takes its time by design: the command's pauses, and its limit of ten
// seconds. All of it waits at the same time.
// They use processes alone, since the sockets of this one are closed after
// each test, whichever that is.

import * as fs from 'node:fs'
import { buildIfStale, nngPair, unusedUrl, type Exit } from './support/command'
import { exchangeLines, pathOf, taken } from './support/commandLines'
import { transports } from './support/transports'

const SUCCESS: Exit = { code: 0, signal: null }
const FAILURE: Exit = { code: 1, signal: null }

const QUICK = ['--interval', '0']

beforeAll(buildIfStale)

test.concurrent.each(transports)(
  'two nodes over %s exchange three messages each way in three seconds',
  async (transport) => {
    const url = await unusedUrl(transport)
    const first = nngPair('0', url)
    await first.line('Node 0 sends message 0 from node 0.')
    const second = nngPair('1', url)
    await second.line('Node 1 received message 0 from node 0.')
    const met = performance.now()
    expect(await first.exit).toEqual(SUCCESS)
    expect(await second.exit).toEqual(SUCCESS)
    // Three pauses, of which the first began a moment before we heard of it.
    expect(performance.now() - met).toBeGreaterThan(2500)
    expect(first.lines).toEqual(exchangeLines(0, 3))
    expect(second.lines).toEqual([...taken(1, url), ...exchangeLines(1, 3)])
    expect(first.stdout + second.stdout).toBe('')
    if (transport === 'ipc') expect(fs.existsSync(pathOf(url))).toBe(false)
  }
)

test.concurrent.each(transports)(
  'two nodes over %s of which one is killed: a new one gets what was sent meanwhile',
  async (transport) => {
    const url = await unusedUrl(transport)
    // The pause is long enough to kill the other one in.
    const staying = nngPair('0', url, '--interval', '2500')
    await staying.line('Node 0 sends message 0 from node 0.')
    const killed = nngPair('1', url)
    await staying.line('Node 0 received message 0 from node 1.')
    killed.kill('SIGKILL')
    await killed.exit
    await staying.line('Node 0 sends message 1 from node 0.')
    const fresh = nngPair('1', url, '--count', '2', ...QUICK)
    expect(await fresh.exit).toEqual(SUCCESS)
    expect(fresh.lines).toEqual([
      ...taken(1, url),
      'Node 1 sends message 0 from node 1.',
      'Node 1 received message 1 from node 0.',
      'Node 1 sends message 1 from node 1.',
      'Node 1 received message 2 from node 0.',
      'Node 1: Done.'
    ])
    expect(await staying.exit).toEqual(SUCCESS)
    expect(staying.lines).toEqual([
      'Node 0 sends message 0 from node 0.',
      'Node 0 received message 0 from node 1.',
      'Node 0 sends message 1 from node 0.',
      'Node 0 received message 0 from node 1.',
      'Node 0 sends message 2 from node 0.',
      'Node 0 received message 1 from node 1.',
      'Node 0: Done.'
    ])
  }
)

test.concurrent.each(transports)(
  'two nodes over %s wait ten seconds: nobody comes, and a third one',
  async (t) => {
    const [lonely, shared] = await Promise.all([unusedUrl(t), unusedUrl(t)])
    const start = performance.now()
    const lone = nngPair('0', lonely)
    const loneExit = lone.exit.then((exit) => ({
      exit,
      after: performance.now() - start
    }))

    const first = nngPair('0', shared, '--count', '1000')
    await first.line('Node 0 sends message 0 from node 0.')
    const second = nngPair('1', shared, '--count', '1000')
    await second.line('Node 1 received message 0 from node 0.')
    const third = nngPair('1', shared)
    expect(await third.exit).toEqual(FAILURE)
    expect(third.lines).toEqual([
      ...taken(1, shared),
      'Node 1 sends message 0 from node 1.',
      'Node 1 failed receiving a message: no message came in time (ETIMEDOUT)'
    ])
    // The pair was not disturbed, and goes on.
    const rounds = Math.ceil(first.lines.length / 2)
    await first.line(`Node 0 received message ${rounds + 1} from node 1.`)
    const all = [exchangeLines(0, 1000), exchangeLines(1, 1000)] as const
    expect(first.lines).toEqual(all[0].slice(0, first.lines.length))
    const others = second.lines.slice(2)
    expect(others).toEqual(all[1].slice(0, others.length))

    const { exit, after } = await loneExit
    expect(exit).toEqual(FAILURE)
    expect(after).toBeGreaterThan(10_000)
    expect(lone.lines).toEqual([
      'Node 0 sends message 0 from node 0.',
      'Node 0 failed receiving a message: no message came in time (ETIMEDOUT)'
    ])
    expect(lone.stdout + third.stdout).toBe('')
  }
)
