import * as fs from 'node:fs'
import { once } from 'node:events'
import type { PairSocket } from '../lib'
import { ending, inProcess, type Main } from './support/childProcess'
import { unusedUrl, type Run } from './support/command'
import { RawListener } from './support/rawPeer'
import { tempFolder } from './support/tempFolder'
import {
  freeUrl,
  ipcPath,
  socket,
  transports,
  type Transport
} from './support/transports'

const SUCCESS = { code: 0, signal: null }

/** Sends and receives without end, until the socket is closed. */
function busy(sock: PairSocket): void {
  const send = async () => {
    for (;;) await sock.send(Buffer.alloc(1000))
  }
  const recv = async () => {
    for (;;) await sock.recv()
  }
  send().catch(() => {})
  recv().catch(() => {})
}

/** A socket of the test that listens. */
async function listening(transport: Transport) {
  const peer = socket()
  const { url } = await peer.listen(freeUrl(transport))
  return { peer, url }
}

/** Connects to a process that says where it listens. */
async function dialTo(run: Run): Promise<PairSocket> {
  let url: string | undefined
  await run.until(({ lines }) => {
    url = lines.find((line) => /^(tcp|ipc):/.test(line))
    return url !== undefined
  })
  const peer = socket()
  await peer.dial(url!)
  return peer
}

describe('a process that has nothing left to do', () => {
  test('ends when it only loaded the package', async () => {
    const run = inProcess(({ say }) => say('loaded'))
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['loaded'])
  })

  test('ends with open sockets that have no endpoint', async () => {
    const run = inProcess(({ lib, say }) => {
      for (let i = 0; i < 10; i++) {
        const sock = new lib.PairSocket()
        sock.trySend('never sent')
        void sock.recv().then(() => say('received'))
      }
    })
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual([])
  })

  test('ends when dialing has failed', async () => {
    const run = inProcess(({ lib, say }, url) => {
      new lib.PairSocket()
        .dial(url)
        .catch(({ code }: NodeJS.ErrnoException) => say(String(code)))
    }, `ipc://${ipcPath()}`)
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['ECONNREFUSED'])
  })
})

// With async hooks, whatever is made is told to JavaScript, which no longer runs
// when the environment ends: Node ended the process with code 7.
describe('the natural end with an AsyncLocalStorage in use', () => {
  test('of a process with a socket that is open', async () => {
    const run = inProcess(({ lib, AsyncLocalStorage }) => {
      const sock = new lib.PairSocket()
      new AsyncLocalStorage().run('store', () => void sock.recv())
    })
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual([])
  })

  test.each(transports)(
    'of a process with a peer over %s',
    async (transport) => {
      const run = inProcess(async ({ lib, AsyncLocalStorage }, at) => {
        await new AsyncLocalStorage().run('store', async () => {
          const [one, other] = [new lib.PairSocket(), new lib.PairSocket()]
          const { url } = await one.unref().listen(at)
          await other.unref().dial(url)
          await one.send('there')
          await other.recv()
        })
      }, freeUrl(transport))
      expect(await ending(run)).toEqual(SUCCESS)
      expect(run.lines).toEqual([])
    }
  )

  test('of a worker with a socket that is open', async () => {
    const run = inProcess(async ({ once, say, startWorker }) => {
      const worker = startWorker(({ lib, AsyncLocalStorage }) => {
        const sock = new lib.PairSocket()
        new AsyncLocalStorage().run('store', () => void sock.recv())
      })
      const [code] = (await once(worker, 'exit')) as [number]
      say(`the worker: ${code}`)
    })
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['the worker: 0'])
  })
})

