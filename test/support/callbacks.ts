// Every callback in which a program can have its code run by a socket, or while
// a socket is at work: each calls `act` there, once.

import type { PairSocket, PairSocketOptions } from '../../lib'
import type { Tools } from './childProcess'

type Pair = [listening: PairSocket, dialing: PairSocket]

/** What a callback is given, in the process or thread where it is to be. */
export interface Scene extends Tools {
  /** What is to be done in the callback: it may not return. */
  act: () => void
  /** Two new sockets, connected over the transport. */
  pair: (options?: PairSocketOptions) => Promise<Pair>
  /** A new URL to listen at, and one where nobody listens. */
  freshUrl: () => string
  nobody: string
  /** Acts in the finalizer of one of the objects that `make` makes. */
  finalized: (make: () => object | Promise<object>) => Promise<void>
  /** Acts when a diagnostics channel tells something, once. */
  subscribed: (channel: string) => void
}

/**
 * In the process or thread: makes ready what callbacks are given, while a
 * socket has traffic both ways, with the peer at a URL or one of its own. Its
 * source is all that it needs.
 */
export async function setScene(
  tools: Tools,
  at: string,
  peer: string | undefined,
  act: () => void
) {
  const { lib, once, turn } = tools
  let urls = 0
  const freshUrl = () => (at.startsWith('tcp') ? at : `${at}.${urls++}`)

  const sockets: WeakRef<PairSocket>[] = []
  class Remembered extends lib.PairSocket {
    constructor(options?: PairSocketOptions) {
      super(options)
      sockets.push(new WeakRef(this))
    }
  }
  const pairs: Pair[] = []
  const connect = async (options?: PairSocketOptions): Promise<Pair> => {
    const one = new Remembered(options)
    const other = new Remembered(options)
    const connected = once(one, 'connect')
    await other.dial((await one.listen(freshUrl())).url)
    await connected
    return [one, other]
  }
  const pair = async (options?: PairSocketOptions) => {
    const both = await connect(options)
    pairs.push(both)
    return both
  }

  const makeBusy = (sock: PairSocket) => {
    const send = async () => {
      for (;;) await sock.send(Buffer.alloc(1000))
    }
    const recv = async () => {
      for await (const _ of sock) continue
    }
    send().catch(() => {})
    recv().catch(() => {})
  }
  const received = (sock: PairSocket) => sock.stats().messagesReceived
  const receivesMore = async (sock: PairSocket, count: number) => {
    const before = received(sock)
    while (received(sock) < before + count) await turn()
  }
  let bystander: PairSocket
  if (peer === undefined) {
    const both = await connect()
    both.forEach(makeBusy)
    bystander = both[0]
  } else {
    bystander = new Remembered()
    await bystander.dial(peer)
    makeBusy(bystander)
  }
  await receivesMore(bystander, 100)

  const finalized: Scene['finalized'] = async (make) => {
    let collected = false
    const registry = new FinalizationRegistry(() => {
      if (collected) return
      collected = true
      act()
    })
    while (!collected) {
      registry.register(await make(), undefined)
      tools.collectGarbage()
      await turn()
    }
  }
  const subscribed = (channel: string) => {
    const subscriber = () => {
      tools.diagnostics.unsubscribe(channel, subscriber)
      act()
    }
    tools.diagnostics.subscribe(channel, subscriber)
  }

  const scene: Scene = {
    ...tools,
    lib: { ...lib, PairSocket: Remembered },
    act,
    pair,
    freshUrl,
    finalized,
    subscribed,
    nobody: at.startsWith('tcp') ? 'tcp://127.0.0.1:1' : `${at}.nobody`
  }
  const open = (sock: PairSocket) => !sock.closed && sock.peer !== undefined
  return {
    scene,
    /** Resolves when every connection that is left has moved messages. */
    async goesOn() {
      await receivesMore(bystander, 100)
      for (const [one, other] of pairs) {
        if (!open(one) || !open(other)) continue
        // Those that are full need somebody who reads.
        void (async () => {
          for await (const _ of other) continue
        })()
        const more = receivesMore(other, 5)
        await one.sendMany(['a', 'b', 'c', 'd', 'e'])
        await more
      }
    },
    /** Closes every socket of the scene. */
    async end() {
      for (const ref of sockets) await ref.deref()?.close({ timeout: 0 })
    }
  }
}

/** Makes a socket call `act`; its source is all that it needs. */
export type Callback = (scene: Scene) => unknown

