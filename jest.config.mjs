// Two sets of tests: `npm test` runs those of every day, which take two minutes
// on two cores; `npm run test:long` those that are long by nature. `npx jest
// test/long/model` runs any file by its name, and `npx jest` runs them all.

import { availableParallelism } from 'node:os'

// The same everywhere, or of the loop driver alone: not run again with the engine
// on its own thread.
const NOT_ON_A_THREAD = [
  '/test/bench',
  '/test/command',
  '/test/debugging',
  '/test/docs',
  '/test/errors',
  '/test/examples',
  '/test/long/busy-poll',
  '/test/long/instances',
  '/test/long/queues',
  '/test/long/soak',
  '/test/package/',
  '/test/tutorial',
  '/test/types'
]

/** What every set has. */
export const common = {
  testEnvironment: 'node',
  rootDir: import.meta.dirname,
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(process.env.NNG_PAIR_DRIVER === 'thread' ? NOT_ON_A_THREAD : [])
  ],
  transform: { '^.+\\.ts$': ['ts-jest', { tsconfig: 'test/tsconfig.json' }] }
}

/** What jest takes for all sets together. */
export const limits = {
  // Tests own real sockets and processes: one that hangs says so itself.
  testTimeout: 30_000
}

export default {
  ...limits,
  // They wait for each other's processes more than they compute.
  maxWorkers: availableParallelism() + 1,
  projects: [
    {
      ...common,
      displayName: 'everyday',
      testMatch: ['<rootDir>/test/*.test.ts']
    },
    {
      ...common,
      displayName: 'long',
      testMatch: ['<rootDir>/test/{long,package}/*.test.ts']
    }
  ]
}
