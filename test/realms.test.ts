// Code that runs in another realm (node:vm) and has the package from this one.

import { createRequire } from 'node:module'
import * as path from 'node:path'
import * as vm from 'node:vm'
import { PairSocket } from '../lib'
import { buildIfStale } from './support/command'
import { connectedPair, freeUrl, transports } from './support/transports'

const DIST = path.join(__dirname, '..', 'dist')

beforeAll(buildIfStale)

describe.each(transports)('over %s', (transport) => {
  test('a program in another realm makes every call', async () => {
    const context = vm.createContext({ PairSocket, AbortController, transport })
    const program = `(async (url) => {
      const [one, other] = [new PairSocket({ sendBuffer: 4 }), new PairSocket()]
      const events = []
      one.on('connect', () => events.push('connect'))
      one.on('disconnect', (peer, reason) => events.push(reason))
      const listener = await one.listen(url)
      await other.dial(listener.url, { timeout: 10_000 })
      await one.send(Uint8Array.of(1, 2))
      await one.send(new Uint16Array([3]).buffer)
      await one.sendMany((function* () { yield 'text'; yield new DataView(new ArrayBuffer(2)) })())
      const got = []
      for await (const message of other) {
        got.push([...message].join())
        if (got.length === 4) break
      }
      const abort = new AbortController()
      const reason = new Error('mine')
      const aborted = other.recv({ signal: abort.signal }).catch((error) => error === reason)
      abort.abort(reason)
      const failed = await other.recv({ timeout: 1 }).catch(({ name, code }) => [name, code].join())
      const wrong = await one.send({}).catch(({ name, code }) => [name, code].join())
      other.duplex().end('from a stream')
      const streamed = String(await one.recv())
      await other.close()
      await one.close()
      return JSON.stringify({ got, events, aborted: await aborted, failed, wrong, streamed })
    })`
    const main = vm.runInContext(program, context) as (
      url: string
    ) => Promise<string>
    expect(JSON.parse(await main(freeUrl(transport)))).toEqual({
      got: ['1,2', '3,0', '116,101,120,116', '0,0'],
      events: ['connect', 'hangup'],
      aborted: true,
      failed: 'NngError,ETIMEDOUT',
      wrong: 'TypeError,ERR_INVALID_ARG_TYPE',
      streamed: 'from a stream'
    })
  })

  test('a script in another realm requires the package', async () => {
    const script = new vm.Script(`
      const { PairSocket, NngError } = require(dist)
      ;(async () => {
        const [one, other] = [new PairSocket(), new PairSocket()]
        await other.dial((await one.listen(url)).url)
        await one.send('hello')
        const message = String(await other.recv())
        await one.close()
        await other.close()
        const error = await one.recv().catch((error) => error)
        return [message, error instanceof NngError, error.code].join()
      })()`)
    const context = vm.createContext({
      require: createRequire(path.join(DIST, 'index.js')),
      dist: DIST,
      url: freeUrl(transport)
    })
    expect(await script.runInContext(context)).toBe('hello,true,ECLOSED')
  })

  // There, what goes on in a promise waits for the next evaluation: nobody but
  // that realm shall wait for it.
  test('a realm with microtasks of its own holds up nobody', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const said: string[] = []
    const context = vm.createContext(
      { sock: dialing, say: (text: string) => said.push(text) },
      { microtaskMode: 'afterEvaluate' }
    )
    const evaluate = (code: string): unknown => vm.runInContext(code, context)
    evaluate(`sock.recv().then((message) => say('inside: ' + message)); 0`)
    const second = dialing.recv()
    await listening.sendMany(['first', 'second', 'third'])
    expect(String(await second)).toBe('second')
    expect(String(await dialing.recv())).toBe('third')
    evaluate('0')
    expect(said).toEqual(['inside: first'])
    // What it sends is sent.
    evaluate(`sock.send('from inside').then(() => say('sent')); 0`)
    expect(String(await listening.recv())).toBe('from inside')
    expect(said).toEqual(['inside: first', 'sent'])
  })
})
