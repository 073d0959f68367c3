import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import * as net from 'node:net'
import * as os from 'node:os'
import type { NngError, PairSocket, TcpPeer } from '../lib'
import { ending, type Main } from './support/childProcess'
import type { Run } from './support/command'
import { freePort } from './support/freePort'
import { canName, inProcessNaming, type Names } from './support/names'
import { socket } from './support/transports'

// What is resolved here nobody knows but the processes that are told.
const testNaming = canName ? test : test.skip
const unless = canName ? '' : ' (needs Linux and a C compiler)'

const SUCCESS = { code: 0, signal: null }
// For longer than any test: whatever waits for it fails.
const NEVER = '@600000 127.0.0.1'
// Whatever can be kept waiting has fewer threads.
const MANY = 6

const names: Names = {
  'quick.test': '127.0.0.1',
  ...Object.fromEntries(
    Array.from({ length: MANY }, (_, i) => [`hang${i}.test`, NEVER])
  )
}

/** Runs a function among names that hang; it must end well, and soon. */
async function endsWell<A extends readonly unknown[]>(
  main: Main<A>,
  ...args: A
): Promise<string[]> {
  const run = inProcessNaming(names, main, ...args)
  const exit = await ending(run)
  if (exit.code !== 0) throw new Error(run.stamped.join('\n'))
  expect(exit).toEqual(SUCCESS)
  return run.lines
}

describe(`a name that is never answered${unless}`, () => {
  testNaming('keeps neither sockets nor the process waiting', async () => {
    const lines = await endsWell(
      async ({ lib, fs, once, say, startWorker }, many) => {
        for (let i = 0; i < many; i++) {
          const stuck = new lib.PairSocket()
          await stuck.dial(`tcp://hang${i}.test:1`, { retry: true })
          void stuck.listen(`tcp://hang${i}.test:0`)
        }
        await fs.promises.readFile('/dev/null')
        say('the pool is free')

        const listening = new lib.PairSocket()
        const { url } = await listening.listen('tcp://127.0.0.1:0')
        const dialing = new lib.PairSocket({ reconnectMin: 1 })
        await dialing.dial(url, { timeout: 15_000 })
        say('dialed')

        const gone = once(dialing, 'disconnect')
        await listening.close()
        await gone
        const again = new lib.PairSocket()
        const back = once(dialing, 'connect')
        await again.listen(url)
        await back
        say('dialed again')
        await dialing.close()

        const port = url.slice(url.lastIndexOf(':'))
        for (const host of ['127.0.0.1', '127.1', 'localhost', 'quick.test']) {
          // Both may be told at once: the worker does not wait for us.
          const met = once(again, 'connect')
          const parted = once(again, 'disconnect')
          const worker = startWorker(async ({ lib }, to) => {
            const sock = new lib.PairSocket()
            await sock.dial(to)
            await sock.close()
          }, `tcp://${host}${port}`)
          const ended = once(worker, 'exit')
          await met
          await parted
          await ended
          say(`a worker dialed ${host}`)
        }

        for (const host of ['127.1', 'localhost', '*', 'quick.test']) {
          const sock = new lib.PairSocket()
          await sock.listen(`tcp://${host}:0`)
          await sock.close()
          say(`listened at ${host}`)
        }
        process.exit()
      },
      MANY
    )
    expect(lines).toEqual([
      'the pool is free',
      'dialed',
      'dialed again',
      'a worker dialed 127.0.0.1',
      'a worker dialed 127.1',
      'a worker dialed localhost',
      'a worker dialed quick.test',
      'listened at 127.1',
      'listened at localhost',
      'listened at *',
      'listened at quick.test'
    ])
  })

  // Its address would be refused: it was not looked up to the end.
  testNaming('leaves dial() its time limit and its signal', async () => {
    const lines = await endsWell(async ({ lib, say }) => {
      const sock = new lib.PairSocket()
      const told = (error: Error & { code?: string }) =>
        say(error.code ?? error.message)
      await sock.dial('tcp://hang0.test:1', { timeout: 100 }).catch(told)
      const signal = AbortSignal.abort(new Error('aborted'))
      await sock.dial('tcp://hang1.test:1', { signal }).catch(told)
      await sock.listen('tcp://127.0.0.1:0')
      await sock.close()
      say('closed')
    })
    expect(lines).toEqual(['ETIMEDOUT', 'aborted', 'closed'])
  })

  // Nothing else keeps such a process alive, and none exits by itself.
  testNaming('is not waited for when its socket is closed', async () => {
    const lines = await endsWell(async ({ lib, say }) => {
      const sock = new lib.PairSocket()
      const told = (what: string) => (error: Error & { code?: string }) =>
        say(`${what} ${error.code}`)
      const calls = [
        sock.dial('tcp://hang0.test:1').catch(told('dial')),
        sock.listen('tcp://hang1.test:0').catch(told('listen'))
      ]
      const dialer = await sock.dial('tcp://hang2.test:1', { retry: true })
      await dialer.close()
      say('dialer closed')
      await sock.close()
      await Promise.all(calls)
      say('closed')
    })
    expect(lines.slice().sort()).toEqual([
      'closed',
      'dial ECLOSED',
      'dialer closed',
      'listen ECLOSED'
    ])
  })

  const three: Main<[]> = async ({ lib, parentPort }) => {
    const sock = new lib.PairSocket()
    void sock.listen('tcp://hang0.test:0').catch(() => {})
    void sock.dial('tcp://hang1.test:1').catch(() => {})
    await sock.dial('tcp://hang2.test:1', { retry: true })
    parentPort?.postMessage('waiting')
    parentPort?.once('message', () => process.exit())
  }

  testNaming('is not waited for on process.exit()', async () => {
    const lines = await endsWell(
      async ({ lib, once, say, startWorker, threads, turn }, three) => {
        await once(startWorker(three), 'message')
        const sock = new lib.PairSocket()
        void sock.listen('tcp://hang3.test:0')
        await sock.dial('tcp://hang4.test:1', { retry: true })
        while (threads('nng:resolver') < 5) await turn()
        say('looking up')
        process.exit()
      },
      String(three)
    )
    expect(lines).toEqual(['looking up'])
  })

  testNaming.each(['its end', 'terminate()'])(
    'is not waited for when a worker ends by %s',
    async (how) => {
      const lines = await endsWell(
        async ({ once, say, startWorker, threads, turn }, three, how) => {
          const worker = startWorker(three)
          await once(worker, 'message')
          while (threads('nng:resolver') < 3) await turn()
          if (how === 'terminate()') await worker.terminate()
          else {
            worker.postMessage('exit')
            await once(worker, 'exit')
          }
          say(`${threads('nng:resolver')} left`)
        },
        String(three),
        how
      )
      expect(lines).toEqual(['3 left'])
    }
  )
})