export const callbacks: Record<string, Callback> = {
  // Events.

  'connect of a listener': async ({ lib, act, freshUrl }) => {
    const sock = new lib.PairSocket().on('connect', act)
    const { url } = await sock.listen(freshUrl())
    await new lib.PairSocket().dial(url)
  },
  'connect of a dialer': async ({ lib, act, freshUrl }) => {
    const { url } = await new lib.PairSocket().listen(freshUrl())
    await new lib.PairSocket().on('connect', act).dial(url)
  },
  disconnect: async ({ act, pair }) => {
    const [one, other] = await pair()
    one.once('disconnect', act)
    await other.close()
  },
  'disconnect, because it closes': async ({ act, pair }) => {
    const [one] = await pair()
    one.on('disconnect', act)
    void one.close()
  },
  reject: async ({ lib, act, pair }) => {
    const [one] = await pair()
    one.once('reject', act)
    const { url } = await one.listen('tcp://127.0.0.1:0')
    const second = new lib.PairSocket()
    const dialer = await second.dial(url)
    await dialer.close()
  },
  'close, the event': async ({ act, pair }) => {
    const [one] = await pair()
    one.on('close', act)
    void one.close()
  },
  message: async ({ act, pair }) => {
    const [one, other] = await pair()
    other.once('message', act)
    await one.send('a')
  },
  'message, in the middle of many': async ({ act, pair }) => {
    const [one, other] = await pair()
    let count = 0
    other.on('message', () => {
      if (++count === 2000) act()
    })
    await one.sendMany(Array<string>(3000).fill('one of many'))
  },
  'message, of one that was there already': async ({ act, pair, turn }) => {
    const [one, other] = await pair()
    await one.send('a')
    while (other.stats().unreadMessages === 0) await turn()
    other.once('message', act)
  },
  'disconnect behind the last message': async ({ act, pair }) => {
    const [one, other] = await pair()
    other.once('disconnect', act).on('message', () => {})
    await one.sendMany(['a', 'b', 'c'])
    await one.close()
  },

  // Promises.

  'the promise of listen': async ({ lib, act, freshUrl }) => {
    await new lib.PairSocket().listen(freshUrl())
    act()
  },
  'the promise of listen that fails': async ({ lib, act }) => {
    const { url } = await new lib.PairSocket().listen('tcp://127.0.0.1:0')
    void new lib.PairSocket().listen(url).catch(act)
  },
  'the promise of dial': async ({ lib, act, freshUrl }) => {
    const { url } = await new lib.PairSocket().listen(freshUrl())
    await new lib.PairSocket().dial(url)
    act()
  },
  'the promise of dial that fails': ({ lib, act, nobody }) => {
    void new lib.PairSocket().dial(nobody).catch(act)
  },
  'the promise of dial that retries': async ({ lib, act, nobody }) => {
    await new lib.PairSocket().dial(nobody, { retry: true })
    act()
  },
  'the promise of listenOrDial': async ({ lib, act, freshUrl }) => {
    const { url } = await new lib.PairSocket().listen(freshUrl())
    await new lib.PairSocket().listenOrDial(url)
    act()
  },
  'the promise of close of a listener': async ({ lib, act, freshUrl }) => {
    const listener = await new lib.PairSocket().listen(freshUrl())
    await listener.close()
    act()
  },
  'the promise of close of a dialer': async ({ lib, act, freshUrl }) => {
    const { url } = await new lib.PairSocket().listen(freshUrl())
    const dialer = await new lib.PairSocket().dial(url)
    await dialer.close()
    act()
  },
  'the promise of send': async ({ act, pair }) => {
    const [one] = await pair()
    await one.send('accepted at once')
    act()
  },
  'the promise of send that has waited': async ({ act, pair }) => {
    const [one, other] = await pair({ sendBuffer: 1 })
    while (one.trySend(Buffer.alloc(100_000)));
    void one.send('waits').then(act)
    for await (const _ of other) continue
  },
  'the promise of send that times out': ({ lib, act }) => {
    const sock = new lib.PairSocket({ sendBuffer: 0 })
    sock.send('nobody comes', { timeout: 5 }).catch(act)
    return sock.listen('tcp://127.0.0.1:0')
  },
  'the promise of sendMany': async ({ act, pair }) => {
    const [one, other] = await pair()
    void one.sendMany(Array<string>(3000).fill('one of many')).then(act)
    for await (const _ of other) continue
  },
  'the promise of recv': async ({ act, pair, turn }) => {
    const [one, other] = await pair()
    await one.send('ready')
    while (other.stats().unreadMessages === 0) await turn()
    await other.recv()
    act()
  },
  'the promise of recv that has waited': async ({ act, pair }) => {
    const [one, other] = await pair()
    void other.recv().then(act)
    await one.send('comes')
  },
  'the promise of recv that times out': async ({ act, pair }) => {
    const [one] = await pair()
    void one.recv({ timeout: 5 }).catch(act)
  },
  'the promise of recv that is aborted': async ({ act, pair }) => {
    const [one] = await pair()
    const abort = new AbortController()
    void one.recv({ signal: abort.signal }).catch(act)
    abort.abort()
  },
  'the promise of recv when it closes': async ({ act, pair }) => {
    const [one] = await pair()
    void one.recv().catch(act)
    void one.close()
  },
  'the promise of recvMany': async ({ act, pair }) => {
    const [one, other] = await pair()
    void other.recvMany(10).then(act)
    await one.sendMany(['a', 'b', 'c'])
  },
  'the promise of drain': async ({ act, pair }) => {
    const [one, other] = await pair()
    while (one.trySend(Buffer.alloc(100_000)));
    void one.drain().then(act)
    for await (const _ of other) continue
  },
  'the promise of close': async ({ act, pair }) => {
    const [one] = await pair()
    one.trySend('unread')
    await one.close()
    act()
  },
  'the promise of Symbol.asyncDispose': async ({ act, pair }) => {
    const [one] = await pair()
    await one[Symbol.asyncDispose]()
    act()
  },

  // Iterators.

  'the body of a loop': async ({ act, pair }) => {
    const [one, other] = await pair()
    await one.sendMany(['a', 'b', 'c'])
    for await (const _ of other) act()
  },
  'after a loop was left': async ({ act, pair }) => {
    const [one, other] = await pair()
    await one.sendMany(['a', 'b', 'c'])
    for await (const _ of other) break
    act()
  },
  'after a loop has ended': async ({ act, pair }) => {
    const [one] = await pair()
    void one.close()
    for await (const _ of one) continue
    act()
  },
  'the promise of next': async ({ act, pair }) => {
    const [one, other] = await pair()
    const iterator = other[Symbol.asyncIterator]()
    void iterator.next().then(act)
    await one.send('a')
  },
  'the promise of return, behind a next': async ({ act, pair }) => {
    const [one, other] = await pair()
    const iterator = other[Symbol.asyncIterator]()
    void iterator.next()
    void iterator.return().then(act)
    await one.send('a')
  },

  // Streams.

  'data of a stream': async ({ act, pair }) => {
    const [one, other] = await pair()
    other.duplex().once('data', act)
    await one.send('a')
  },
  'readable of a stream': async ({ act, pair }) => {
    const [one, other] = await pair()
    other.duplex().once('readable', act)
    await one.send('a')
  },
  'end of a stream': async ({ act, pair }) => {
    const [one] = await pair()
    one.duplex().on('end', act).resume()
    void one.close()
  },
  'the callback of write': async ({ act, pair }) => {
    const [one] = await pair()
    one.duplex().write('a', act)
  },
  'drain of a stream': async ({ act, pair }) => {
    const [one, other] = await pair({ sendBuffer: 0 })
    const stream = one.duplex().once('drain', act)
    while (stream.write(Buffer.alloc(100_000)));
    for await (const _ of other) continue
  },
  'the callback of end': async ({ act, pair }) => {
    const [one] = await pair()
    one.duplex().end('a', act)
  },
  'error of a stream': async ({ act, pair }) => {
    const [one] = await pair()
    one.duplex().on('error', act).write({ not: 'data' })
  },
  'close of a stream': async ({ act, pair }) => {
    const [one] = await pair()
    one.duplex().on('close', act).destroy()
  },
  'a stream that a socket is piped into': async ({ act, pair, stream }) => {
    const [one, other] = await pair()
    const sink = new stream.Writable({ objectMode: true, write: act })
    stream.pipeline(other.duplex(), sink, () => {})
    await one.send('a')
  },
  'the end of a pipeline': async ({ act, pair, stream }) => {
    const [one] = await pair()
    stream.pipeline(stream.Readable.from(['a', 'b']), one.duplex(), act)
    void one.close()
  },
  'a web stream': async ({ act, pair, stream }) => {
    const [one, other] = await pair()
    const { readable } = stream.Duplex.toWeb(other.duplex())
    void readable.getReader().read().then(act)
    await one.send('a')
  },

  // What the calls are given.

  'a listener of the signal before ours': async ({ act, pair }) => {
    const [one] = await pair()
    const abort = new AbortController()
    abort.signal.addEventListener('abort', act)
    one.recv({ signal: abort.signal }).catch(() => {})
    abort.abort()
  },
  'a listener of the signal after ours': async ({ act, pair }) => {
    const [one] = await pair()
    const abort = new AbortController()
    one.recv({ signal: abort.signal }).catch(() => {})
    abort.signal.addEventListener('abort', act)
    abort.abort()
  },
  'addEventListener of a signal of another make': async ({ act, pair }) => {
    const [one] = await pair()
    const signal = {
      aborted: false,
      addEventListener: act,
      removeEventListener: () => {}
    }
    await one.recv({ signal: signal as never })
  },
  'a getter of an option of recv': async ({ act, pair }) => {
    const [one] = await pair()
    await one.recv({
      get timeout() {
        act()
        return 5
      }
    })
  },
  'a getter of an option of a socket': ({ lib, act }) =>
    new lib.PairSocket({
      get sendBuffer() {
        act()
        return 5
      }
    }),
  'a list of sendMany that is read': async ({ act, pair }) => {
    const [one] = await pair()
    await one.sendMany(
      (function* () {
        yield 'first'
        act()
        yield 'second'
      })()
    )
  },
  'a getter of a list of sendMany': async ({ act, pair }) => {
    const [one] = await pair()
    const list = ['first', 'second']
    Object.defineProperty(list, 1, {
      get() {
        act()
        return 'second'
      }
    })
    await one.sendMany(list)
  },
  // Promises look for it on each message that they resolve with. Node has not
  // done so since version 22.
  'a getter of then on a message': async ({ act, pair }) => {
    const [one, other] = await pair()
    await one.send('a')
    Object.defineProperty(Uint8Array.prototype, 'then', {
      get(this: Uint8Array) {
        if (this.length !== 1) return undefined
        delete (Uint8Array.prototype as { then?: unknown }).then
        return act()
      },
      configurable: true
    })
    await other.recv()
    await Promise.resolve(new Uint8Array(1))
  },
  'Error.prepareStackTrace': async ({ lib, act }) => {
    const { prepareStackTrace } = Error
    Error.prepareStackTrace = () => {
      Error.prepareStackTrace = prepareStackTrace
      act()
      return ''
    }
    const sock = new lib.PairSocket()
    await sock.recv({ timeout: 0 }).catch((error: Error) => {
      String(error.stack)
      throw error
    })
  },

  // Channels of node:diagnostics_channel, which tell of every socket.

  'a subscriber of connect': async ({ pair, subscribed }) => {
    subscribed('nng-pair:connect')
    await pair()
  },
  'a subscriber of disconnect': async ({ pair, subscribed }) => {
    const [one] = await pair()
    subscribed('nng-pair:disconnect')
    await one.close()
  },
  'a subscriber of reject': async ({ lib, pair, subscribed }) => {
    const [one] = await pair()
    subscribed('nng-pair:reject')
    const { url } = await one.listen('tcp://127.0.0.1:0')
    const dialer = await new lib.PairSocket().dial(url)
    await dialer.close()
  },
  'a subscriber of send': ({ subscribed }) => {
    subscribed('nng-pair:send')
  },
  'a subscriber of receive': ({ subscribed }) => {
    subscribed('nng-pair:receive')
  },

  // Around the socket.

  'a hook of an async resource': async ({ act, createHook, pair }) => {
    const ours = new Set<number>()
    let acted = false
    createHook({
      init: (id, type) => {
        if (type.startsWith('nng-pair')) ours.add(id)
      },
      // Node ends the process when a hook itself throws.
      before: (id) => {
        if (!ours.has(id) || acted) return
        acted = true
        process.nextTick(act)
      }
    }).enable()
    const [one, other] = await pair()
    void other.recv()
    await one.send('a')
  },
  'a finalizer of a socket': ({ lib, finalized }) =>
    finalized(() => new lib.PairSocket()),
  'a finalizer of a message': async ({ finalized, pair }) => {
    const [one, other] = await pair()
    await finalized(async () => {
      await one.send(Buffer.alloc(10_000))
      return other.recv()
    })
  },
  'a timer while calls wait': async ({ act, pair }) => {
    const [one] = await pair()
    one.recv().catch(() => {})
    setTimeout(act, 1)
  },
  'setImmediate after a send': async ({ act, pair }) => {
    const [one] = await pair()
    one.trySend('a')
    setImmediate(act)
  },
  'nextTick after a send': async ({ act, pair }) => {
    const [one] = await pair()
    one.trySend('a')
    process.nextTick(act)
  },
  'a microtask after a send': async ({ act, pair }) => {
    const [one] = await pair()
    one.trySend('a')
    queueMicrotask(act)
  },
  'the exit of a worker': ({ act, startWorker }) => {
    startWorker(async ({ lib }) => {
      const sock = new lib.PairSocket()
      await sock.listen('tcp://127.0.0.1:0')
      process.exit(3)
    }).on('exit', act)
  },
  'a message of a worker that is at work': ({ act, startWorker }) => {
    startWorker(async ({ lib, parentPort }) => {
      const [one, other] = [new lib.PairSocket(), new lib.PairSocket()]
      await one.dial((await other.listen('tcp://127.0.0.1:0')).url)
      void (async () => {
        for (;;) await one.send('without end')
      })()
      await other.recv()
      parentPort!.postMessage('at work')
      for (;;) await other.recv()
    }).once('message', act)
  }
}
