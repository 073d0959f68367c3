// The package loaded again and again in one process, as test frameworks do, with
// sockets open in the older instances: each is a library of its own.

import * as fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { freeUrl, transports } from '../support/transports'

type Lib = typeof import('../../lib')
type Sock = InstanceType<Lib['PairSocket']>
type Pair = [listening: Sock, dialing: Sock]

const INSTANCES = 200
// Of so many, one keeps its sockets: of both transports in turn.
const KEEPS = 9
// Where they are not apart, a message comes to somebody else.
const SOON = { timeout: 10_000 }

function loadAnew(): Lib {
  let lib: Lib | undefined
  jest.isolateModules(() => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    lib = require('../../lib') as Lib
  })
  return lib!
}

async function connect(lib: Lib, url: string): Promise<Pair> {
  const pair: Pair = [new lib.PairSocket(), new lib.PairSocket()]
  await pair[1].dial((await pair[0].listen(url)).url)
  return pair
}

/** A message each way, of text that is its own. */
async function exchange([one, other]: Pair, text: string): Promise<void> {
  one.trySend(`${text}, there`)
  other.trySend(`${text}, back`)
  expect(String(await other.recv(SOON))).toBe(`${text}, there`)
  expect(String(await one.recv(SOON))).toBe(`${text}, back`)
}

async function close(pair: Pair): Promise<void> {
  await Promise.all(pair.map((sock) => sock.close({ timeout: 0 })))
}

function held(): { descriptors: number; threads: number } {
  if (process.platform !== 'linux') return { descriptors: 0, threads: 0 }
  const count = (what: string) => fs.readdirSync(`/proc/self/${what}`).length
  return { descriptors: count('fd'), threads: count('task') }
}

/** Connections end on a thread of the engine's, a little later. */
async function untilHeld(wanted: ReturnType<typeof held>): Promise<void> {
  for (let left = 500; left > 0; left--) {
    const { descriptors, threads } = held()
    if (descriptors <= wanted.descriptors && threads <= wanted.threads) return
    await sleep(10)
  }
  expect(held()).toEqual(wanted)
}

test(`${INSTANCES} instances hold nothing, and stay apart`, async () => {
  const urls = transports.map((transport) => () => freeUrl(transport))
  const newUrl = (i: number) => urls[i % urls.length]!()
  const first = loadAnew()
  for (const i of urls.keys()) await close(await connect(first, newUrl(i)))
  const before = held()

  const kept: Pair[] = []
  const libs = new Set<Lib['PairSocket']>()
  for (let i = 0; i < INSTANCES; i++) {
    const lib = loadAnew()
    libs.add(lib.PairSocket)
    const pair = await connect(lib, newUrl(i))
    await exchange(pair, `instance ${i}`)
    // What the older ones have begun to send, the newer one has not got.
    for (const [k, [one]] of kept.entries()) one.trySend(`${k}, one way`)
    await exchange(pair, `instance ${i}`)
    for (const [k, [, other]] of kept.entries()) {
      expect(String(await other.recv(SOON))).toBe(`${k}, one way`)
    }
    if (i % KEEPS === 0) kept.push(pair)
    else await close(pair)
  }
  expect(libs.size).toBe(INSTANCES)
  await Promise.all(kept.map((pair, k) => exchange(pair, `kept ${k}`)))
  await Promise.all(kept.map(close))
  await untilHeld(before)
}, 120_000)
