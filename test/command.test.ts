// The command `nng-pair`, as real processes.

import { once } from 'node:events'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { UsageError, parseCommand } from '../lib/cli/arguments'
import { cats, installed, runCat, untilListening } from './support/cats'
import {
  COMMAND,
  Run,
  buildIfStale,
  nngPair,
  unusedUrl,
  type Exit
} from './support/command'
import { exchangeLines, pathOf, taken } from './support/commandLines'
import { ipcPath, socket, transports } from './support/transports'

const SUCCESS: Exit = { code: 0, signal: null }
const FAILURE: Exit = { code: 1, signal: null }
const WRONG_USAGE: Exit = { code: 2, signal: null }

const QUICK = ['--interval', '0']

beforeAll(buildIfStale)

// Concurrent are the tests that mostly wait for other programs.
// They use processes alone, since the sockets of this one are closed after
// each test, whichever that is.

describe.each(transports)('two nodes over %s', (transport) => {
  test('stamp each report with the time, and nothing else', async () => {
    const url = await unusedUrl(transport)
    const first = nngPair('0', url, ...QUICK)
    await first.line('Node 0 sends message 0 from node 0.')
    const second = nngPair('1', url, ...QUICK)
    await Promise.all([first.exit, second.exit])
    const stamp = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d Node \d/
    const unstamped = [...first.stamped, ...second.stamped].filter(
      (line) => !stamp.test(line)
    )
    expect(unstamped).toEqual(['Trying to dial instead'])
  })

  test('either of which may listen', async () => {
    const url = await unusedUrl(transport)
    const first = nngPair('1', url, ...QUICK)
    await first.line('Node 1 sends message 0 from node 1.')
    const second = nngPair('0', url, ...QUICK)
    expect(await first.exit).toEqual(SUCCESS)
    expect(await second.exit).toEqual(SUCCESS)
    expect(first.lines).toEqual(exchangeLines(1, 3))
    expect(second.lines).toEqual([...taken(0, url), ...exchangeLines(0, 3)])
  })

  test.concurrent('meet when they start at the same moment', async () => {
    for (let round = 0; round < 4; round++) {
      const url = await unusedUrl(transport)
      const nodes = [nngPair('0', url, ...QUICK), nngPair('1', url, ...QUICK)]
      const exits = await Promise.all(nodes.map((node) => node.exit))
      expect(exits).toEqual([SUCCESS, SUCCESS])
      const dialing = nodes.filter(({ lines }) =>
        lines.includes('Trying to dial instead')
      )
      expect(dialing).toHaveLength(1)
    }
  })

  test('send and receive independently with --concurrent', async () => {
    const url = await unusedUrl(transport)
    const options = ['--count', '5', '--concurrent', ...QUICK]
    const lone = nngPair('0', url, ...options)
    // In turn, it would not get this far without an answer.
    await lone.line('Node 0 sends message 4 from node 0.')
    const other = nngPair('1', url, ...options)
    expect(await lone.exit).toEqual(SUCCESS)
    expect(await other.exit).toEqual(SUCCESS)
    const ofNode = (node: 0 | 1) => exchangeLines(node, 5).sort()
    expect([...lone.lines].sort()).toEqual(ofNode(0))
    expect(other.lines.slice(2).sort()).toEqual(ofNode(1))
  })

  test('send as many messages as --count says', async () => {
    const url = await unusedUrl(transport)
    const nodes = (['0', '1'] as const).map((node) =>
      nngPair(node, url, '--count=40', ...QUICK)
    )
    for (const node of nodes) expect(await node.exit).toEqual(SUCCESS)
    expect(nodes[0]!.lines).toEqual(
      expect.arrayContaining(exchangeLines(0, 40))
    )
    expect(nodes[1]!.lines).toEqual(
      expect.arrayContaining(exchangeLines(1, 40))
    )
  })

  test('outlive the kill of a listener: its address is taken over', async () => {
    const url = await unusedUrl(transport)
    const killed = nngPair('0', url)
    await killed.line('Node 0 sends message 0 from node 0.')
    killed.kill('SIGKILL')
    expect(await killed.exit).toEqual({ code: null, signal: 'SIGKILL' })
    if (transport === 'ipc') expect(fs.existsSync(pathOf(url))).toBe(true)
    const first = nngPair('0', url, ...QUICK)
    await first.line('Node 0 sends message 0 from node 0.')
    const second = nngPair('1', url, ...QUICK)
    expect(await first.exit).toEqual(SUCCESS)
    expect(await second.exit).toEqual(SUCCESS)
    expect(first.lines).toEqual(exchangeLines(0, 3))
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'end by %s, and leave no file',
    async (signal) => {
      const url = await unusedUrl(transport)
      const ended = { code: null, signal }

      const lone = nngPair('0', url)
      await lone.line('Node 0 sends message 0 from node 0.')
      lone.kill(signal)
      expect(await lone.exit).toEqual(ended)
      if (transport === 'ipc') expect(fs.existsSync(pathOf(url))).toBe(false)

      const listening = nngPair('0', url)
      await listening.line('Node 0 sends message 0 from node 0.')
      const dialing = nngPair('1', url)
      await dialing.line('Node 1 received message 0 from node 0.')
      dialing.kill(signal)
      expect(await dialing.exit).toEqual(ended)
      if (transport === 'ipc') expect(fs.existsSync(pathOf(url))).toBe(true)
      listening.kill(signal)
      expect(await listening.exit).toEqual(ended)
      if (transport === 'ipc') expect(fs.existsSync(pathOf(url))).toBe(false)
      // Nothing is said of it.
      expect(lone.lines).toEqual(['Node 0 sends message 0 from node 0.'])
    }
  )

  test('wait for a message as long as --timeout says', async () => {
    const lone = nngPair('1', await unusedUrl(transport), '--timeout', '50')
    expect(await lone.exit).toEqual(FAILURE)
    expect(lone.lines).toEqual([
      'Node 1 sends message 0 from node 1.',
      'Node 1 failed receiving a message: no message came in time (ETIMEDOUT)'
    ])
  })

  test('print what a stranger sends without its control characters', async () => {
    const stranger = socket()
    const { url } = await stranger.listen(
      transport === 'tcp' ? 'tcp://127.0.0.1:0' : await unusedUrl('ipc')
    )
    const node = nngPair('1', url, '--count', '1', ...QUICK)
    await stranger.send('caf\u00e9 \u001b[31m\n')
    expect(String(await stranger.recv())).toBe('message 0 from node 1.')
    expect(await node.exit).toEqual(SUCCESS)
    expect(node.lines).toContain('Node 1 received café \\x1b[31m\\x0a')
  })

  describe('of which one is', () => {
    describe.each(cats)('%s', (cat) => {
      const maybe = installed(cat) ? test.concurrent : test.concurrent.skip

      const count = cat === 'nngcat' ? 1 : 3
      const options = ['--count', String(count), ...QUICK]

      maybe('that dials', async () => {
        const url = await unusedUrl(transport)
        const node = nngPair('0', url, ...options)
        await node.line('Node 0 sends message 0 from node 0.')
        const other = runCat(cat, 'dial', url, 'hello')
        expect(await node.exit).toEqual(SUCCESS)
        await other.until(({ stdout }) =>
          stdout.includes(`"message ${count - 1} from node 0."`)
        )
        expect(node.lines).toContain('Node 0 received hello')
      })

      maybe('that listens', async () => {
        const url = await unusedUrl(transport)
        const other = runCat(cat, 'listen', url, 'hello')
        await untilListening(url)
        const node = nngPair('1', url, ...options)
        expect(await node.exit).toEqual(SUCCESS)
        await other.until(({ stdout }) =>
          stdout.includes(`"message ${count - 1} from node 1."`)
        )
        expect(node.lines.slice(0, 2)).toEqual(taken(1, url))
        expect(node.lines).toContain('Node 1 received hello')
      })
    })
  })
})

describe('an address that is no use', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-'))
  const file = path.join(folder, 'ordinary')
  fs.writeFileSync(file, 'precious')
  afterAll(() => fs.rmSync(folder, { recursive: true }))

  test.concurrent.each([
    ['bad URL', 'nonsense', /\(EADDRINVAL\)$/],
    ['another scheme', 'http://localhost:80', /\(ENOTSUP\)$/],
    ['bad port', 'tcp://localhost:99999', /99999 \(EADDRINVAL\)$/],
    ['unknown host', 'tcp://no-such-host.invalid:9', /not known|resolved/],
    ['missing folder', `ipc://${folder}/none/x.ipc`, /\(ENOENT\)$/],
    ['no path', 'ipc://', /\(EADDRINVAL\)$/],
    ['ordinary file', `ipc://${file}`, /is taken \(EADDRINUSE\)$/]
  ])('%s', async (_, url, reason) => {
    const node = nngPair('0', url)
    expect(await node.exit).toEqual(FAILURE)
    const { lines } = node
    expect(lines).toHaveLength(3)
    expect(lines[0]).toMatch(`Node 0 cannot listen on socket '${url}': `)
    expect(lines[0]).toMatch(reason)
    expect(lines[1]).toBe('Trying to dial instead')
    expect(lines[2]).toMatch(
      `Node 0 can neither listen nor dial on socket '${url}': `
    )
    expect(node.stdout).toBe('')
    expect(fs.readFileSync(file, 'utf8')).toBe('precious')
  })
})