describe(`looking up${unless}`, () => {
  testNaming('leaves no thread behind', async () => {
    const run = inProcessNaming(
      // A worker has started long before the second comes.
      { 'slow.test': '@100 127.0.0.1', 'slower.test': '@2000 127.0.0.1' },
      async ({ lib, once, say, startWorker, threads, turn }) => {
        const resolving = () => threads('nng:resolver')
        const sock = new lib.PairSocket()
        await sock.listen('tcp://127.0.0.1:0')
        say(`${resolving()} without a name`)
        // One that is awaited, one that is cancelled, and one of an engine
        // that is gone when the answer comes.
        await sock.listen('tcp://slow.test:0')
        await sock.dial('tcp://slower.test:1', { timeout: 1 }).catch(() => {})
        const worker = startWorker(async ({ lib, parentPort }) => {
          const other = new lib.PairSocket()
          await other.dial('tcp://slower.test:1', { retry: true })
          parentPort!.postMessage('waiting')
        })
        await once(worker, 'message')
        say(`${resolving()} when cancelled`)
        await worker.terminate()
        while (resolving() > 0) await turn()
        await sock.close()
      }
    )
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines[0]).toBe('0 without a name')
    expect(run.lines[1]).toMatch(/^[12] when cancelled$/)
  })

  // More than there are ever threads: some have to wait for others.
  testNaming('works for any number of names', async () => {
    const run = inProcessNaming(
      { 'slow.test': '@300 127.0.0.1' },
      async ({ lib, say, threads, turn }) => {
        const sock = new lib.PairSocket()
        const cancelled = new lib.PairSocket()
        let left = 200
        for (let i = 0; i < 200; i++) {
          void sock.listen('tcp://slow.test:0').then(() => left--)
          void cancelled.listen('tcp://slow.test:0').catch(() => {})
        }
        await cancelled.close()
        let most = 0
        while (left > 0) {
          most = Math.max(most, threads('nng:resolver'))
          await turn()
        }
        await sock.close()
        say(String(most))
      }
    )
    expect(await ending(run)).toEqual(SUCCESS)
    const most = Number(run.lines.join())
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(128)
  })

  testNaming.each([
    ['!-2', 'EADDRINVAL', 'is not known', 'ENOTFOUND'],
    ['!-5', 'EADDRINVAL', 'is not known', 'ENOTFOUND'],
    ['!-4', 'EADDRINVAL', 'is not known', 'ENOTFOUND'],
    ['!-3', 'EAGAIN', 'cannot be resolved now', 'EAI_AGAIN']
  ])('that ends with %s fails with %s', async (answer, code, why, cause) => {
    const run = inProcessNaming(
      { 'bad.test': answer },
      async ({ lib, say }) => {
        const sock = new lib.PairSocket()
        const told = (error: unknown) => {
          const { code, message, cause } = error as NngError
          say(JSON.stringify([code, message, cause ?? 'none']))
        }
        await sock.listen('tcp://bad.test:1').catch(told)
        await sock.dial('tcp://bad.test:1').catch(told)
        await sock.close()
      }
    )
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      [
        code,
        `listen ${code}: the host 'bad.test' ${why} 'tcp://bad.test:1'`,
        expect.objectContaining({
          code: cause,
          syscall: 'getaddrinfo',
          hostname: 'bad.test'
        })
      ],
      [code, expect.stringMatching(`^dial ${code}: the host `), 'none']
    ])
  })
})

