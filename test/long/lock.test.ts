// The lock of an engine, by itself (test/core/lock.c).

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = path.join(__dirname, '..', '..')

const dir = mkdtempSync(path.join(tmpdir(), 'nng-pair-lock-'))
const program = path.join(dir, 'lock')
afterAll(() => rmSync(dir, { recursive: true }))

beforeAll(async () => {
  await run(process.env.CC ?? 'cc', [
    ...['-O2', '-g', '-Wall', '-Wextra', '-Werror', '-D_GNU_SOURCE'],
    ...['-DNNG_STATIC_LIB', '-DNNG_PLATFORM_POSIX', '-DNNG_PLATFORM_LINUX'],
    ...['-isystem', path.join(root, 'deps/nng/include')],
    ...['-isystem', path.join(root, 'deps/nng/src')],
    path.join(root, 'test/core/lock.c'),
    path.join(root, 'binding/engine/lock.c'),
    path.join(root, 'binding/platform/posix/os.c'),
    ...['-lpthread', '-o', program]
  ])
}, 60_000)

test('goes to those who wait, and not back to who hands it over', async () => {
  const { stdout } = await run(program)
  const [, tooLong, all] = /^(\d+) of (\d+)\n$/.exec(stdout)!
  expect(Number(all)).toBe(600)
  // A thread may lose the processor just before it begins to wait.
  expect(Number(tooLong)).toBeLessThan(30)
}, 60_000)