describe('the command line', () => {
  test.each([
    [[]],
    [['0']],
    [['2', 'tcp://localhost:45454']],
    [['x', 'tcp://localhost:45454']],
    [['0', 'tcp://localhost:45454', 'more']],
    [['demo', 'tcp://localhost:45454', 'more']],
    [['0', 'tcp://localhost:45454', '--count', '0']],
    [['0', 'tcp://localhost:45454', '--count', 'many']],
    [['0', 'tcp://localhost:45454', '--count=-1']],
    [['0', 'tcp://localhost:45454', '--count', '1.5']],
    [['0', 'tcp://localhost:45454', '--count']],
    [['0', 'tcp://localhost:45454', '--interval', '2147483648']],
    [['0', 'tcp://localhost:45454', '--timeout', '0']],
    [['0', 'tcp://localhost:45454', '--concurrent=yes']],
    [['0', 'tcp://localhost:45454', '--nonsense']]
  ])('is wrong: %j', (args: string[]) => {
    expect(() => parseCommand(args)).toThrow(UsageError)
  })

  test.each([
    [[]],
    [['2', 'tcp://localhost:45454']],
    [['0', 'tcp://localhost:45454', '--nonsense']]
  ])('says how it is used: %j', async (args: string[]) => {
    const node = nngPair(...args)
    expect(await node.exit).toEqual(WRONG_USAGE)
    expect(node.stdout).toBe('')
    expect(node.lines.at(-1)).toBe(
      'Usage: nng-pair [options] 0|1 <url>  or  nng-pair [options] demo [url]'
    )
  })

  test('--help names every option', async () => {
    const help = nngPair('--help')
    expect(await help.exit).toEqual(SUCCESS)
    expect(help.lines).toEqual([])
    for (const option of [
      '--count N',
      '--interval MS',
      '--timeout MS',
      '--concurrent',
      '--version',
      '--help',
      'demo [url]'
    ]) {
      expect(help.stdout).toContain(option)
    }
  })

  test('--version', async () => {
    const { version } = JSON.parse(
      fs.readFileSync(path.join(__dirname, '..', 'package.json'), 'utf8')
    ) as { version: string }
    const run = nngPair('--version')
    expect(await run.exit).toEqual(SUCCESS)
    expect(run.stdout).toBe(`${version}\n`)
  })

  test('options may stand before the node', async () => {
    const node = nngPair('--timeout', '1', '0', await unusedUrl('ipc'))
    expect(await node.exit).toEqual(FAILURE)
  })

  const posix = process.platform === 'win32' ? test.skip : test
  posix('is run by the name of the file', async () => {
    const run = new Run(COMMAND, ['--version'])
    expect(await run.exit).toEqual(SUCCESS)
  })

  test.each([
    ['Etc/GMT-14', 14],
    ['Etc/GMT+12', -12]
  ])('the time stamps follow TZ: %s', async (TZ, hours) => {
    const node = new Run(process.execPath, [COMMAND, '0', 'nonsense'], {
      env: { ...process.env, TZ }
    })
    await node.exit
    const stamp = node.stamped[0]!.slice(0, 19)
    const ahead = Date.parse(`${stamp.replaceAll('/', '-')}Z`) - Date.now()
    expect(Math.round(ahead / 3_600_000)).toBe(hours)
  })
})

