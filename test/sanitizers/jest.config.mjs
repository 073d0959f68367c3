import config from '../../jest.config.mjs'

// The tests that scripts/sanitize.mjs runs.
export default {
  ...config,
  rootDir: '../..',
  testTimeout: 120_000
}
