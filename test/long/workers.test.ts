import { randomInt } from 'node:crypto'
import { ending, inProcess, type Main } from '../support/childProcess'
import { freeUrl, ipcPath, transports } from '../support/transports'

// More of them for a soak:
//
//   NNG_PAIR_WORKERS=20 NNG_PAIR_WORKER_ROUNDS=100 npx jest test/long/workers
//
// With the engines on threads of their own there are twice as many threads: a
// round of twenty takes seconds, or many where it is slow.
const WORKERS = Number(
  process.env.NNG_PAIR_WORKERS ??
    (process.env.NNG_PAIR_DRIVER === 'thread' ? 6 : 20)
)
const ROUNDS = Number(process.env.NNG_PAIR_WORKER_ROUNDS ?? 3)
// Of each of two workers: NNG_PAIR_CLOSES=500 is a thousand.
const CLOSES = Number(process.env.NNG_PAIR_CLOSES ?? 20)
// Far more than it takes.
const ROUND_WITHIN_MS = 20_000

const SUCCESS = { code: 0, signal: null }

/** Closes pairs of sockets with traffic both ways, one after the other. */
const closer: Main<[at: string, closes: number]> = async (
  { lib, turn },
  at,
  closes
) => {
  for (let i = 0; i < closes; i++) {
    const sockets = [new lib.PairSocket(), new lib.PairSocket()] as const
    const [listening, dialing] = sockets
    const { url } = await listening.listen(at)
    await dialing.dial(url)
    // Some go straight to the kernel, some have to wait.
    const message = Buffer.alloc([10, 5000, 300_000][i % 3]!, i)
    let arrived = 0
    const busy = sockets.flatMap((sock) => [
      (async () => {
        for (;;) await sock.send(message)
      })().catch(() => {}),
      (async () => {
        for (; ; arrived++) await sock.recv()
      })().catch(() => {})
    ])
    const enough = i % 10
    while (arrived < enough) await turn()
    // The one or the other, or both at once, with time to say goodbye or none.
    const options = { timeout: i % 4 === 0 ? 0 : 20 }
    await Promise.all(
      sockets.slice(i % 3 === 0 ? 0 : 1).map((sock) => sock.close(options))
    )
    await Promise.all(sockets.map((sock) => sock.close({ timeout: 0 })))
    await Promise.all(busy)
  }
}

/** Listens for some sockets of its left neighbour, dials its right one's. */
const neighbour: Main<[at: string, count: number, messages: number]> = async (
  { lib, once, parentPort },
  at,
  count,
  messages
) => {
  const left = Array.from({ length: count }, () => new lib.PairSocket())
  const listeners = await Promise.all(
    left.map((sock, i) => sock.listen(at.startsWith('ipc') ? `${at}.${i}` : at))
  )
  parentPort!.postMessage(listeners.map(({ url }) => url))
  const [urls] = (await once(parentPort!, 'message')) as [string[]]
  const right = await Promise.all(
    urls.map(async (url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url)
      return sock
    })
  )
  // Some of them are large enough to become memory of V8's.
  const message = (i: number) =>
    Buffer.alloc(i % 20 === 0 ? 50_000 : 50, `message ${i}, `)
  const talk = async (sock: (typeof left)[number]) => {
    const received = (async () => {
      for (let i = 0; i < messages; i++) {
        if (!message(i).equals(await sock.recv())) {
          throw new Error(`that is not message ${i}`)
        }
      }
    })()
    for (let i = 0; i < messages; i++) await sock.send(message(i))
    await received
    await sock.close()
  }
  await Promise.all([...left, ...right].map(talk))
}