/** A socket of the test that listens at that address alone. */
async function listenAt(address: string, port: number): Promise<PairSocket> {
  const sock = socket()
  await sock.listen(
    `tcp://${net.isIPv6(address) ? `[${address}]` : address}:${port}`
  )
  return sock
}

/** Keeps dialing a name in a process of its own, which says whom it meets. */
function dialForever(addresses: string, port: number): Run {
  return inProcessNaming(
    { 'many.test': addresses },
    async ({ lib, say }, url) => {
      const sock = new lib.PairSocket({ reconnectMin: 1, reconnectMax: 10 })
      sock.on('connect', (peer) => {
        if (peer.transport === 'tcp') say(peer.address)
      })
      await sock.dial(url, { retry: true })
    },
    `tcp://many.test:${port}`
  )
}

/** Dials a name once in a process of its own; returns what came of it. */
async function dialOnce(addresses: string, port: number): Promise<string> {
  const run = inProcessNaming(
    { 'many.test': addresses },
    async ({ lib, say }, url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url).then(
        () => say((sock.peer as TcpPeer).address),
        (error: NngError) => say(error.code)
      )
      await sock.close()
    },
    `tcp://many.test:${port}`
  )
  expect(await ending(run)).toEqual(SUCCESS)
  return run.lines.join()
}

const stopped: ChildProcess[] = []
const visitors: net.Socket[] = []

afterEach(() => {
  for (const child of stopped.splice(0)) child.kill('SIGKILL')
  for (const visitor of visitors.splice(0)) visitor.destroy()
})

/** From now on nobody who connects to that address is answered. */
async function swallow(address: string, port: number): Promise<void> {
  const child = spawn(
    process.execPath,
    [
      '-e',
      `require('node:net').createServer()
        .listen({ host: '${address}', port: ${port}, backlog: 1 })
        .on('listening', () => console.log('listening'))`
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] }
  )
  stopped.push(child)
  await once(child.stdout, 'data')
  child.kill('SIGSTOP')
  // The kernel answers for it until its queue is full.
  for (let i = 0; i < 10; i++) {
    visitors.push(net.connect(port, address).on('error', () => {}))
  }
  await Promise.all(
    visitors.slice(-10, -8).map((visitor) => once(visitor, 'connect'))
  )
}

