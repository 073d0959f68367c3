// The same everywhere: not run again with the engine on its own thread.
const WITHOUT_AN_ENGINE = [
  '/test/command',
  '/test/docs',
  '/test/errors',
  '/test/package/',
  '/test/types'
]

export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: [
    '/node_modules/',
    // With a configuration and packages of their own.
    '/test/bundlers/',
    ...(process.env.NNG_PAIR_DRIVER === 'thread' ? WITHOUT_AN_ENGINE : [])
  ],
  transform: { '^.+\\.ts$': ['ts-jest', { tsconfig: 'test/tsconfig.json' }] },
  // Tests own real sockets and processes: a test that hangs says so itself.
  testTimeout: 30_000
}
