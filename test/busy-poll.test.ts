// Answers that come quickly are waited for awake (binding/addon/busy_poll.h).
// Whether a process is awake shows in the processor time that it takes.

import { availableParallelism } from 'node:os'
import type { PairSocket } from '../lib'
import { ending, sourceInProcess, type Main } from './support/childProcess'
import { Run } from './support/command'
import { freeUrl, socket, transports } from './support/transports'

const SUCCESS = { code: 0, signal: null }
// On the loop, and where the answer can come from another processor.
const busyPolls =
  process.env.NNG_PAIR_DRIVER !== 'thread' &&
  process.platform === 'linux' &&
  availableParallelism() > 1

/** Waits awake for so long at most. */
function run(microseconds: number, main: Main<[string]>, url: string): Run {
  return new Run(process.execPath, ['-e', sourceInProcess(String(main), url)], {
    env: { ...process.env, NNG_PAIR_BUSY_POLL_US: String(microseconds) }
  })
}

/** Answers at once, but "later" after a while. */
async function answer(sock: PairSocket, later: () => Promise<void>) {
  for await (const message of sock) {
    if (String(message) === 'later') await later()
    await sock.send(message)
  }
}

describe.each(transports)('busy polling over %s', (transport) => {
  const wanted = busyPolls
    ? ['awake', 'asleep', 'awake', 'asleep']
    : ['asleep', 'asleep', 'asleep', 'asleep']

  test.each([
    ['until an answer does not come in time', 1_000_000, wanted],
    ['not with a limit of zero', 0, Array<string>(4).fill('asleep')]
  ])('%s', async (_, limit, wanted) => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    const answering = answer(
      sock,
      () => new Promise((resolve) => setTimeout(resolve, 1500))
    )
    const child = run(
      limit,
      async ({ lib, say }, url) => {
        const sock = new lib.PairSocket()
        await sock.dial(url)
        const ask = async (text: string) => {
          await sock.send(text)
          await sock.recv()
        }
        const wait = async () => {
          const before = process.cpuUsage()
          await ask('later')
          const { user, system } = process.cpuUsage(before)
          say(user + system > 200_000 ? 'awake' : 'asleep')
        }
        // More are needed after one that did not come.
        for (const count of [50, 100]) {
          for (let i = 0; i < count; i++) await ask('now')
          await wait()
          await wait()
        }
        await sock.close()
      },
      url
    )
    expect(await ending(child)).toEqual(SUCCESS)
    expect(child.lines).toEqual(wanted)
    await sock.close()
    await answering
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
