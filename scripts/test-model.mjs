// npm run test:model -- [--schedules N] [--seed N] [--path P]
//                       [--transport tcp|ipc] [--driver loop|thread]
//
// The random schedules of test/long/model.test.ts, as many as you have time for:
// over both transports and with both drivers side by side, unless it is said
// which; in batches, each with a seed of its own. A schedule that fails ends
// it: what jest says has the schedule, made as short as it can be, and the line
// that repeats it, which has a --path.

import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import * as path from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const TRANSPORTS = ['tcp', 'ipc']
const DRIVERS = ['loop', 'thread']
// Over each transport: jest starts anew for each batch.
const BATCH = 2500
// How often the one schedule of a path is run: it may fail only now and then.
const TIMES = 100

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(randomInt(2 ** 30)) },
    path: { type: 'string' },
    transport: { type: 'string' },
    driver: { type: 'string' }
  }
})

function oneOf(name, known) {
  const value = values[name]
  if (value === undefined) return known
  if (!known.includes(value)) {
    throw new Error(`--${name} is one of ${known.join(', ')}`)
  }
  return [value]
}

function integer(name) {
  const value = Number(values[name])
  if (!Number.isInteger(value) || value < 0) {
    throw new Error(`--${name} is a whole number, not ${values[name]}`)
  }
  return value
}

const transports = oneOf('transport', TRANSPORTS)
const drivers = oneOf('driver', DRIVERS)
const seed = integer('seed')
const schedules = integer('schedules')

/** Runs so many schedules over each transport, and throws if one fails. */
async function run(driver, seed, count) {
  const env = {
    ...process.env,
    NNG_PAIR_MODEL_SCHEDULES: String(count),
    NNG_PAIR_MODEL_SEED: String(seed)
  }
  delete env.NNG_PAIR_DRIVER
  if (driver !== 'loop') env.NNG_PAIR_DRIVER = driver
  if (values.path !== undefined) env.NNG_PAIR_MODEL_PATH = values.path
  const args = [
    path.join('node_modules', 'jest', 'bin', 'jest.js'),
    path.join('test', 'long', 'model.test.ts'),
    ...['--testNamePattern', transports.join('|')]
  ]
  const jest = spawn(process.execPath, args, {
    env,
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const ended = new Promise((resolve) => jest.once('close', resolve))
  const output = await text(jest.stderr)
  if ((await ended) !== 0) throw new Error(output)
}

const begin = performance.now()
let done = 0

/** The share of one driver, batch by batch. */
async function lane(driver, first) {
  let left = Math.ceil(schedules / drivers.length / transports.length)
  for (let next = first; left > 0 && !process.exitCode; next++) {
    const count = Math.min(BATCH, left)
    await run(driver, next, count)
    left -= count
    done += count * transports.length
    const seconds = (performance.now() - begin) / 1000
    console.log(
      `driver ${driver}, seed ${next}: passed; ${done} schedules in all, ` +
        `${Math.round(done / seconds)} a second`
    )
  }
}

if (values.path === undefined) {
  const lanes = drivers.map((driver, i) => lane(driver, seed + i * 100_000))
  for (const ended of lanes) {
    ended.catch((error) => {
      process.exitCode = 1
      console.error(error.message)
    })
  }
} else {
  for (const driver of drivers) await run(driver, seed, TIMES)
  console.log(`${TIMES} times: it did not fail`)
}
