import { common } from '../../jest.config.mjs'

// The tests that scripts/sanitize.mjs runs: those that drive the native code
// in jest's own process, as far as that takes no longer than three minutes;
// names, since nothing else looks any up; and ipc-path, since what happens at
// the same time there does not happen elsewhere.
// Not here: what is mostly Node (command, package, types), or other processes,
// or as long as all of this (fairness, reconnect).
const both = [
  'cancel',
  'close',
  'closing',
  'endpoints',
  'events',
  'exchange',
  'hostile',
  'hostile-callers',
  'ipc-path',
  'ipc-safety',
  'loss',
  'names',
  'outbox',
  'recv',
  'send',
  'stats',
  'wire',
  'long/workers',
  'long/model'
]
// ThreadSanitizer takes a minute for its copies.
const withoutThreads = ['large']

const names =
  process.env.NNG_PAIR_SANITIZER === 'thread'
    ? both
    : [...both, ...withoutThreads]

export default {
  ...common,
  testMatch: names.map((name) => `**/test/${name}.test.ts`),
  testTimeout: 120_000
}
