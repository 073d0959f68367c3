// Calls of the system that fail or come back short, each in its turn, under a
// socket's whole life: support/failing_calls.c makes them. What fails to be
// allocated is what NNG and the engine allocate; without memory for an object
// of C++ or of JavaScript a process of Node ends.
//
// NNG_PAIR_FAULTS=all tries every fault there is, some eight hundred;
// NNG_PAIR_FAULT=13:2:32 a single one, as a failure names it.

import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { inProcessUnder, type Tools } from '../support/childProcess'
import { canPreload, preloading } from '../support/preload'
import { tempFolder } from '../support/tempFolder'
import { freeUrl, transports } from '../support/transports'

/** How each call can fail; 0 stands for one that comes back short. */
const CALLS: Record<string, (keyof typeof ERRNO | 0)[]> = {
  accept: ['EMFILE', 'ECONNABORTED', 'ENOMEM'],
  accept4: ['EMFILE', 'ECONNABORTED', 'ENOMEM'],
  bind: ['EADDRINUSE', 'EACCES'],
  calloc: ['ENOMEM'],
  connect: ['ECONNREFUSED', 'EADDRNOTAVAIL', 'ENETUNREACH'],
  epoll_create1: ['EMFILE'],
  epoll_ctl: ['ENOMEM', 'ENOSPC'],
  eventfd: ['EMFILE'],
  listen: ['EADDRINUSE'],
  malloc: ['ENOMEM'],
  mmap: ['ENOMEM'],
  pthread_create: ['EAGAIN'],
  readv: ['ECONNRESET', 'EINTR', 'ETIMEDOUT'],
  recv: ['ECONNRESET', 'EINTR', 'ENOMEM'],
  send: ['EPIPE', 'ECONNRESET', 'EINTR', 'EAGAIN', 'ENOBUFS', 0],
  sendmsg: ['EPIPE', 'ECONNRESET', 'EINTR', 'EAGAIN', 'ENOBUFS', 0],
  socket: ['EMFILE', 'ENOBUFS'],
  timerfd_create: ['EMFILE']
}

const ERRNO = {
  EINTR: 4,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EMFILE: 24,
  ENOSPC: 28,
  EPIPE: 32,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111
} as const

/** A call that fails: which, the how many-th, and with what. */
type Fault = [call: number, nth: number, error: number]

/**
 * In a process of its own: a life without a fault, which tells how many calls
 * of each kind there are, and then one with each fault. Says what is wrong.
 */