const hasIPv6 = Object.values(os.networkInterfaces())
  .flat()
  .some((address) => address?.address === '::1')
const testBoth = canName && hasIPv6 ? test : test.skip

describe(`a name with several addresses${unless}`, () => {
  const three = '127.0.0.11 127.0.0.12 127.0.0.13'

  testNaming('is dialed at each of them', async () => {
    const port = await freePort()
    for (const address of three.split(' ')) {
      const sock = await listenAt(address, port)
      expect(await dialOnce(three, port)).toBe(address)
      await sock.close()
    }
    expect(await dialOnce(three, port)).toBe('ECONNREFUSED')
  })

  testNaming('is dialed again at each of them', async () => {
    const port = await freePort()
    const run = dialForever(three, port)
    const met: string[] = []
    for (const address of ['127.0.0.13', '127.0.0.11', '127.0.0.12']) {
      const sock = await listenAt(address, port)
      met.push(address)
      await run.until(({ lines }) => lines.length === met.length)
      await sock.close()
    }
    expect(run.lines).toEqual(met)
    run.kill('SIGKILL')
  })

  testBoth('is dialed at those of both families in turn', async () => {
    const port = await freePort()
    const six = await listenAt('::1', port)
    const four = await listenAt('127.0.0.12', port)
    const addresses = '127.0.0.11 127.0.0.12 ::1'
    expect(await dialOnce(addresses, port)).toBe('::1')
    await six.close()
    expect(await dialOnce(addresses, port)).toBe('127.0.0.12')
    expect(await dialOnce('::1 127.0.0.12', port)).toBe('127.0.0.12')
    await four.close()
    expect(await dialOnce(addresses, port)).toBe('ECONNREFUSED')
  })

  testNaming('is not dialed for long at one that does not answer', async () => {
    const port = await freePort()
    await swallow('127.0.0.11', port)
    await expect(
      socket().dial(`tcp://127.0.0.11:${port}`, { timeout: 400 })
    ).rejects.toMatchObject({ code: 'ETIMEDOUT' })

    expect(await dialOnce('127.0.0.11 127.0.0.12', port)).toBe('ECONNREFUSED')
    await listenAt('127.0.0.13', port)
    expect(await dialOnce(three, port)).toBe('127.0.0.13')
    // And again, when dialing again.
    const run = dialForever(three, port)
    await run.line('127.0.0.13')
    run.kill('SIGKILL')
  })

  // The one that tells most: there is no way to the others.
  testNaming.each([
    '2001:db8::1 127.0.0.11',
    '127.0.0.11 2001:db8::1 127.0.0.12'
  ])('fails with what can be acted on: %s', async (addresses) => {
    const port = await freePort()
    expect(await dialOnce(addresses, port)).toBe('ECONNREFUSED')
  })

  testNaming('is listened to at the first', async () => {
    const run = inProcessNaming(
      { 'many.test': three },
      async ({ lib, say }) => {
        const sock = new lib.PairSocket()
        const { url } = await sock.listen('tcp://many.test:0')
        say(url)
      }
    )
    await run.until(({ lines }) => lines.length > 0)
    const port = /^tcp:\/\/many\.test:(\d+)$/.exec(run.lines[0]!)![1]!
    await socket().dial(`tcp://127.0.0.11:${port}`)
    await expect(
      socket().dial(`tcp://127.0.0.12:${port}`)
    ).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    run.kill('SIGKILL')
  })

  testNaming('is none if it is localhost', async () => {
    const port = await freePort()
    await listenAt('127.0.0.11', port)
    await listenAt('127.0.0.1', port)
    const run = inProcessNaming(
      { localhost: '127.0.0.11' },
      async ({ lib, say }, url) => {
        const sock = new lib.PairSocket()
        const listenError = await sock.listen(url).catch((e: NngError) => e)
        if ('code' in listenError) say(listenError.code)
        await sock.dial(url)
        say((sock.peer as TcpPeer).address)
        await sock.close()
      },
      `tcp://localhost:${port}`
    )
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['EADDRINUSE', '127.0.0.1'])
  })
})
