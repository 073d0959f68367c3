// examples/, run as their first lines say, in a folder of their own.

import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { buildIfStale, Run, unusedUrl } from './support/command'

const EXAMPLES = path.join(__dirname, '..', 'examples')
const SUCCESS = { code: 0, signal: null }
const cwd = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-examples-'))

beforeAll(buildIfStale)
afterAll(() => fs.rmSync(cwd, { recursive: true }))

/** An example, as a process. */
function example(file: string, ...args: string[]): Run {
  return new Run(process.execPath, [path.join(EXAMPLES, file), ...args], {
    cwd
  })
}

async function succeeds(run: Run): Promise<void> {
  const exit = await run.exit
  expect(run.stamped).toEqual([])
  expect(exit).toEqual(SUCCESS)
}

/** What a node says that has three messages from the other one. */
const threeOf = (node: 0 | 1) =>
  [0, 1, 2]
    .map((i) => `node ${1 - node} received message ${i} from node ${node}\n`)
    .join('')

/** A program in another language, and the node that it talks to. */
async function exchanges(
  other: (host: string, port: string, url: string) => Run
): Promise<void> {
  const url = await unusedUrl('tcp')
  const node = example('two-nodes/node.mjs', '0', url)
  // It dials once.
  for (;;) {
    const run = other('127.0.0.1', url.split(':').at(-1)!, url)
    const { code } = await run.exit
    if (code !== 0 && /refused/i.test(run.stamped.join())) continue
    expect(run.stamped).toEqual([])
    expect(code).toBe(0)
    expect(run.stdout).toBe(threeOf(0))
    break
  }
  await succeeds(node)
  expect(node.stdout).toBe(threeOf(1))
}

test.concurrent('two nodes', async () => {
  const nodes = ['0', '1'].map((node) => example('two-nodes/node.mjs', node))
  await Promise.all(nodes.map(succeeds))
  expect(nodes[0]!.stdout).toBe(threeOf(1))
  expect(nodes[1]!.stdout).toBe(threeOf(0))
})

test.concurrent('request and reply', async () => {
  const server = example('request-reply/server.mjs')
  await server.until(({ stdout }) => stdout === 'listening\n')
  // One client after the other.
  for (let i = 0; i < 2; i++) {
    const client = example('request-reply/client.mjs')
    await succeeds(client)
    expect(client.stdout).toBe(
      "[ 'ONE', 'TWO', 'THREE' ]\nno answer within 200 ms\n"
    )
  }
  server.kill('SIGKILL')
  await server.exit
  expect(server.stamped).toEqual([])
})

test.concurrent('a file through a pipeline', async () => {
  const file = path.join(cwd, 'original')
  const copy = path.join(cwd, 'copy')
  const bytes = Buffer.alloc(3_000_001, 'a file, ')
  fs.writeFileSync(file, bytes)
  const receiver = example('file-pipeline/receive.mjs', copy)
  await receiver.until(({ stdout }) => stdout === 'listening\n')
  const sender = example('file-pipeline/send.mjs', file)
  await Promise.all([receiver, sender].map(succeeds))
  expect(sender.stdout).toBe('arrived as it is\n')
  expect(fs.readFileSync(copy).equals(bytes)).toBe(true)
})

test.concurrent('a worker thread', async () => {
  const main = example('worker/main.mjs')
  await succeeds(main)
  expect(main.stdout).toBe('6 words\n4 words\n')
})

test.concurrent('a child that is restarted', async () => {
  const supervisor = example('supervisor/supervisor.mjs')
  await succeeds(supervisor)
  const squares = Array.from(
    { length: 10 },
    (_, i) => `${i} squared is ${i * i}\n`
  )
  expect(supervisor.stdout).toBe(`${squares.join('')}the child was restarted\n`)
})

const runs = (program: string, ...args: string[]) =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0

const hasPython = runs('python3', '--version')
const python = hasPython ? test.concurrent : test.concurrent.skip
python(
  `a peer in Python${hasPython ? '' : ' (python3 is missing)'}`,
  async () => {
    const file = path.join(EXAMPLES, 'other-languages', 'peer.py')
    await exchanges((host, port) => new Run('python3', [file, '1', host, port]))
  }
)

const hasNng =
  fs.existsSync('/usr/include/nng/nng.h') && runs('cc', '--version')
const c = hasNng ? test.concurrent : test.concurrent.skip
c(
  `a peer in C${hasNng ? '' : ' (Debian: libnng-dev is missing)'}`,
  async () => {
    const program = path.join(cwd, 'peer')
    const source = path.join(EXAMPLES, 'other-languages', 'peer.c')
    const flags = [
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      program,
      source,
      '-lnng'
    ]
    execFileSync('cc', flags, { stdio: 'pipe' })
    await exchanges((_, __, url) => new Run(program, ['1', url]))
  }
)