async function live(
  { lib, fs, say, settled, turn, startWorker }: Tools,
  scenario: 'sockets' | 'workers',
  url: string,
  controlFile: string,
  spared: [from: number, to: number],
  errors: number[][],
  some: number,
  only: Fault | null
): Promise<void> {
  const { PairSocket, NngError } = lib
  const file = fs.openSync(controlFile, 'r+')
  const COUNTS = 48
  const LIMIT_MS = 20_000

  /** Whose calls fail: the addon's. */
  function watchAddon(): void {
    const line = fs
      .readFileSync('/proc/self/maps', 'utf8')
      .split('\n')
      .filter((text) => text.includes('nng_pair') && text.includes('.node'))
    const base = parseInt(line[0]!.split('-')[0]!, 16)
    const code = line.find((text) => text.split(' ')[1]!.includes('x'))!
    const [from, to] = code.split(' ')[0]!.split('-')
    const range = new BigUint64Array([
      BigInt(parseInt(from!, 16)),
      BigInt(parseInt(to!, 16)),
      BigInt(base + spared[0]),
      BigInt(base + spared[1])
    ])
    fs.writeSync(file, range, 0, range.byteLength, 16)
  }

  function arm([call, nth, error]: Fault): void {
    const fields = new Int32Array([nth, error, 0])
    fs.writeSync(file, fields, 0, fields.byteLength, 4)
    fs.writeSync(file, new Int32Array([call]), 0, 4, 0)
  }
  /** From here on nothing fails: what came before could have. */
  let counted: number[] = []
  function disarm(): void {
    fs.writeSync(file, new Int32Array([-1]), 0, 4, 0)
    counted = counts()
  }

  function counts(): number[] {
    const fields = new Int32Array(errors.length)
    fs.readSync(file, fields, 0, fields.byteLength, COUNTS)
    return [...fields]
  }
  function resetCounts(): void {
    const zeros = Buffer.alloc(4 * errors.length)
    fs.writeSync(file, zeros, 0, zeros.length, COUNTS)
  }

  /** What anybody could act on. */
  function expectClear(error: unknown): undefined {
    if (!(error instanceof NngError)) throw error as Error
    if (!/^E[A-Z0-9]+$/.test(error.code) || !error.syscall || !error.message)
      throw error
  }

  const options = {
    recvTimeout: 300,
    sendTimeout: 300,
    reconnectMin: 1,
    reconnectMax: 5
  }
  const sizes = [0, 10, 3000, 5000, 70_000, 300_000]

  /** A numbered message of one of these sizes. */
  const message = (from: string, n: number) =>
    `${from}${n} `.padEnd(sizes[n % sizes.length]!, '.')

  /** What arrives is what was sent, in order; some may be missing. */
  async function receive(
    sock: InstanceType<typeof PairSocket>,
    from: string
  ): Promise<void> {
    let last = -1
    while (last < sizes.length - 1) {
      let got: string
      try {
        got = String(await sock.recv())
      } catch (error) {
        expectClear(error)
        return
      }
      const n = Number(got.slice(1, got.indexOf(' ')))
      if (n <= last || got !== message(from, n))
        throw new Error(`${got.slice(0, 20)} after ${last}`)
      last = n
    }
  }

  async function send(
    sock: InstanceType<typeof PairSocket>,
    from: string
  ): Promise<void> {
    for (let n = 0; n < sizes.length; n++)
      await sock.send(message(from, n)).catch(expectClear)
  }

  /** Two sockets meet, talk and part; then the listener is still there. */
  async function sockets(): Promise<void> {
    let a: InstanceType<typeof PairSocket>
    let b: InstanceType<typeof PairSocket>
    try {
      a = new PairSocket(options)
      b = new PairSocket(options)
    } catch (error) {
      expectClear(error)
      return
    }
    const listener = await a.listen(url).catch(expectClear)
    const dialer =
      listener &&
      (await b.dial(listener.url, { timeout: 2000 }).catch(expectClear))
    if (dialer)
      await Promise.all([
        send(a, 'a'),
        send(b, 'b'),
        receive(a, 'b'),
        receive(b, 'a')
      ])
    disarm()
    await b.close({ timeout: 1000 })
    while (a.tryRecv() !== undefined);
    if (listener) {
      const c = new PairSocket({ ...options, recvTimeout: 10_000 })
      await c.dial(listener.url, { retry: true })
      // Of those that are lost while b is still thought to be there, none
      // arrives late.
      let got: string | undefined
      while (got === undefined) {
        c.trySend('from c')
        got = await a.recv({ timeout: 20 }).then(String, () => undefined)
      }
      if (got !== 'from c') throw new Error(got.slice(0, 20))
      await c.close({ timeout: 1000 })
    }
    await a.close({ timeout: 1000 })
  }

  /** A thread with an engine of its own: it may not get one. */
  async function workers(): Promise<void> {
    const worker = startWorker(async ({ lib: { PairSocket } }, url) => {
      const a = new PairSocket({ recvTimeout: 1000, sendTimeout: 1000 })
      const b = new PairSocket({ recvTimeout: 1000, sendTimeout: 1000 })
      const { url: bound } = await a.listen(url)
      await b.dial(bound, { timeout: 2000 })
      await b.send('hello')
      await a.recv()
      await Promise.all([a.close({ timeout: 100 }), b.close({ timeout: 100 })])
    }, url)
    await new Promise<void>((resolve, reject) => {
      worker.once('exit', () => resolve())
      worker.once('error', (error: NodeJS.ErrnoException) => {
        if (/^E[A-Z0-9_]+$/.test(error.code ?? '')) resolve()
        else reject(error)
      })
    })
    disarm()
    await worker.terminate()
  }

  const run = scenario === 'sockets' ? sockets : workers
  const descriptors = () => fs.readdirSync('/proc/self/fd').length

  /** Nothing that was opened stays open. */
  async function expectDescriptors(count: number): Promise<void> {
    const begun = performance.now()
    while (descriptors() > count) {
      if (performance.now() - begun > 5000)
        throw new Error(`${descriptors() - count} descriptors are left open`)
      await turn()
    }
  }

  async function tryFault(fault: Fault | undefined): Promise<void> {
    const what = fault ? fault.join(':') : 'no fault'
    let timer: NodeJS.Timeout | undefined
    const hangs = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('hangs')), LIMIT_MS)
    })
    try {
      await Promise.race([run(), hangs])
      inScenario = counted
      await expectDescriptors(open)
    } catch (error) {
      const { stack } = error as Error
      say(`${what}: ${(error as NodeJS.ErrnoException).code} ${stack}`)
      open = descriptors()
    } finally {
      clearTimeout(timer)
      disarm()
    }
  }

  disarm()
  let open = Infinity
  let inScenario = counted
  await tryFault(undefined)
  watchAddon()
  open = await settled(descriptors)
  resetCounts()
  await tryFault(undefined)
  const found = inScenario
  const all = found.flatMap((count, call) =>
    errors[call]!.flatMap((error) =>
      Array.from({ length: count }, (_, i): Fault => [call, i + 1, error])
    )
  )
  // Others each time.
  const step = Math.max(1, all.length / some)
  const first = Math.random() * step
  const faults = only ? [only] : all.filter((_, i) => (i + first) % step < 1)
  let fired = 0
  for (const fault of faults) {
    // In a process that dies, the control file tells.
    arm(fault)
    await tryFault(fault)
    const field = new Int32Array(1)
    fs.readSync(file, field, 0, 4, 12)
    fired += field[0]!
  }
  say(`done: ${fired} of ${faults.length} failed`)
}