describe.each(transports)('an endpoint over %s', (transport) => {
  test('keeps the process of a listener alive until close()', async () => {
    const run = inProcess(async ({ lib, say, once }, at) => {
      process.on('beforeExit', () => say('nothing left'))
      const sock = new lib.PairSocket()
      say((await sock.listen(at)).url)
      // Two peers, one after the other, and nothing in between.
      for (let i = 0; i < 2; i++) {
        const left = once(sock, 'disconnect')
        const name = String(await sock.recv())
        say(name)
        await left
        say(`${name} left`)
      }
      say('closing')
      await sock.close()
    }, freeUrl(transport))
    for (const name of ['one', 'two']) {
      const peer = await dialTo(run)
      await peer.send(name)
      await run.line(name)
      await peer.close()
      await run.line(`${name} left`)
    }
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines.slice(1)).toEqual([
      'one',
      'one left',
      'two',
      'two left',
      'closing',
      'nothing left'
    ])
  })

  test('keeps the process of a dialer alive, with a peer and without', async () => {
    const url = await unusedUrl(transport)
    const first = socket()
    await first.listen(url)
    const run = inProcess(async ({ lib, say }, url) => {
      process.on('beforeExit', () => say('nothing left'))
      const sock = new lib.PairSocket({ reconnectMin: 10, reconnectMax: 50 })
      sock.on('disconnect', () => say('alone'))
      await sock.dial(url)
      // Two messages, of two peers, with a while of nobody in between.
      say(String(await sock.recv()))
      say(String(await sock.recv()))
      await sock.close()
    }, url)
    await first.send('one')
    await run.line('one')
    await first.close()
    await run.line('alone')
    const second = socket()
    await second.listen(url)
    await second.send('two')
    expect(await ending(run)).toEqual(SUCCESS)
    // It may have met the closing listener once more.
    expect([...new Set(run.lines)]).toEqual([
      'one',
      'alone',
      'two',
      'nothing left'
    ])
  })

  test('keeps the process alive while dialing', async () => {
    const url = await unusedUrl(transport)
    const run = inProcess(async ({ lib, say }, url) => {
      const sock = new lib.PairSocket({ reconnectMin: 10, reconnectMax: 50 })
      await sock.dial(url, { retry: true })
      say('dialing')
      say(String(await sock.recv()))
      await sock.close()
    }, url)
    await run.line('dialing')
    const peer = socket()
    await peer.listen(url)
    await peer.send('at last')
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['dialing', 'at last'])
  })

  test('lets the process go when it is closed itself', async () => {
    const { peer, url } = await listening(transport)
    const run = inProcess(
      async ({ lib }, url, at) => {
        const sock = new lib.PairSocket()
        const dialer = await sock.dial(url)
        const other = new lib.PairSocket()
        const listener = await other.listen(at)
        await dialer.close()
        await listener.close()
      },
      url,
      freeUrl(transport)
    )
    await once(peer, 'disconnect')
    expect(await ending(run)).toEqual(SUCCESS)
  })

  test('lets the process go after unref()', async () => {
    const { peer, url } = await listening(transport)
    const at = freeUrl(transport)
    const run = inProcess(
      async ({ lib, say }, url, at) => {
        const early = new lib.PairSocket().unref()
        const late = new lib.PairSocket()
        const { url: there } = await early.listen(at)
        if (there.startsWith('ipc:')) say(there)
        await late.dial(url)
        void early.recv()
        void late.recv()
        late.unref()
      },
      url,
      at
    )
    await once(peer, 'disconnect')
    expect(await ending(run)).toEqual(SUCCESS)
    for (const there of run.lines) {
      expect(fs.existsSync(there.slice('ipc://'.length))).toBe(false)
    }
  })

  test('keeps the process alive again after ref()', async () => {
    const { peer, url } = await listening(transport)
    const run = inProcess(async ({ lib, say }, url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url)
      sock.unref().ref()
      say('waiting')
      say(String(await sock.recv()))
      await sock.close()
    }, url)
    await run.line('waiting')
    await peer.send('done')
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['waiting', 'done'])
  })
})

describe.each(transports)('the natural end over %s', (transport) => {
  test('waits for close(), which nobody awaits', async () => {
    const { peer, url } = await listening(transport)
    const count = 500
    const run = inProcess(
      async ({ lib }, url, count) => {
        const sock = new lib.PairSocket({ sendBuffer: count })
        await sock.dial(url)
        for (let i = 0; i < count; i++) {
          const message = Buffer.alloc(10_000)
          message.writeUInt32LE(i)
          await sock.send(message)
        }
        void sock.unref().close()
      },
      url,
      count
    )
    for (let i = 0; i < count; i++) {
      expect((await peer.recv()).readUInt32LE()).toBe(i)
    }
    expect(await ending(run)).toEqual(SUCCESS)
  })

  test('can be put off by beforeExit, again and again', async () => {
    const rounds = [1, 2, 3]
    const peers = await Promise.all(rounds.map(() => listening(transport)))
    const run = inProcess(
      ({ lib }, urls) => {
        process.on('beforeExit', () => {
          const url = urls.shift()
          if (url === undefined) return
          const sock = new lib.PairSocket()
          void sock
            .dial(url)
            .then(() => sock.send(`then ${urls.length}`))
            .then(() => sock.close())
        })
      },
      peers.map(({ url }) => url)
    )
    const messages = await Promise.all(peers.map(({ peer }) => peer.recv()))
    expect(messages.map(String)).toEqual(['then 2', 'then 1', 'then 0'])
    expect(await ending(run)).toEqual(SUCCESS)
  })
})

