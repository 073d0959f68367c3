// The lock of an engine, by itself (test/core/lock.c).

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { compiled } from '../support/compiled'

const run = promisify(execFile)

test('goes to those who wait, and not back to who hands it over', async () => {
  const program = await compiled(
    process.env.CC ?? 'cc',
    [
      ...['-D_GNU_SOURCE', '-DNNG_STATIC_LIB'],
      ...['-DNNG_PLATFORM_POSIX', '-DNNG_PLATFORM_LINUX'],
      ...['-isystem', 'deps/nng/include', '-isystem', 'deps/nng/src']
    ],
    ['test/core/lock.c', 'binding/engine/lock.c', 'binding/platform/posix/os.c']
  )
  const { stdout } = await run(program)
  const [, tooLong, all] = /^(\d+) of (\d+)\n$/.exec(stdout)!
  expect(Number(all)).toBe(600)
  // A thread may lose the processor just before it begins to wait.
  expect(Number(tooLong)).toBeLessThan(30)
}, 120_000)
