// The framing and the two queues of a socket, by themselves (test/core/queues.cc).

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { compiled } from '../support/compiled'

const run = promisify(execFile)
const SCHEDULES = process.env.NNG_PAIR_SCHEDULES ?? '500'

test('random schedules: bytes in pieces, ends anywhere, no memory', async () => {
  const program = await compiled(
    process.env.CXX ?? 'c++',
    ['-std=c++17', '-DNNG_STATIC_LIB', '-I', 'deps/nng/include'],
    [
      'test/core/queues.cc',
      'binding/core/receive_queue.cc',
      'binding/core/send_queue.cc'
    ]
  )
  const seed = String(Date.now())
  const { stdout } = await run(program, [seed, SCHEDULES])
  expect(stdout).toBe(`${SCHEDULES} schedules\n`)
}, 180_000)