test('a log that nobody reads any more ends the node, without its file', async () => {
  const file = ipcPath()
  const node = nngPair('0', `ipc://${file}`, '--interval', '100')
  await node.line('Node 0 sends message 0 from node 0.')
  node.hangUp()
  const peer = socket()
  await peer.dial(`ipc://${file}`)
  await peer.send('to be logged')
  await once(peer, 'disconnect')
  expect(await node.exit).toEqual(FAILURE)
  expect(fs.existsSync(file)).toBe(false)
})

describe('nng-pair demo', () => {
  const said = (url: string) =>
    [
      `$ nng-pair 0 ${url} &`,
      `$ nng-pair 1 ${url}`,
      ...taken(1, url),
      ...exchangeLines(0, 3),
      ...exchangeLines(1, 3)
    ].sort()

  test('runs both nodes over ipc, then over tcp', async () => {
    const demo = nngPair('demo', ...QUICK)
    expect(await demo.exit).toEqual(SUCCESS)
    const urls = demo.lines.flatMap(
      (line) => /^\$ nng-pair 0 (\S+) &$/.exec(line)?.[1] ?? []
    )
    expect(urls).toEqual([
      expect.stringMatching(/^ipc:/),
      expect.stringMatching(/^tcp:/)
    ])
    const half = demo.lines.length / 2
    expect(demo.lines.slice(0, half).sort()).toEqual(said(urls[0]!))
    expect(demo.lines.slice(half).sort()).toEqual(said(urls[1]!))
    expect(demo.stdout).toBe('')
  })

  test.each(transports)('runs both at a URL over %s', async (transport) => {
    const url = await unusedUrl(transport)
    const demo = nngPair('demo', url, ...QUICK)
    expect(await demo.exit).toEqual(SUCCESS)
    expect([...demo.lines].sort()).toEqual(said(url))
  })

  test('fails when its nodes fail', async () => {
    const demo = nngPair('demo', 'nonsense')
    expect(await demo.exit).toEqual(FAILURE)
    for (const node of [0, 1]) {
      expect(demo.lines).toContainEqual(
        expect.stringMatching(`Node ${node} can neither listen nor dial`)
      )
    }
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'ends with its nodes by %s',
    async (signal) => {
      const url = await unusedUrl('ipc')
      const demo = nngPair('demo', url)
      await demo.line('Node 0 received message 0 from node 1.')
      demo.kill(signal)
      expect(await demo.exit).toEqual({ code: null, signal })
      // Node 0 is gone, or its file would be here, or it would be in use.
      expect(fs.existsSync(pathOf(url))).toBe(false)
      await socket().listen(url)
    }
  )
})
