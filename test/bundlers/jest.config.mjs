import { common } from '../../jest.config.mjs'

// npm run test:bundlers, which installs what they need from a lock file here.
export default {
  ...common,
  testMatch: ['**/test/bundlers/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 120_000
}
