import { once } from 'node:events'
import * as fs from 'node:fs'
import * as net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NngError } from '../lib'
import { inProcess, type Tools } from './support/childProcess'
import type { Run } from './support/command'
import { ipcPath, socket } from './support/transports'

// Elsewhere the system refuses a connection that finds no place, as if nobody
// listened.
const onLinux = process.platform === 'linux'
const describeOnLinux = onLinux ? describe : describe.skip

const visitors: net.Socket[] = []
const files: string[] = []

afterEach(() => {
  for (const visitor of visitors.splice(0)) visitor.destroy()
  for (const file of files.splice(0)) fs.rmSync(file, { force: true })
})

/** The next connection to the path, or why there is none. */
async function visit(path: string): Promise<string | undefined> {
  const visitor = net.connect(path)
  visitors.push(visitor)
  const failed = once(visitor, 'error').then(
    ([error]) => (error as NodeJS.ErrnoException).code
  )
  return Promise.race([failed, once(visitor, 'connect').then(() => undefined)])
}

/** Listens and stops before it accepts anybody; then it echoes everything. */
function stoppedListener({ say }: Tools, path: string): void {
  const { createServer } = process.getBuiltinModule('node:net')
  // It is a PAIR as well: the header is the same for both sides.
  const server = createServer((conn) => {
    conn.on('error', () => {})
    conn.pipe(conn)
  })
  server.listen({ path, backlog: 1 }, () => {
    say('listening')
    process.kill(process.pid, 'SIGSTOP')
  })
}

/** A listener that does not accept, and whose backlog is full. */
async function fullListener(): Promise<[url: string, run: Run]> {
  const path = ipcPath()
  files.push(path)
  const run = inProcess(stoppedListener, path)
  await run.line('listening')
  let refused: string | undefined
  while (refused === undefined) refused = await visit(path)
  expect(refused).toBe('EAGAIN')
  return [`ipc://${path}`, run]
}

describeOnLinux('dialing an ipc listener whose backlog is full', () => {
  test('waits as long as its timeout', async () => {
    const [url] = await fullListener()
    const start = performance.now()
    await expect(socket().dial(url, { timeout: 300 })).rejects.toMatchObject({
      code: 'ETIMEDOUT',
      message: `dial ETIMEDOUT: no answer in time '${url}'`
    })
    expect(performance.now() - start).toBeGreaterThan(290)
  })

  test('succeeds once there is room', async () => {
    const [url, run] = await fullListener()
    const sock = socket()
    const dialed = sock.dial(url)
    // It is not over before.
    const early = await Promise.race([dialed, sleep(200, 'waits')])
    expect(early).toBe('waits')
    run.kill('SIGCONT')
    await dialed
    await sock.send('hello')
    expect(String(await sock.recv())).toBe('hello')
  })

  test('goes on in the background with retry', async () => {
    const [url, run] = await fullListener()
    const sock = socket({ reconnectMin: 1, reconnectMax: 10 })
    await sock.dial(url, { retry: true })
    await sock.send('hello')
    const early = await Promise.race([sock.recv(), sleep(200, 'waits')])
    expect(early).toBe('waits')
    run.kill('SIGCONT')
    expect(sock.peer).toBeUndefined()
    await once(sock, 'connect')
  })

  test('can be cancelled by a signal', async () => {
    const [url] = await fullListener()
    const controller = new AbortController()
    const sock = socket()
    const dialed = sock.dial(url, { signal: controller.signal })
    setTimeout(() => controller.abort('cancelled'), 50)
    await expect(dialed).rejects.toBe('cancelled')
    expect(sock.stats().unsentMessages).toBe(0)
  })

  test('can be cancelled by close()', async () => {
    const [url] = await fullListener()
    const sock = socket()
    const dialed = sock.dial(url).catch((error: NngError) => error.code)
    await sleep(50)
    await sock.close()
    expect(await dialed).toBe('ECLOSED')
  })

  test('fails when the listener ends', async () => {
    const [url, run] = await fullListener()
    const dialed = socket()
      .dial(url)
      .catch((error: NngError) => error.code)
    run.kill('SIGKILL')
    await run.exit
    // Of a dead listener's backlog one may still be let in, and then dropped.
    expect(['ECONNREFUSED', 'ECONNRESET']).toContain(await dialed)
  })

  test('is what listenOrDial does, for somebody listens', async () => {
    const [url, run] = await fullListener()
    const sock = socket()
    const met = sock.listenOrDial(url)
    const early = await Promise.race([met, sleep(200, 'waits')])
    expect(early).toBe('waits')
    run.kill('SIGCONT')
    expect((await met).type).toBe('dialer')
  })
})
