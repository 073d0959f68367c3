// The end of the process, or of a worker, and exceptions that nobody catches,
// in each callback that there is, while another socket has traffic both ways.
//
// Here each end is tried over one transport, and the other one over the other.
// NNG_PAIR_CALLBACKS=all npx jest test/long/callbacks: all over both.

import { once } from 'node:events'
import { callbacks, setScene } from '../support/callbacks'
import { ending, inProcess, type Main } from '../support/childProcess'
import {
  freeUrl,
  socket,
  transports,
  type Transport
} from '../support/transports'

const ALL = process.env.NNG_PAIR_CALLBACKS === 'all'
// Far more than it takes.
const END_WITHIN_MS = 10_000
const ALL_WITHIN_MS = 120_000

const SUCCESS = { code: 0, signal: null }
const names = Object.keys(callbacks)
const sources = Object.entries(callbacks).map(
  ([name, callback]) => [name, String(callback)] as const
)

/** What is done in the callback, and the exit code that it leads to. */
const ways = { exit: 5, throw: 1 } as const
type Way = keyof typeof ways
const allWays = Object.keys(ways) as Way[]

/** Half of the combinations, or all. */
function turn(i: number): { way: Way; transport: Transport }[] {
  return allWays.flatMap((way, w) =>
    transports
      .filter((_, t) => ALL || (i + w + t) % 2 === 0)
      .map((transport) => ({ way, transport }))
  )
}

/** Acts in a callback, in a process or a worker of its own. */
const actor: Main<
  [
    set: string,
    callback: string,
    way: 'exit' | 'throw',
    at: string,
    peer?: string
  ]
> = async (tools, set, callback, way, at, peer) => {
  const act = () => {
    tools.say('now')
    if (way === 'exit') process.exit(5)
    throw new Error('my mistake')
  }
  const setScene = (0, eval)(`(${set})`)
  const { scene } = await setScene(tools, at, peer, act)
  void Promise.resolve(scene).then((0, eval)(`(${callback})`))
}

describe('a process that is busy ends by an end or an exception in', () => {
  test.each(names.map((name, i) => [name, i] as const))(
    '%s',
    async (name, i) => {
      const runs = turn(i).map(async ({ way, transport }) => {
        const peer = socket()
        const { url } = await peer.listen(freeUrl(transport))
        const connected = once(peer, 'connect')
        void (async () => {
          for (;;) await peer.send(Buffer.alloc(1000))
        })().catch(() => {})
        void (async () => {
          for await (const _ of peer) continue
        })()
        const run = inProcess(
          actor,
          String(setScene),
          String(callbacks[name]),
          way,
          freeUrl(transport),
          url
        )
        await connected
        const gone = once(peer, 'disconnect')
        await run.line('now')
        const exit = await ending(run, END_WITHIN_MS)
        expect([way, exit]).toEqual([way, { code: ways[way], signal: null }])
        expect(run.lines.filter((line) => line === 'now')).toHaveLength(1)
        await gone
      })
      await Promise.all(runs)
    }
  )
})

/** Acts in all of them, one after the other, and survives. */
const survivor: Main<
  [set: string, sources: (readonly [string, string])[], at: string]
> = async (tools, set, sources, at) => {
  const { say } = tools
  let caught: (error: Error) => void
  process.on('uncaughtException', (error) => caught(error))
  for (const [i, [name, callback]] of sources.entries()) {
    const act = () => {
      throw new Error(name)
    }
    const { scene, goesOn, end } = await (0, eval)(`(${set})`)(
      tools,
      at.startsWith('tcp') ? at : `${at}.${i}`,
      undefined,
      act
    )
    const error = await new Promise<Error>((resolve) => {
      caught = resolve
      void Promise.resolve(scene).then((0, eval)(`(${callback})`))
    })
    if (error.message !== name) throw error
    caught = (error) => say(`after ${name}: ${error.stack}`)
    await goesOn()
    await end()
    say(name)
  }
  process.exit(0)
}

describe.each(transports)('over %s', (transport) => {
  test(
    'an exception in a callback reaches uncaughtException; sockets go on',
    async () => {
      const run = inProcess(
        survivor,
        String(setScene),
        sources,
        freeUrl(transport)
      )
      const exit = await ending(run, ALL_WITHIN_MS)
      expect(run.lines).toEqual(names)
      expect(exit).toEqual(SUCCESS)
    },
    ALL_WITHIN_MS + 10_000
  )

  const some = ALL ? allWays : [allWays[transports.indexOf(transport)]!]
  test.each(some)(
    'a worker ends by %s in a callback; its process goes on',
    async (way) => {
      const run = inProcess(
        async ({ say, startWorker }, actor, set, sources, way, at) => {
          const left = [...sources.entries()]
          const endOne = async () => {
            for (let next; (next = left.shift()) !== undefined;) {
              const [i, [name, callback]] = next
              const own = at.startsWith('tcp') ? at : `${at}.${i}`
              const worker = startWorker(actor, set, callback, way, own)
              let message = ''
              worker.on('error', (error: Error) => (message = error.message))
              const code = await new Promise((ended) =>
                worker.on('exit', ended)
              )
              say(`${name}: ${String(code)} ${message}`.trimEnd())
            }
          }
          await Promise.all([endOne(), endOne()])
        },
        String(actor),
        String(setScene),
        sources,
        way,
        freeUrl(transport)
      )
      const exit = await ending(run, ALL_WITHIN_MS)
      const said = run.lines.filter((line) => line !== 'now').sort()
      const end = way === 'exit' ? '5' : '1 my mistake'
      expect(said).toEqual(names.map((name) => `${name}: ${end}`).sort())
      expect(run.lines.length - said.length).toBe(names.length)
      expect(exit).toEqual(SUCCESS)
    },
    ALL_WITHIN_MS + 10_000
  )
})
