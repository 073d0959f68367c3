import {
  spawn,
  spawnSync,
  type ChildProcess,
  type ChildProcessByStdio
} from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import * as readline from 'node:readline'
import type { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { Dialer, NngError, PairSocket } from '../lib'
import { freePort } from './support/freePort'
import { tempFolder } from './support/tempFolder'
import { socket, transports, type Transport } from './support/transports'

// The command lines of NNG (nng-utils) and nanomsg (nanomsg-utils) as peers.

const programs = ['nngcat', 'nanocat'] as const
type Program = (typeof programs)[number]

const roles = ['listens', 'dials'] as const
type Role = (typeof roles)[number]

interface Combination {
  program: Program
  role: Role
  transport: Transport
}

const combinations: Combination[] = programs.flatMap((program) =>
  roles.flatMap((role) =>
    transports.map((transport) => ({ program, role, transport }))
  )
)

const running = new Set<ChildProcess>()

afterEach(() => {
  for (const child of running) child.kill()
  running.clear()
})

/** A running nngcat or nanocat, and what it prints. */
class Cat {
  readonly lines: string[] = []
  readonly ended: Promise<number | null>
  readonly #child: ChildProcessByStdio<null, Readable, null>

  constructor(program: Program, ...args: string[]) {
    this.#child = spawn(program, ['--quoted', ...args], {
      stdio: ['ignore', 'pipe', 'ignore']
    })
    running.add(this.#child)
    readline
      .createInterface({ input: this.#child.stdout })
      .on('line', (line) => this.lines.push(JSON.parse(line) as string))
    this.ended = once(this.#child, 'close').then(
      ([code]) => code as number | null
    )
  }

  /** Everything up to the `count`th message. */
  async printed(count: number): Promise<string[]> {
    while (this.lines.length < count && this.#child.exitCode === null) {
      await turn()
    }
    return this.lines
  }

  kill(): Promise<unknown> {
    this.#child.kill()
    return this.ended
  }
}

async function newUrl(transport: Transport): Promise<string> {
  return transport === 'ipc'
    ? `ipc://${path.join(tempFolder(), 'pair.ipc')}`
    : `tcp://127.0.0.1:${await freePort()}`
}

function catArgs(program: Program, role: Role, url: string): string[] {
  return program === 'nngcat'
    ? ['--pair0', role === 'listens' ? '--listen' : '--dial', url]
    : ['--pair', role === 'listens' ? '--bind' : '--connect', url]
}

/** A socket of ours, connected with the program that was given `args`. */
async function meet(
  { program, role, transport }: Combination,
  ...args: string[]
): Promise<{ ours: PairSocket; cat: Cat; url: string }> {
  const ours = socket({ reconnectMin: 1, reconnectMax: 20 })
  const connected = once(ours, 'connect')
  const url = await newUrl(transport)
  if (role === 'dials') await ours.listen(url)
  else await ours.dial(url, { retry: true })
  const cat = new Cat(program, ...catArgs(program, role, url), ...args)
  await connected
  return { ours, cat, url }
}

/** Dials once somebody listens. */
async function dialOnceUp(sock: PairSocket, url: string): Promise<Dialer> {
  for (;;) {
    try {
      return await sock.dial(url)
    } catch (error) {
      if ((error as NngError).code !== 'ECONNREFUSED') throw error
      await turn()
    }
  }
}

const missing = programs.filter(
  (program) => spawnSync(program, ['--help']).error !== undefined
)
const describeInstalled = missing.length === 0 ? describe : describe.skip
const unless = missing.length === 0 ? '' : ` (missing: ${missing.join(', ')})`

describeInstalled(`real peers${unless}`, () => {
  test.each(combinations)(
    '$program receives when it $role over $transport',
    async (combination) => {
      const messages = ['one', '', 'three', 'x'.repeat(100_000), 'five']
      const { ours, cat } = await meet(combination)
      for (const message of messages) await ours.send(message)
      expect(await cat.printed(5)).toEqual(messages)
      await cat.kill()
    }
  )

  // It counts in seconds: all of them at once.
  test('each of them sends three messages and prints our answers', async () => {
    const answers = ['answer 0', 'answer 1', 'answer 2']
    await Promise.all(
      combinations.map(async (combination) => {
        const { ours, cat } = await meet(
          combination,
          ...['--data', 'hello', '--interval', '1', '--delay', '1']
        )
        for (const answer of answers) {
          expect(String(await ours.recv())).toBe('hello')
          await ours.send(answer)
        }
        expect(await cat.printed(3)).toEqual(answers)
        await cat.kill()
      })
    )
  })

  test.each(combinations)(
    'close() loses nothing to $program that $role over $transport',
    async (combination) => {
      const messages = Array.from({ length: 300 }, (_, i) =>
        `${i} `.padEnd(2000, 'x')
      )
      const { ours, cat } = await meet(combination)
      await ours.sendMany(messages)
      expect(await ours.close()).toEqual({ unsent: 0 })
      expect(await cat.printed(300)).toEqual(messages)
      await cat.kill()
    }
  )

  test.each(programs)(
    'listenOrDial does not disturb %s, which listens over ipc',
    async (program) => {
      for (let i = 0; i < 5; i++) {
        const url = await newUrl('ipc')
        const cat = new Cat(program, ...catArgs(program, 'listens', url))
        // From the very moment on that it has bound its socket.
        while (!fs.existsSync(url.slice('ipc://'.length))) await turn()
        await expect(socket().listen(url)).rejects.toMatchObject({
          code: 'EADDRINUSE'
        })
        const ours = socket()
        const endpoint = await ours.listenOrDial(url)
        expect(endpoint.type).toBe('dialer')
        await ours.sendMany(['first', 'second'])
        expect(await cat.printed(2)).toEqual(['first', 'second'])
        await cat.kill()
        await ours.close()
      }
    }
  )

  test.each(transports)(
    'a second nngcat over %s is turned away',
    async (transport) => {
      const combination: Combination = {
        program: 'nngcat',
        role: 'dials',
        transport
      }
      const { ours, cat, url } = await meet(combination)
      const rejected = once(ours, 'reject')
      const second = new Cat('nngcat', ...catArgs('nngcat', 'dials', url))
      expect((await rejected)[1]).toBe('busy')
      await second.kill()
      await ours.send('to the first')
      expect(await cat.printed(1)).toEqual(['to the first'])
      expect(second.lines).toEqual([])
    }
  )

  test.each(transports)('pair v1 over %s is an error', async (transport) => {
    const ours = socket()
    const url = await newUrl(transport)
    const cat = new Cat('nngcat', '--pair1', '--listen', url)
    await expect(dialOnceUp(ours, url)).rejects.toMatchObject({
      code: 'EPROTO'
    })
    await cat.kill()

    const listening = socket()
    const rejected = once(listening, 'reject')
    await listening.listen(await newUrl(transport)).then(({ url }) => {
      new Cat('nngcat', '--pair1', '--dial', url)
    })
    expect((await rejected)[1]).toBe('protocol')
  })

  test('nngcat that listens at our path fails, and we go on', async () => {
    const ours = socket()
    const url = await newUrl('ipc')
    await ours.listen(url)
    const rival = new Cat('nngcat', ...catArgs('nngcat', 'listens', url))
    expect(await rival.ended).not.toBe(0)
    const cat = new Cat('nngcat', ...catArgs('nngcat', 'dials', url))
    await ours.send('still here')
    expect(await cat.printed(1)).toEqual(['still here'])
  })
})