describe.each(transports)('process.exit() over %s', (transport) => {
  test('ends a process with traffic both ways', async () => {
    const { peer, url } = await listening(transport)
    const gone = once(peer, 'disconnect')
    busy(peer)
    const run = inProcess(async ({ lib }, url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url)
      void (async () => {
        for (;;) await sock.send(Buffer.alloc(1000))
      })()
      for (let i = 0; i < 2000; i++) await sock.recv()
      process.exit(7)
    }, url)
    expect(await ending(run)).toEqual({ code: 7, signal: null })
    await gone
  })

  test('ends a process whose sockets talk to each other', async () => {
    const run = inProcess(async ({ lib }, at) => {
      let received = 0
      for (let i = 0; i < 8; i++) {
        const one = new lib.PairSocket()
        const other = new lib.PairSocket()
        const { url } = await one.listen(i === 0 ? at : at.replace(/$/, `${i}`))
        await other.dial(url)
        for (const [from, to] of [
          [one, other],
          [other, one]
        ] as const) {
          void (async () => {
            // The large ones become memory of V8's.
            for (let n = 0; ; n++) {
              await from.send(Buffer.alloc(n % 10 === 0 ? 100_000 : 100))
            }
          })()
          void (async () => {
            for await (const _ of to) if (++received === 20_000) process.exit(3)
          })()
        }
      }
    }, freeUrl(transport))
    expect(await ending(run)).toEqual({ code: 3, signal: null })
  })

  const events = {
    connect: async (_run: Run, url: string) => {
      await socket().dial(url)
    },
    disconnect: async (_run: Run, url: string) => {
      const peer = socket()
      await peer.dial(url)
      await peer.close()
    },
    reject: async (_run: Run, url: string) => {
      await socket().dial(url)
      await socket().dial(url)
    },
    close: async (run: Run, url: string) => {
      const peer = socket()
      await peer.dial(url)
      await peer.send('close')
      await run.line('close')
    }
  }

  test.each(Object.entries(events))(
    'in a listener of %s',
    async (event, cause) => {
      const run = inProcess(
        async ({ lib, say }, event, at) => {
          const sock = new lib.PairSocket()
          sock.on(event as 'close', () => process.exit(9))
          say((await sock.listen(at)).url)
          await sock.recv()
          say('close')
          await sock.close()
        },
        event,
        freeUrl(transport)
      )
      await run.until(({ lines }) => lines.length > 0)
      await cause(run, run.lines[0]!)
      expect(await ending(run)).toEqual({ code: 9, signal: null })
    }
  )

  test('while it listens, dials, closes', async () => {
    // Accepts and says nothing: a handshake without end.
    const silent = await RawListener.open(transport)
    const { url } = await listening(transport)
    const run = inProcess(
      async ({ lib, say }, silent, url, at) => {
        const dialing = new lib.PairSocket()
        void dialing.dial(silent)
        const closing = new lib.PairSocket()
        await closing.dial(url)
        for (let i = 0; i < 100; i++) void closing.send(Buffer.alloc(100_000))
        void closing.close()
        const listening = new lib.PairSocket()
        void listening.listen(at)
        say('now')
        process.exit(5)
      },
      silent.url,
      url,
      freeUrl(transport)
    )
    expect(await ending(run)).toEqual({ code: 5, signal: null })
    expect(run.lines).toEqual(['now'])
  })

  test.each([
    ['20 small messages', 20, 10],
    ['20 of 5000 bytes', 20, 5000],
    ['2 of 60,000 bytes', 2, 60_000]
  ])(
    'hands over what was accepted and the kernel takes: %s',
    async (_, count, size) => {
      const { peer, url } = await listening(transport)
      const gone = once(peer, 'disconnect')
      const run = inProcess(
        async ({ lib, startWorker }, url, count, size) => {
          // Another thread has nothing to do with it.
          startWorker(({ lib }) => new lib.PairSocket())
          const sock = new lib.PairSocket()
          await sock.dial(url)
          for (let i = 0; i < count; i++) {
            await sock.send(Buffer.alloc(size, i))
          }
          process.exit(0)
        },
        url,
        count,
        size
      )
      for (let i = 0; i < count; i++) {
        expect((await peer.recv()).equals(Buffer.alloc(size, i))).toBe(true)
      }
      await gone
      expect(await ending(run)).toEqual(SUCCESS)
    }
  )

  test('in a worker hands over what was accepted and the kernel takes', async () => {
    const { peer, url } = await listening(transport)
    const gone = once(peer, 'disconnect')
    const run = inProcess(({ startWorker }, url) => {
      startWorker(async ({ lib }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        for (let i = 0; i < 20; i++) await sock.send(String(i))
        process.exit(0)
      }, url)
    }, url)
    for (let i = 0; i < 20; i++) expect(String(await peer.recv())).toBe(`${i}`)
    await gone
    expect(await ending(run)).toEqual(SUCCESS)
  })

  test('leaves sockets to be used in the handlers of exit', async () => {
    const { peer, url } = await listening(transport)
    const run = inProcess(async ({ lib, say }, url) => {
      const sock = new lib.PairSocket()
      process.on('exit', () => {
        say(`accepted: ${sock.trySend('farewell')}`)
        void sock.close()
        say(`closed: ${sock.closed}`)
      })
      await sock.dial(url)
      process.exit()
    }, url)
    const gone = once(peer, 'disconnect')
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['accepted: true', 'closed: true'])
    await gone
  })
})

