// The framing and the two queues of a socket, by themselves (test/core).

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as path from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = path.join(__dirname, '..', '..')
const SCHEDULES = process.env.NNG_PAIR_SCHEDULES ?? '500'

const dir = mkdtempSync(path.join(tmpdir(), 'nng-pair-queues-'))
const program = path.join(dir, 'queues')
afterAll(() => rmSync(dir, { recursive: true }))

beforeAll(async () => {
  await run(process.env.CXX ?? 'c++', [
    ...['-std=c++17', '-O2', '-g', '-Wall', '-Wextra', '-Werror'],
    ...['-DNNG_STATIC_LIB', '-I', path.join(root, 'deps/nng/include')],
    path.join(root, 'test/core/queues.cc'),
    path.join(root, 'binding/core/receive_queue.cc'),
    path.join(root, 'binding/core/send_queue.cc'),
    ...['-o', program]
  ])
}, 60_000)

test('random schedules: bytes in pieces, ends anywhere, no memory', async () => {
  const seed = String(Date.now())
  const { stdout } = await run(program, [seed, SCHEDULES])
  expect(stdout).toBe(`${SCHEDULES} schedules\n`)
}, 120_000)