/** Where `operator new` is, of which Node has no use when it fails. */
function operatorNew(): [from: number, to: number] {
  const addon = path.join(__dirname, '../../build/Release/nng_pair.node')
  const symbols = execFileSync('nm', ['-S', addon], { encoding: 'utf8' })
  const [, at, size] = /^(\w+) (\w+) . _Znwm$/m.exec(symbols)!
  return [parseInt(at!, 16), parseInt(at!, 16) + parseInt(size!, 16)]
}

function describeFault([call, nth, error]: Fault): string {
  const name = Object.keys(CALLS)[call]!
  const code = Object.entries(ERRNO).find(([, value]) => value === error)
  return `${name} number ${nth}: ${code?.[0] ?? 'short'}`
}

const describeIfPossible = canPreload ? describe : describe.skip

describeIfPossible.each(transports)('a call fails over %s', (transport) => {
  test.each(['sockets', 'workers'] as const)(
    'each in its turn, under %s',
    async (scenario) => {
      const control = path.join(tempFolder(), 'control')
      fs.writeFileSync(control, Buffer.alloc(4096))
      const some = process.env.NNG_PAIR_FAULTS ?? '25'
      const only = process.env.NNG_PAIR_FAULT?.split(':').map(Number) ?? null
      const run = inProcessUnder(
        { env: preloading('failing_calls', { FAILING_CALLS: control }) },
        live,
        scenario,
        freeUrl(transport),
        control,
        operatorNew(),
        Object.values(CALLS).map((errors) =>
          errors.map((error) => (error === 0 ? 0 : ERRNO[error]))
        ),
        some === 'all' ? 2 ** 30 : Number(some),
        only as Fault | null
      )
      const exit = await run.exit
      const fields = new Int32Array(fs.readFileSync(control).buffer, 0, 3)
      const problems = run.lines
        .filter((line) => !line.startsWith('done: '))
        .map((line) =>
          line.replace(/^(\d+:\d+:\d+)/, (fault) =>
            describeFault(fault.split(':').map(Number) as Fault)
          )
        )
      if (exit.code !== 0)
        problems.push(`${exit.signal ?? exit.code} at ${fields.join(':')}`)
      expect(problems).toEqual([])
      // Those that come as often every time have failed, all but a few.
      const [, fired, tried] = /(\d+) of (\d+)/.exec(run.lines.at(-1)!)!
      expect(Number(fired)).toBeGreaterThan(Number(tried) / 2)
    },
    600_000 // as long as all of them take on a busy machine
  )
})
