import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'

const COMPILER = process.env.CC ?? 'cc'

/** Whether a library of these tests can be preloaded into processes. */
export const canPreload =
  process.platform === 'linux' &&
  spawnSync(COMPILER, ['--version'], { stdio: 'ignore' }).status === 0

let folder: string | undefined

afterAll(() => {
  if (folder !== undefined) fs.rmSync(folder, { recursive: true, force: true })
})

function library(name: string): string {
  if (folder === undefined) {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-preload-'))
    fs.chmodSync(folder, 0o755) // for processes of other users, too
  }
  const file = path.join(folder, `${name}.so`)
  if (!fs.existsSync(file)) {
    const source = path.join(__dirname, `${name}.c`)
    const flags = ['-shared', '-fPIC', '-Wall', '-Wextra', '-Werror']
    execFileSync(COMPILER, [...flags, '-o', file, source, '-ldl'])
  }
  return file
}

/** The environment of a process into which this library is preloaded. */
export function preloading(
  name: 'getaddrinfo' | 'listen' | 'failing_calls',
  variables: NodeJS.ProcessEnv
): NodeJS.ProcessEnv {
  // A sanitizer's library has to come first.
  const preloaded = [process.env.LD_PRELOAD, library(name)].filter(Boolean)
  return { ...process.env, LD_PRELOAD: preloaded.join(':'), ...variables }
}