describe('the file of an ipc listener', () => {
  const ways: [string, number, Main<[string]>][] = [
    [
      'process.exit()',
      0,
      async ({ lib, say }, path) => {
        await new lib.PairSocket().listen(`ipc://${path}`)
        say('listening')
        process.exit()
      }
    ],
    [
      'an exception',
      1,
      async ({ lib, say }, path) => {
        await new lib.PairSocket().listen(`ipc://${path}`)
        say('listening')
        throw new Error('my mistake')
      }
    ],
    [
      'process.exit() in a worker',
      0,
      ({ startWorker }, path) => {
        startWorker(async ({ lib, say }, path) => {
          await new lib.PairSocket().listen(`ipc://${path}`)
          say('listening')
          process.exit()
        }, path)
      }
    ],
    [
      'process.exit() while a worker listens',
      0,
      ({ startWorker }, path) => {
        startWorker(async ({ lib, say, parentPort }, path) => {
          await new lib.PairSocket().listen(`ipc://${path}`)
          say('listening')
          parentPort!.postMessage('listening')
        }, path).on('message', () => process.exit())
      }
    ]
  ]

  test.each(ways)('is gone after %s', async (_, code, main) => {
    const path = ipcPath()
    const run = inProcess(main, path)
    expect(await ending(run)).toEqual({ code, signal: null })
    expect(run.lines[0]).toBe('listening')
    expect(fs.existsSync(path)).toBe(false)
  })

  test('is gone if the listener was closed while it took the path', async () => {
    const folder = tempFolder()
    const run = inProcess(async ({ lib, fs, net, say, turn }, folder) => {
      const file = `${folder}/pair.ipc`
      for (let meanwhile = 0; meanwhile < 10;) {
        // The file of a dead listener: it takes a while to be taken over.
        const dead = net.createServer()
        await new Promise<void>((done) =>
          dead.listen(`${folder}/dead.ipc`, done)
        )
        fs.linkSync(`${folder}/dead.ipc`, file)
        await new Promise((done) => dead.close(done))

        const sock = new lib.PairSocket()
        let outcome = ''
        const listening = sock.listen(`ipc://${file}`).then(
          () => (outcome = 'listens'),
          ({ code }: NodeJS.ErrnoException) => (outcome = code!)
        )
        // Until it has bound a name of its own, to be put in the path's place.
        while (outcome === '' && fs.readdirSync(folder).length < 2) await turn()
        await sock.close({ timeout: 0 })
        await listening
        if (outcome === 'ECLOSED') meanwhile++
        say(`left: ${fs.readdirSync(folder).join(' ')}`)
        fs.rmSync(file, { force: true })
      }
    }, folder)
    expect(await ending(run)).toEqual(SUCCESS)
    expect(new Set(run.lines)).toEqual(new Set(['left: ']))
    expect(fs.readdirSync(folder)).toEqual([])
  })

  test('stays if it is not its own any more', async () => {
    const path = ipcPath()
    const run = inProcess(async ({ lib, fs, say }, path) => {
      process.on('SIGTERM', () => process.exit())
      await new lib.PairSocket().listen(`ipc://${path}`)
      fs.unlinkSync(path)
      say('listening')
    }, path)
    await run.line('listening')
    await socket().listen(`ipc://${path}`)
    run.kill('SIGTERM')
    expect(await ending(run)).toEqual(SUCCESS)
    expect(fs.existsSync(path)).toBe(true)
  })
})

