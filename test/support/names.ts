import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { sourceInProcess, type Main } from './childProcess'
import { Run } from './command'

const SOURCE = path.join(__dirname, 'getaddrinfo.c')
const COMPILER = process.env.CC ?? 'cc'

/** Whether processes can be given names: a library is preloaded for that. */
export const canName =
  process.platform === 'linux' &&
  spawnSync(COMPILER, ['--version'], { stdio: 'ignore' }).status === 0

let folder: string | undefined

afterAll(() => {
  if (folder !== undefined) fs.rmSync(folder, { recursive: true, force: true })
})

function library(): string {
  const name = (folder ??= fs.mkdtempSync(
    path.join(os.tmpdir(), 'nng-pair-names-')
  ))
  const file = path.join(name, 'getaddrinfo.so')
  if (!fs.existsSync(file)) {
    const flags = ['-shared', '-fPIC', '-Wall', '-Wextra', '-Werror']
    execFileSync(COMPILER, [...flags, '-o', file, SOURCE, '-ldl'])
  }
  return file
}

/** What a name resolves to, in words: see getaddrinfo.c. */
export type Names = Readonly<Record<string, string>>

/** Runs a function in a process of its own that knows these names. */
export function inProcessNaming<A extends readonly unknown[]>(
  names: Names,
  main: Main<A>,
  ...args: A
): Run {
  // A sanitizer's library has to come first.
  const preloaded = [process.env.LD_PRELOAD, library()].filter(Boolean)
  return new Run(
    process.execPath,
    ['-e', sourceInProcess(String(main), ...args)],
    {
      env: {
        ...process.env,
        LD_PRELOAD: preloaded.join(':'),
        TEST_NAMES: Object.entries(names)
          .map(([name, words]) => `${name} ${words}`)
          .join('\n')
      }
    }
  )
}
