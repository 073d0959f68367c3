import { randomInt } from 'node:crypto'
import fc from 'fast-check'
import { describeSchedule, schedules } from '../model/schedule'
import { World } from '../model/world'
import { transports } from '../support/transports'

// Random schedules of everything that can be done with a socket and to it,
// compared with a model (test/model/model.ts). One that fails is made as short
// as it can be and still fail, and its seed repeats it, as far as the system's
// timing lets it. Many more of them, for hours:
//   npm run test:model -- --schedules 1000000

const env = (name: string) => process.env[`NNG_PAIR_MODEL_${name}`]
const SCHEDULES = Number(env('SCHEDULES') ?? 500)
const SEED = Number(env('SEED') ?? randomInt(2 ** 31))
// One schedule of the seed, which is run as many times as there were to be
// schedules: it may fail only now and then.
const PATH = env('PATH')
const TIMES = PATH === undefined ? 1 : SCHEDULES
// Nothing that a schedule waits for takes nearly as long.
const PATIENCE_MS = Number(env('PATIENCE_MS') ?? 10_000)
// A schedule has failed already: the shorter ones need no such patience. What
// fails now and then is tried some more times.
const PATIENCE_OF_SHORTER_MS = 2000
const TIMES_OF_SHORTER = 3
const SHORTEN_WITHIN_MS = 60_000

test.each(transports)(
  `${SCHEDULES} random schedules over %s`,
  async (transport) => {
    let failedAt = 0
    let count = 0
    const property = fc.asyncProperty(schedules, async (schedule) => {
      if (failedAt > 0 && performance.now() > failedAt + SHORTEN_WITHIN_MS) {
        return
      }
      const times = failedAt > 0 ? TIMES_OF_SHORTER : TIMES
      const patience = failedAt > 0 ? PATIENCE_OF_SHORTER_MS : PATIENCE_MS
      try {
        for (let i = 0; i < times; i++) {
          await new World(schedule, transport, patience).run()
        }
        if (failedAt === 0) count++
      } catch (error) {
        failedAt ||= performance.now()
        throw error
      }
    })
    const result = await fc.check(property, {
      numRuns: PATH === undefined ? SCHEDULES : 1,
      seed: SEED,
      ...(PATH === undefined ? {} : { path: PATH, endOnFailure: true })
    })
    if (!result.failed) return
    const [schedule] = result.counterexample!
    throw new Error(
      `schedule ${count + 1} over ${transport} fails; ${result.numShrinks} ` +
        `times made shorter:\n  ${describeSchedule(schedule)}\n` +
        `${String(result.errorInstance)}\nOnce more:\n` +
        `  npm run test:model -- --seed ${SEED} --path ${result.counterexamplePath} ` +
        `--transport ${transport} --driver ${process.env.NNG_PAIR_DRIVER ?? 'loop'}`
    )
  },
  SCHEDULES * 200 + SHORTEN_WITHIN_MS + 60_000
)