describe.each(transports)('workers over %s', (transport) => {
  test('many sockets of many workers talk at once', async () => {
    const run = inProcess(
      async ({ once, say, startWorker }, neighbour, at) => {
        const workers = Array.from({ length: 6 }, (_, i) =>
          startWorker(
            neighbour,
            at.startsWith('ipc') ? `${at}.${i}` : at,
            5,
            200
          )
        )
        const urls = await Promise.all(
          workers.map(async (worker) => (await once(worker, 'message'))[0])
        )
        const codes = await Promise.all(
          workers.map(async (worker, i) => {
            worker.postMessage(urls[(i + 1) % workers.length])
            return (await once(worker, 'exit'))[0]
          })
        )
        say(codes.join(' '))
      },
      String(neighbour),
      freeUrl(transport)
    )
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['0 0 0 0 0 0'])
  })

  test('two of them close under traffic at once', async () => {
    const run = inProcess(
      async ({ once, say, startWorker }, closer, at, closes) => {
        const codes = await Promise.all(
          ['a', 'b'].map(async (name) => {
            const own = at.startsWith('ipc') ? `${at}.${name}` : at
            return (await once(startWorker(closer, own, closes), 'exit'))[0]
          })
        )
        say(codes.join(' '))
      },
      String(closer),
      freeUrl(transport),
      CLOSES
    )
    expect(await ending(run, 10_000 + CLOSES * 1000)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['0 0'])
  })

  test('come, and go in a flood, as peers of one socket', async () => {
    const run = inProcess(async ({ lib, once, say, startWorker, turn }, at) => {
      const sock = new lib.PairSocket()
      const { url } = await sock.listen(at)
      for (let i = 0; i < 10; i++) {
        const gone = once(sock, 'disconnect')
        const worker = startWorker(async ({ lib, parentPort }, url) => {
          const sock = new lib.PairSocket()
          await sock.dial(url)
          parentPort!.postMessage(String(await sock.recv()))
          for (;;) await sock.send('a flood')
        }, url)
        // Its peer may not be there yet: it waits for the next one.
        await sock.send(`message ${i}`)
        say(((await once(worker, 'message')) as [string])[0])
        while (String(await sock.recv()) !== 'a flood') continue
        await worker.terminate()
        // A dead peer is the peer until all that came of it was received.
        let alone = false
        void gone.then(() => (alone = true))
        while (!alone) if (sock.tryRecv() === undefined) await turn()
      }
      await sock.close()
    }, freeUrl(transport))
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(
      Array.from({ length: 10 }, (_, i) => `message ${i}`)
    )
  })
})

test('the addon comes and goes with workers', async () => {
  // The main thread has it last, and the process is without it in between.
  const run = inProcess(async (tools) => {
    const { once, startWorker } = tools
    const exchange: Main<[]> = async ({ lib, say }) => {
      const one = new lib.PairSocket()
      const other = new lib.PairSocket()
      const { url } = await one.listen('tcp://127.0.0.1:0')
      await other.dial(url)
      await one.send('hello')
      say(String(await other.recv()))
      await other.close()
      await one.close()
    }
    const inWorker = async () => {
      await once(startWorker(exchange), 'exit')
    }
    for (let i = 0; i < 3; i++) await inWorker()
    await Promise.all([1, 2, 3].map(inWorker))
    await exchange(tools)
  })
  expect(await ending(run)).toEqual(SUCCESS)
  expect(run.lines).toEqual(Array<string>(7).fill('hello'))
})

/** Has sockets in all states until it is ended. */
const busyWorker: Main<[main: string, at: string, calls: number]> = async (
  { lib, turn, parentPort },
  main,
  at,
  calls
) => {
  parentPort!.on('message', () => process.exit(7))
  const outside = new lib.PairSocket()
  await outside.dial(main)
  const one = new lib.PairSocket()
  const other = new lib.PairSocket()
  await other.dial((await one.listen(at)).url)
  for (const sock of [outside, one, other]) {
    void (async () => {
      // The large ones become memory of V8's.
      for (let i = 0; ; i++) {
        await sock.send(Buffer.alloc(i % 8 === 0 ? 40_000 : 40))
      }
    })()
    void (async () => {
      for (;;) await sock.recv()
    })()
  }
  parentPort!.postMessage('busy')
  const closing: Promise<unknown>[] = []
  for (;;) {
    const passing = new lib.PairSocket()
    void passing.listen(at.replace(/$/, '.passing')).catch(() => {})
    void passing.listen('tcp://127.0.0.1:0').catch(() => {})
    void passing.dial(main, { retry: true }).catch(() => {})
    await turn()
    // Not more than the thread pool, which all workers share, keeps up with.
    closing.push(passing.close({ timeout: 0 }))
    if (closing.length > 2) await closing.shift()
    // Most of the time in the middle of a call, or hardly ever.
    for (let i = 0; i < calls; i++) one.trySend('in between')
  }
}

/** Ends many such workers, round after round. */
const terminator: Main<
  [worker: string, path: string, workers: number, rounds: number, seed: number]
