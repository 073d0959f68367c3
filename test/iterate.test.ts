import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import type { PairSocket } from '../lib'
import { ending, inProcess } from './support/childProcess'
import { settle } from './support/full'
import { RawListener } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const DONE = { value: undefined, done: true }

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i))
}

/** What a promise has come to by now, several turns of the event loop later. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = 'pending'
  promise.then(
    () => (state = 'resolved'),
    () => (state = 'rejected')
  )
  for (let i = 0; i < 5; i++) await turn()
  return state
}

describe.each(transports)('for await over %s', (transport) => {
  test('an error thrown in the loop loses no message', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await dialing.sendMany(numbers(100))
    const got: string[] = []
    const error = new Error('enough')
    // Each loop takes ten, one of which it fails at.
    for (let round = 0; round < 5; round++) {
      await expect(
        (async () => {
          for await (const message of listening) {
            got.push(String(message))
            if (got.length % 10 === 0) throw error
          }
        })()
      ).rejects.toBe(error)
      expect(listening.closed).toBe(false)
    }
    expect(got).toEqual(numbers(50))
    await until(() => listening.stats().unreadMessages === 50)
    for await (const message of listening) {
      got.push(String(message))
      if (got.length === 99) break
    }
    got.push(String(await listening.recv()))
    expect(got).toEqual(numbers(100))
    await listening.send('still here')
    expect(String(await dialing.recv())).toBe('still here')
  })

  test('so does one that is rejected, and a return', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await dialing.sendMany(numbers(4))
    const error = new Error('not now')
    await expect(
      (async () => {
        for await (const message of listening) {
          expect(String(message)).toBe('0')
          await Promise.reject(error)
        }
      })()
    ).rejects.toBe(error)
    const first = async (): Promise<string | undefined> => {
      for await (const message of listening) return String(message)
      return undefined
    }
    expect([await first(), await first(), await first()]).toEqual([
      '1',
      '2',
      '3'
    ])
  })

  test('await using closes the socket when the loop throws', async () => {
    const peer = socket()
    const { url } = await peer.listen(freeUrl(transport))
    const error = new Error('in the loop')
    let sock: PairSocket | undefined
    const consume = async () => {
      await using dialing = socket()
      sock = dialing
      await dialing.dial(url)
      for await (const message of dialing) {
        // The peer gets them all, although they are not on their way yet.
        await dialing.sendMany(numbers(100))
        expect(String(message)).toBe('begin')
        throw error
      }
    }
    const consuming = consume()
    await once(peer, 'connect')
    await peer.send('begin')
    const gone = once(peer, 'disconnect')
    await expect(consuming).rejects.toBe(error)
    expect(sock!.closed).toBe(true)
    for (const text of numbers(100)) {
      expect(String(await peer.recv())).toBe(text)
    }
    await gone
  })

  test('await using ends the loop of another task', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const got: string[] = []
    let looping: Promise<void>
    {
      await using sock = listening
      looping = (async () => {
        for await (const message of sock) got.push(String(message))
      })()
      await dialing.sendMany(['one', 'two'])
      await until(() => got.length === 2)
    }
    await looping
    expect(got).toEqual(['one', 'two'])
    await expect(listening.listen(url)).rejects.toMatchObject({
      code: 'ECLOSED'
    })
  })

  test('several next() are served in order', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const iterator = listening[Symbol.asyncIterator]()
    const results = numbers(20).map(() => iterator.next())
    await dialing.sendMany(numbers(20))
    expect(
      (await Promise.all(results)).map(({ value }) => String(value))
    ).toEqual(numbers(20))
  })

  test.each(['return', 'throw'] as const)(
    '%s() while a next() waits: it gets its message first',
    async (method) => {
      const { listening, dialing } = await connectedPair(transport)
      const iterator = listening[Symbol.asyncIterator]()
      const waiting = iterator.next()
      const error = new Error('enough')
      const ended =
        method === 'return'
          ? iterator.return(undefined)
          : expect(iterator.throw(error)).rejects.toBe(error)
      const after = iterator.next()
      expect(await stateOf(Promise.race([waiting, ended, after]))).toBe(
        'pending'
      )
      await dialing.sendMany(['one', 'two'])
      expect(String((await waiting).value)).toBe('one')
      expect(await ended).toEqual(method === 'return' ? DONE : undefined)
      expect(await after).toEqual(DONE)
      expect(listening.closed).toBe(false)
      expect(String(await listening.recv())).toBe('two')
    }
  )

  test('return() while a next() waits: close() settles both', async () => {
    const { listening } = await connectedPair(transport)
    const iterator = listening[Symbol.asyncIterator]()
    const waiting = iterator.next()
    const returned = iterator.return(undefined)
    await listening.close()
    expect([await waiting, await returned]).toEqual([DONE, DONE])
  })

  test('return() before the first next() takes nothing', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const iterator = listening[Symbol.asyncIterator]()
    expect(await iterator.return(undefined)).toEqual(DONE)
    expect(await iterator.next()).toEqual(DONE)
    await dialing.send('one')
    expect(String(await listening.recv())).toBe('one')
  })

  test('a message after the time was up is for the next loop', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvTimeout: 20 }
    })
    const got: string[] = []
    for (const text of numbers(5)) {
      await expect(
        (async () => {
          for await (const message of listening) got.push(String(message))
        })()
      ).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'recv' })
      await dialing.send(text)
      await until(() => listening.stats().unreadMessages === 1)
    }
    expect(got).toEqual(numbers(4))
    expect(String(listening.tryRecv())).toBe('4')
  })

  test('recvTimeout 0: a loop gives what is ready', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvTimeout: 0 }
    })
    await dialing.sendMany(numbers(10))
    await until(() => listening.stats().unreadMessages === 10)
    const got: string[] = []
    const looping = (async () => {
      for await (const message of listening) got.push(String(message))
    })()
    await expect(looping).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    expect(got).toEqual(numbers(10))
  })

  test('the time does not run while the loop is busy with a message', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvTimeout: 200 }
    })
    await dialing.sendMany(numbers(3))
    await until(() => listening.stats().unreadMessages === 3)
    const got: string[] = []
    for await (const message of listening) {
      got.push(String(message))
      if (got.length === 3) break
      const since = performance.now()
      while (performance.now() - since < 250) await settle(transport)
    }
    expect(got).toEqual(numbers(3))
  })
})

describe.each(transports)('ref and unref over %s', (transport) => {
  test('are no counters', async () => {
    const peer = socket()
    const { url } = await peer.listen(freeUrl(transport))
    const run = inProcess(async ({ lib, say }, url) => {
      const sock = new lib.PairSocket()
      await sock.dial(url)
      say(String(sock.unref().unref().ref() === sock))
      for await (const message of sock) {
        say(String(message))
        sock.ref().ref().unref()
      }
    }, url)
    await run.line('true')
    const gone = once(peer, 'disconnect')
    await peer.send('the last one')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    expect(run.lines).toEqual(['true', 'the last one'])
    await gone
  })

  test('are of one socket: another keeps the process alive', async () => {
    const peers = [socket(), socket()]
    const urls: string[] = []
    for (const peer of peers) {
      urls.push((await peer.listen(freeUrl(transport))).url)
    }
    const run = inProcess(async ({ lib, say }, urls) => {
      const [quiet, other] = urls.map(() => new lib.PairSocket())
      await quiet!.dial(urls[0]!)
      await other!.dial(urls[1]!)
      quiet!.unref()
      void (async () => {
        for await (const message of quiet!) say(String(message))
      })()
      say('waiting')
      say(String(await other!.recv()))
      await other!.close()
    }, urls)
    await run.line('waiting')
    // An unreferenced socket works as long as the process lives.
    await peers[0]!.sendMany(['one', 'two'])
    await run.line('two')
    await peers[1]!.send('end')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    expect(run.lines).toEqual(['waiting', 'one', 'two', 'end'])
  })

  test('unref() lets the process go in the middle of a dial', async () => {
    const listener = await RawListener.open(transport)
    const run = inProcess(({ lib, say }, url) => {
      const sock = new lib.PairSocket()
      process.once('SIGUSR2', () => void sock.unref())
      sock.dial(url).then(
        () => say('dialed'),
        () => say('failed')
      )
      say('dialing')
    }, listener.url)
    // The peer says nothing: it is in the handshake.
    const raw = await listener.accept()
    expect((await raw.read(8)).length).toBe(8)
    run.kill('SIGUSR2')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    expect(run.lines).toEqual(['dialing'])
  })

  test('unref() lets a worker go', async () => {
    const peer = socket()
    const { url } = await peer.listen(freeUrl(transport))
    const run = inProcess(async ({ once, say, startWorker }, url) => {
      const worker = startWorker(async ({ lib }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        sock.unref()
        for await (const _ of sock);
      }, url)
      const [code] = (await once(worker, 'exit')) as [number]
      say(`exit ${code}`)
    }, url)
    await once(peer, 'connect')
    const gone = once(peer, 'disconnect')
    expect(await ending(run)).toEqual({ code: 0, signal: null })
    expect(run.lines).toEqual(['exit 0'])
    await gone
  })
})