describe.each(transports)('a worker over %s', (transport) => {
  // What each worker does until it ends: everything at once.
  const ends: [string, number, Main<[string]>][] = [
    [
      'process.exit()',
      4,
      async ({ lib }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        void (async () => {
          for (;;) await sock.send(Buffer.alloc(1000))
        })()
        for (let i = 0; i < 2000; i++) await sock.recv()
        process.exit(4)
      }
    ],
    [
      'process.exit() in a listener',
      4,
      async ({ lib }, url) => {
        const sock = new lib.PairSocket()
        sock.on('connect', () => process.exit(4))
        await sock.dial(url)
        await sock.recv()
      }
    ],
    [
      'process.exit() while it dials and closes',
      4,
      async ({ lib }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        await sock.send('there')
        void sock.close()
        void new lib.PairSocket().dial(url)
        void new lib.PairSocket().listen(url)
        process.exit(4)
      }
    ],
    [
      'terminate()',
      1,
      async ({ lib, parentPort }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        void (async () => {
          for (;;) await sock.send(Buffer.alloc(1000))
        })()
        for (let i = 0; i < 2000; i++) await sock.recv()
        parentPort!.postMessage('terminate')
        for (;;) await sock.recv()
      }
    ],
    [
      'terminate() in the middle of JavaScript',
      1,
      async ({ lib, parentPort }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        for (let i = 0; i < 2000; i++) await sock.recv()
        parentPort!.postMessage('terminate')
        for (;;) {
          sock.trySend('without end')
          sock.tryRecv()
        }
      }
    ],
    [
      'its natural end',
      0,
      async ({ lib }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        for (let i = 0; i < 2000; i++) await sock.recv()
        sock.unref()
      }
    ]
  ]

  test.each(ends)(
    'ends alone by %s; its process goes on',
    async (_, code, main) => {
      const run = inProcess(
        async ({ lib, say, once, startWorker }, main, at) => {
          const sock = new lib.PairSocket()
          const { url } = await sock.listen(at)
          void (async () => {
            for (;;) await sock.send(Buffer.alloc(1000))
          })().catch(() => {})
          void (async () => {
            for await (const _ of sock) continue
          })()
          const gone = once(sock, 'disconnect')
          const worker = startWorker(main, url)
          worker.on('message', () => void worker.terminate())
          const [code] = (await once(worker, 'exit')) as [number]
          await gone
          say(`worker: ${code}`)
          await sock.close()
        },
        String(main),
        freeUrl(transport)
      )
      expect(await ending(run)).toEqual(SUCCESS)
      expect(run.lines).toEqual([`worker: ${code}`])
    }
  )

  test('is taken along by process.exit() in the main thread', async () => {
    const { peer, url } = await listening(transport)
    const gone = once(peer, 'disconnect')
    busy(peer)
    const run = inProcess(({ startWorker }, url) => {
      startWorker(async ({ lib, parentPort }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        void (async () => {
          for (;;) await sock.send(Buffer.alloc(1000))
        })()
        for (let i = 0; i < 2000; i++) await sock.recv()
        parentPort!.postMessage('busy')
        for (;;) await sock.recv()
      }, url).on('message', () => process.exit(6))
    }, url)
    expect(await ending(run)).toEqual({ code: 6, signal: null })
    await gone
  })
})

