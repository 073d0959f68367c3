// npm run test:model -- [--schedules N] [--seed N] [--path P]
//                       [--transport tcp|ipc] [--driver loop|thread]
//
// The random schedules of test/model.test.ts, as many as you have time for: of
// both transports and both drivers unless it is said which, in batches, each
// with a seed of its own. It prints how many a second there were. A schedule
// that fails ends it; what jest prints then has the schedule, made as short as
// it can be, and the line that repeats it.

import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import * as path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const TRANSPORTS = ['tcp', 'ipc']
const DRIVERS = ['loop', 'thread']
// Of each transport: jest starts anew for each batch.
const BATCH = 5000

process.chdir(path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    seed: { type: 'string' },
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
    throw new Error(`--${name} is a number, not ${values[name]}`)
  }
  return value
}

const transports = oneOf('transport', TRANSPORTS)
const drivers = oneOf('driver', DRIVERS)
let seed = values.seed === undefined ? randomInt(2 ** 30) : integer('seed')
// To repeat one takes as many as it takes: the path says which.
const total =
  values.path === undefined
    ? integer('schedules')
    : transports.length * drivers.length

/** Runs so many schedules over each transport; returns how many seconds. */
function run(driver, count) {
  const env = {
    ...process.env,
    NNG_PAIR_MODEL_SCHEDULES: String(count),
    NNG_PAIR_MODEL_SEED: String(seed)
  }
  delete env.NNG_PAIR_DRIVER
  if (driver === 'thread') env.NNG_PAIR_DRIVER = driver
  if (values.path !== undefined) env.NNG_PAIR_MODEL_PATH = values.path
  const begin = performance.now()
  const { status } = spawnSync(
    process.execPath,
    [
      path.join('node_modules', 'jest', 'bin', 'jest.js'),
      'test/model.test.ts',
      ...['--testNamePattern', transports.join('|')],
      ...(values.path === undefined ? ['--silent'] : [])
    ],
    { env, stdio: ['ignore', 'inherit', 'inherit'] }
  )
  if (status !== 0) process.exit(1)
  return (performance.now() - begin) / 1000
}

let done = 0
let seconds = 0
for (let batch = 0; done < total; batch++, seed++) {
  const driver = drivers[batch % drivers.length]
  const left = Math.ceil((total - done) / transports.length)
  const batchesLeft = Math.ceil((total - done) / (BATCH * transports.length))
  const share =
    batchesLeft < drivers.length ? Math.ceil(left / drivers.length) : left
  const count = Math.max(1, Math.min(BATCH, share))
  seconds += run(driver, count)
  done += count * transports.length
  console.log(
    `seed ${seed}, driver ${driver}: ${done} schedules, ` +
      `${Math.round(done / seconds)} a second`
  )
}
