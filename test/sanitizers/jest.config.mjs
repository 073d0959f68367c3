import config from '../../jest.config.mjs'

// The tests that scripts/sanitize.mjs runs: those that drive the native code
// through connections, traffic, and their ends. The others would take the
// better part of an hour here, most of it in Node itself.
export default {
  ...config,
  rootDir: '../..',
  testMatch: [
    '**/test/exchange.test.ts',
    '**/test/loss.test.ts',
    '**/test/wire.test.ts',
    '**/test/closing.test.ts'
  ],
  testTimeout: 120_000
}
