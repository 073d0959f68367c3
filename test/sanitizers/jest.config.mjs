import config from '../../jest.config.mjs'

// The tests that scripts/sanitize.mjs runs: those that drive the native code
// in jest's own process, as far as that takes no longer than three minutes.
// Not here: what is mostly Node (command, package, types), or other processes,
// or as long as all of this (fairness, reconnect).
const both = [
  'closing',
  'endpoints',
  'events',
  'exchange',
  'hostile',
  'loss',
  'recv',
  'stats',
  'wire'
]
// ThreadSanitizer takes a minute for the copies of `large`, and is too slow
// for what the others expect of the races that they run.
const withoutThreads = ['cancel', 'close', 'large', 'send']

const names =
  process.env.NNG_PAIR_SANITIZER === 'thread'
    ? both
    : [...both, ...withoutThreads]

export default {
  ...config,
  rootDir: '../..',
  testMatch: names.map((name) => `**/test/${name}.test.ts`),
  testTimeout: 120_000
}