> = async (
  { lib, fs, once, say, settled, sleep, startWorker, turn },
  busyWorker,
  path,
  workers,
  rounds,
  seed
) => {
  // The generator of support/random.ts, which is not at hand here.
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const ipc = (name: string) => `ipc://${path}.${name}`

  // Two connections of the main thread that must not notice anything.
  let exchanged = 0
  const undisturbed = async (at: string) => {
    const one = new lib.PairSocket()
    const other = new lib.PairSocket()
    await other.dial((await one.listen(at)).url)
    for (const sock of [one, other]) {
      sock.once('disconnect', () => {
        if (!sock.closed) throw new Error(`${at} was disconnected`)
      })
    }
    const flow = async (from: typeof one, to: typeof one) => {
      for (let i = 0; !to.closed; i++) {
        await from.send(`message ${i}`)
        const got = String(await to.recv())
        if (got !== `message ${i}`) throw new Error(`${got}, not ${i}`)
        exchanged++
        await turn()
      }
    }
    const flows = [flow(one, other), flow(other, one)].map((promise) =>
      promise.catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ECLOSED') throw error
      })
    )
    return async () => {
      await Promise.all([one.close({ timeout: 0 }), other.close()])
      await Promise.all(flows)
    }
  }

  const endOne = async (name: string, i: number) => {
    const sock = new lib.PairSocket()
    const at = (side: string) =>
      i % 2 === 0 ? 'tcp://127.0.0.1:0' : ipc(`${name}.${side}`)
    const { url } = await sock.listen(at('main'))
    void (async () => {
      for (;;) await sock.send(Buffer.alloc(100))
    })().catch(() => {})
    void (async () => {
      for await (const _ of sock) continue
    })()
    const calls = i % 4 < 2 ? 0 : 1000
    const worker = startWorker(busyWorker, url, at('worker'), calls)
    let online = false
    worker.once('online', () => (online = true))
    // It rejects if the worker fails.
    const exit = once(worker, 'exit')
    // A few do not get to be busy.
    if (i % 5 !== 0) await Promise.race([once(worker, 'message'), exit])
    await sleep(random() * 100)
    const gone = sock.peer === undefined ? undefined : once(sock, 'disconnect')
    const byItself = random() < 0.5
    if (byItself) worker.postMessage('exit')
    else void worker.terminate()
    const [code] = (await exit) as [number]
    // Node says 0 of one that was ended before it began.
    if (code !== (byItself ? 7 : online || code !== 0 ? 1 : 0)) {
      throw new Error(`exit code ${code}`)
    }
    await gone
    await sock.close({ timeout: 0 })
  }

  const held = () =>
    ['fd', 'task']
      .map((what) => fs.readdirSync(`/proc/self/${what}`).length)
      .join(' descriptors, ') + ' threads'
  let first: string | undefined
  for (let round = 0; round < rounds; round++) {
    const endings = await Promise.all([
      undisturbed('tcp://127.0.0.1:0'),
      undisturbed(ipc(`${round}.undisturbed`))
    ])
    const before = exchanged
    await Promise.all(
      Array.from({ length: workers }, (_, i) => endOne(`${round}.${i}`, i))
    )
    if (exchanged === before) throw new Error('the main thread stood still')
    await Promise.all(endings.map((end) => end()))
    // The first round has brought what stays: the thread pool, V8's threads.
    // Connections end on a thread of NNG's, a little later.
    first ??= await settled(held)
    while (held() !== first) await turn()
    say(
      `round ${round}: ${exchanged} messages, ${held()}, ` +
        `${process.memoryUsage.rss() >> 20} MiB`
    )
  }
}

test(
  `${WORKERS} busy workers end at any moment: ${ROUNDS} rounds`,
  async () => {
    const seed = Number(process.env.NNG_PAIR_WORKER_SEED ?? randomInt(2 ** 31))
    const run = inProcess(
      terminator,
      String(busyWorker),
      ipcPath(),
      WORKERS,
      ROUNDS,
      seed
    )
    const exit = await ending(run, ROUNDS * ROUND_WITHIN_MS)
    if (exit.code !== 0) {
      throw new Error(`seed ${seed}, ${exit.signal}: ${run.lines.join('\n')}`)
    }
    expect(run.lines.length).toBe(ROUNDS)
    if (ROUNDS > 10) console.log(run.lines.join('\n'))
  },
  ROUNDS * ROUND_WITHIN_MS + 10_000
)
