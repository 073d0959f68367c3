// docs/debugging.md: its commands for gdb, as they stand there, on the addon
// that the tests use.

import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { Run } from './support/command'
import { inProcess } from './support/childProcess'
import { tempFolder } from './support/tempFolder'

const page = fs.readFileSync(
  path.join(__dirname, '..', 'docs', 'debugging.md'),
  'utf8'
)

/** The commands in the section with this heading. */
function commands(heading: string): string {
  const section = page.split(/^## /m).find((text) => text.startsWith(heading))!
  return /^```sh\n(.*?)^```$/ms.exec(section)![1]!
}

/** Runs them in a folder, with the program that they name. */
async function run(script: string, program: string, pid = ''): Promise<string> {
  const cwd = tempFolder()
  fs.writeFileSync(path.join(cwd, 'program.js'), program)
  // Whatever runs the tests runs the program.
  const text = script.replace(/\bnode(?= program)/, `'${process.execPath}'`)
  const shell = new Run('sh', ['-c', text], {
    cwd,
    env: { ...process.env, pid, DEBUGINFOD_URLS: '' }
  })
  await shell.exit
  return shell.stdout + shell.stamped.join('\n')
}

/** Containers often forbid what a debugger does, and Bun's addons are loaded in a way of its own. */
function obstacle(): string | undefined {
  if ('bun' in process.versions || 'deno' in process.versions)
    return 'this is not Node.js'
  const gdb = spawnSync('gdb', ['-nx', '-batch', '-ex', 'run', '/bin/true'], {
    encoding: 'utf8'
  })
  if (gdb.error !== undefined) return 'gdb is not installed'
  if (!gdb.stdout.includes('exited normally')) return 'gdb may not debug here'
  return undefined
}

const why = obstacle()
const testWithGdb = why === undefined ? test : test.skip
const skipped = why === undefined ? '' : ` (skipped: ${why})`

testWithGdb(
  `a breakpoint in the addon stops the program${skipped}`,
  async () => {
    const output = await run(
      commands('A breakpoint'),
      `const { PairSocket } = require(${JSON.stringify(path.join(__dirname, '..'))})
       const sock = new PairSocket()
       sock.send('message').then(() => console.log('went on'))`
    )
    expect(output).toMatch(/ hit Breakpoint 1\b.*nng_pair::Socket::Send/)
    expect(output).toMatch(/^#0 .*nng_pair::Socket::Send/m)
    expect(output).toMatch(/^Thread \d+ .*"nng:reap2"/m)
    expect(output).toContain('killed]')
    expect(output).not.toContain('went on')
  },
  60_000
)

testWithGdb(
  `every thread of a program that waits can be seen${skipped}`,
  async () => {
    const waiting = inProcess(async ({ lib, say }) => {
      const sock = new lib.PairSocket()
      await sock.listen('tcp://127.0.0.1:0')
      const message = sock.recv()
      say(`pid ${process.pid}`)
      await message
    })
    await waiting.until(({ lines }) => lines.length > 0)
    const [, pid] = /^pid (\d+)$/.exec(waiting.lines[0]!)!
    const output = await run(commands('A program that hangs'), '', pid)
    waiting.kill('SIGKILL')
    await waiting.exit
    expect(output).toMatch(/^Thread 1 .*\n(#.*\n)*#.*epoll_p?wait/m)
    expect(output).toMatch(/^Thread \d+ .*"nng:reap2"/m)
    expect(output).toContain('reap_worker')
  },
  60_000
)
