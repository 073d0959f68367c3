// The timers of JavaScript are replaced, and stand still: sockets go on.

import * as path from 'node:path'
import { PairSocket } from '../lib'
import { Run, buildIfStale } from './support/command'
import { ending } from './support/childProcess'
import * as fakes from './support/fakes.cjs'
import { childJest } from './support/childJest'
import { freeUrl, transports } from './support/transports'

const FAKES = path.join(__dirname, 'support', 'fakes.cjs')
const DIST = path.join(__dirname, '..', 'dist')

/** In a process of its own: replaces the timers, and loads the package. */
async function main(
  load: NodeJS.Require,
  [file, dist]: [file: string, dist: string],
  way: string,
  order: string,
  url: string
): Promise<void> {
  const { exercise, standStill, ways } = load(file) as typeof fakes
  if (order === 'after') {
    load(dist)
    ways[way]!()
  }
  if (!(await standStill(globalThis, load('node:timers')))) {
    throw new Error('they do not stand still')
  }
  await exercise(load(dist), url)
}

beforeAll(buildIfStale)

describe.each(transports)('a socket over %s', (transport) => {
  test.each([
    ['sinon', 'after'],
    ['sinon', 'before'],
    ['node:test', 'after'],
    ['node:test', 'before']
  ])('%s has replaced the timers %s it was loaded', async (way, order) => {
    const args = [[FAKES, DIST], way, order, freeUrl(transport)]
    const early = order === 'before' ? { NNG_PAIR_TEST_FAKES: way } : {}
    const run = new Run(
      process.execPath,
      // Node 20 warns that mock.timers is experimental.
      [
        '--no-warnings',
        '-r',
        FAKES,
        '-e',
        `(${String(main)})(require, ...${JSON.stringify(args)})`
      ],
      { env: { ...process.env, ...early }, cwd: path.join(__dirname, '..') }
    )
    const exit = await ending(run)
    expect([exit, run.lines]).toEqual([{ code: 0, signal: null }, []])
  })

  test('jest has replaced the timers after it was loaded', async () => {
    jest.useFakeTimers()
    try {
      expect(await fakes.standStill(globalThis)).toBe(true)
      await fakes.exercise({ PairSocket }, freeUrl(transport))
    } finally {
      jest.useRealTimers()
    }
  })

  test('jest has replaced the timers before it was loaded', async () => {
    const report = await childJest(
      `const { exercise, standStill } = require(${JSON.stringify(FAKES)})
      test('a socket', async () => {
        expect(await standStill(globalThis)).toBe(true)
        const lib = require(${JSON.stringify(DIST)})
        await exercise(lib, ${JSON.stringify(freeUrl(transport))})
      })`,
      { fakeTimers: { enableGlobally: true } }
    )
    expect(report).toContain('1 passed')
  })
})