describe.each(transports)('a signal over %s', (transport) => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s ends a busy process, as ever',
    async (signal) => {
      const { peer, url } = await listening(transport)
      const gone = once(peer, 'disconnect')
      const run = inProcess(async ({ lib, say }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        void (async () => {
          for (;;) await sock.send(Buffer.alloc(1000))
        })()
        for (let i = 0; i < 1000; i++) await sock.recv()
        say('busy')
        for (;;) await sock.recv()
      }, url)
      busy(peer)
      await run.line('busy')
      run.kill(signal)
      expect(await ending(run)).toEqual({ code: null, signal })
      await gone
    }
  )

  test('is handled while messages come', async () => {
    const { peer, url } = await listening(transport)
    const run = inProcess(async ({ lib, say }, url) => {
      const sock = new lib.PairSocket()
      process.on('SIGTERM', () => {
        say('closing')
        void sock.close({ timeout: 0 })
      })
      await sock.dial(url)
      await sock.recv()
      say('busy')
      for await (const _ of sock) continue
      say('closed')
    }, url)
    busy(peer)
    await run.line('busy')
    run.kill('SIGTERM')
    expect(await ending(run)).toEqual(SUCCESS)
    expect(run.lines).toEqual(['busy', 'closing', 'closed'])
  })
})

describe.each(transports)('what nobody catches over %s', (transport) => {
  test('ends a busy process: an exception', async () => {
    const { peer, url } = await listening(transport)
    const gone = once(peer, 'disconnect')
    busy(peer)
    const run = inProcess(async ({ lib }, url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url)
      for (let i = 0; i < 1000; i++) await sock.recv()
      setImmediate(() => {
        throw new Error('my mistake')
      })
      for (;;) await sock.recv()
    }, url)
    expect(await ending(run)).toEqual({ code: 1, signal: null })
    expect(run.lines).toContain('Error: my mistake')
    await gone
  })

  test('an exception hands over what was accepted and the kernel takes', async () => {
    const { peer, url } = await listening(transport)
    const gone = once(peer, 'disconnect')
    const run = inProcess(async ({ lib }, url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url)
      for (let i = 0; i < 20; i++) await sock.send(String(i))
      throw new Error('nobody catches it')
    }, url)
    for (let i = 0; i < 20; i++) expect(String(await peer.recv())).toBe(`${i}`)
    await gone
    expect(await ending(run)).toEqual({ code: 1, signal: null })
  })

  test('ends a busy process: a rejection of the socket', async () => {
    const { peer, url } = await listening(transport)
    const gone = once(peer, 'disconnect')
    const run = inProcess(async ({ lib }, url) => {
      const sock = new lib.PairSocket({ recvTimeout: 1 })
      await sock.dial(url)
      await sock.recv()
    }, url)
    expect(await ending(run)).toEqual({ code: 1, signal: null })
    expect(run.lines).toContainEqual(
      expect.stringContaining('NngError: recv ETIMEDOUT')
    )
    await gone
  })

  test.each(['connect', 'disconnect', 'reject'] as const)(
    'reaches uncaughtException from a listener of %s; the socket goes on',
    async (event) => {
      const run = inProcess(
        async ({ lib, say }, event, at) => {
          process.on('uncaughtException', (error) => say(error.message))
          const sock = new lib.PairSocket()
          sock.once('disconnect', () => say('alone'))
          sock.on(event, () => {
            throw new Error('my mistake')
          })
          sock.on('close', () => say('close'))
          say((await sock.listen(at)).url)
          for (;;) {
            const message = String(await sock.recv())
            say(message)
            if (message === 'end') break
            await sock.send(message)
          }
          await sock.close()
          process.exit(0)
        },
        event,
        freeUrl(transport)
      )
      await (await dialTo(run)).close()
      await run.line('alone')
      const peer = await dialTo(run)
      await peer.send('here')
      expect(String(await peer.recv())).toBe('here')
      // To be turned away.
      await socket().dial(run.lines[0]!)
      await run.line('my mistake')
      await peer.send('go on')
      expect(String(await peer.recv())).toBe('go on')
      await peer.send('end')
      expect(await ending(run)).toEqual(SUCCESS)
      const others = run.lines.filter((line) => line !== 'my mistake')
      expect(others.slice(1)).toEqual([
        'alone',
        'here',
        'go on',
        'end',
        'close'
      ])
    }
  )
})
