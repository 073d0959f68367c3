// Replies that come quickly are waited for awake (binding/addon/busy_poll.h).
// Whether a process is awake shows in the processor time that it takes.

import { availableParallelism } from 'node:os'
import type { PairSocket } from '../../lib'
import { ending, inProcessUnder, type Main } from '../support/childProcess'
import type { Run } from '../support/command'
import {
  freeUrl,
  socket,
  transports,
  type Transport
} from '../support/transports'

// Far more than what it takes to be called awake: the machine may be busy.
const LIMIT_US = 400_000
const SUCCESS = { code: 0, signal: null }
// On the loop, and where the answer can come from another processor.
const busyPolls =
  process.env.NNG_PAIR_DRIVER !== 'thread' &&
  process.platform === 'linux' &&
  availableParallelism() > 1

/** Waits awake for so long at most. */
function run<A extends string[]>(
  microseconds: number,
  main: Main<A>,
  ...args: A
): Run {
  const env = { ...process.env, NNG_PAIR_BUSY_POLL_US: String(microseconds) }
  return inProcessUnder({ env }, main, ...args)
}

/**
 * Replies to each message with the same one. When depends on its last word: at
 * once, "soon", "later", or, to "nothing", never.
 */
async function answer(sock: PairSocket, later: () => Promise<void>) {
  for await (const message of sock) {
    const when = String(message).split(' ').pop()
    if (when === 'nothing') continue
    if (when === 'soon') await new Promise((resolve) => setTimeout(resolve, 1))
    if (when === 'later') await later()
    await sock.send(message)
  }
}

/** `answer` of a socket that listens; "later" is after LIMIT_US. */
async function listen(transport: Transport) {
  const sock = socket()
  const { url } = await sock.listen(freeUrl(transport))
  const answering = answer(
    sock,
    () => new Promise((resolve) => setTimeout(resolve, (1.5 * LIMIT_US) / 1000))
  )
  const close = async () => {
    await sock.close()
    await answering
  }
  return { url, close }
}

/**
 * Asks in one of the ways in which programs do, and says whether the process
 * was awake while it waited.
 */
const client: Main<[url: string, shape: string]> = async (
  { lib, say },
  url,
  shape
) => {
  const sock = new lib.PairSocket()
  await sock.dial(url)

  // A reading loop for all who ask.
  const open = new Map<string, () => void>()
  let last = 0
  const readReplies = async () => {
    for await (const message of sock) {
      const [id = ''] = String(message).split(' ')
      open.get(id)?.()
      open.delete(id)
    }
  }
  const request = (text: string) =>
    new Promise<void>((resolve) => {
      const id = String(++last)
      open.set(id, resolve)
      void sock.send(`${id} ${text}`)
    })

  const shapes: Record<string, (text: string) => Promise<unknown>> = {
    'send, then recv': async (text) => {
      await sock.send(text)
      await sock.recv()
    },
    'recv, then send': async (text) => {
      const reply = sock.recv()
      void sock.send(text)
      await reply
    },
    'a reading loop': request,
    'two requests open': async (text) => {
      await sock.send('soon')
      await sock.send(text)
      await sock.recv()
      await sock.recv()
    },
    'two requests open, with a reading loop': (text) =>
      Promise.all([request('soon'), request(text)]),
    'a batch': async (text) => {
      await sock.sendMany(['soon', text])
      for (let left = 2; left > 0;) left -= (await sock.recvMany(left)).length
    },
    'a batch, after recvMany': async (text) => {
      const replies = sock.recvMany(2)
      void sock.sendMany(['soon', text])
      if ((await replies).length < 2) await sock.recv()
    }
  }
  const ask = shapes[shape]!
  if (shape.includes('reading loop')) void readReplies()
  const wait = async () => {
    const before = process.cpuUsage()
    await ask('later')
    const { user, system } = process.cpuUsage(before)
    say(user + system > 80_000 ? 'awake' : 'asleep')
  }
  // More are needed after one that did not come; once is enough to see that.
  for (const count of shape === 'send, then recv' ? [50, 100] : [50]) {
    for (let i = 0; i < count; i++) await ask('soon')
    await wait()
    await wait()
  }
  await sock.close()
}

describe.each(transports)('busy polling over %s', (transport) => {
  const once = [busyPolls ? 'awake' : 'asleep', 'asleep']

  test.each([
    'send, then recv',
    'recv, then send',
    'a reading loop',
    'two requests open',
    'two requests open, with a reading loop',
    'a batch',
    'a batch, after recvMany'
  ])('until a reply does not come in time: %s', async (shape) => {
    const { url, close } = await listen(transport)
    const child = run(LIMIT_US, client, url, shape)
    expect(await ending(child)).toEqual(SUCCESS)
    expect(child.lines).toEqual(
      shape === 'send, then recv' ? [...once, ...once] : once
    )
    await close()
  })

  test('not with a limit of zero', async () => {
    const { url, close } = await listen(transport)
    const child = run(0, client, url, 'send, then recv')
    expect(await ending(child)).toEqual(SUCCESS)
    expect(child.lines).toEqual(Array(4).fill('asleep'))
    await close()
  })

  test('not after messages that nobody answers', async () => {
    const { url, close } = await listen(transport)
    const child = run(
      LIMIT_US,
      async ({ lib, say }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        const reply = sock.recv()
        for (let i = 0; i < 100; i++) {
          await sock.send('nothing')
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
        const before = process.cpuUsage()
        await sock.send('later')
        await reply
        const { user, system } = process.cpuUsage(before)
        say(user + system > 80_000 ? 'awake' : 'asleep')
        await sock.close()
      },
      url
    )
    expect(await ending(child)).toEqual(SUCCESS)
    expect(child.lines).toEqual(['asleep'])
    await close()
  })

  test('what else the loop waits for comes first', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    // Longer than the process may take.
    const child = run(
      600_000_000,
      async ({ lib, fs, say, startWorker }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        const ask = async (text: string) => {
          await sock.send(text)
          await sock.recv()
        }
        for (let i = 0; i < 50; i++) await ask('now')
        // Each begins when the one before has ended, in the same wait.
        const others = async () => {
          await new Promise((resolve) => setTimeout(resolve, 10))
          say('timer')
          await fs.promises.readFile('/proc/self/stat')
          say('file')
          const worker = startWorker(({ parentPort }) => {
            parentPort!.postMessage('')
          })
          await new Promise((resolve) => worker.once('message', resolve))
          say('worker')
        }
        void others()
        await ask('later')
        say('answer')
        await sock.close()
      },
      url
    )
    const answering = answer(sock, () => child.line('worker'))
    expect(await ending(child)).toEqual(SUCCESS)
    expect(child.lines).toEqual(['timer', 'file', 'worker', 'answer'])
    await sock.close()
    await answering
  })
})
