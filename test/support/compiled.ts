import { execFile } from 'node:child_process'
import * as path from 'node:path'
import { promisify } from 'node:util'
import { tempFolder } from './tempFolder'

/** Compiles a program; returns its path, where it is until the test is over. */
export async function compiled(
  compiler: string,
  flags: readonly string[],
  sources: readonly string[]
): Promise<string> {
  const program = path.join(tempFolder(), 'program')
  await promisify(execFile)(
    compiler,
    [
      ...['-O2', '-g', '-Wall', '-Wextra', '-Werror', ...flags],
      ...[...sources, '-lpthread', '-o', program]
    ],
    { cwd: path.join(__dirname, '..', '..') }
  )
  return program
}
