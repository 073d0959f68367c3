// The Zig compiler as the handful of tools that CMake wants, one set for each target.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const home = join(dirname(fileURLToPath(import.meta.url)), 'zig')
const zig = join(home, 'node_modules', '@ryoppippi', 'zig-linux-x64', 'zig')

/** Installs the compiler, if need be, from its own lock file. */
export function installZig() {
  if (existsSync(zig)) return
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(
      'the Zig package is for linux-x64; use --native to build for this machine only'
    )
  const npm = spawnSync(
    'npm',
    ['ci', '--ignore-scripts', '--no-audit', '--no-fund'],
    {
      cwd: home,
      stdio: 'inherit'
    }
  )
  if (npm.status !== 0) throw new Error('cannot install the Zig compiler')
}

export async function writeTools(dir, target) {
  await mkdir(dir, { recursive: true })
  const tools = {
    cc: compiler('cc', target),
    'c++': compiler('c++', target),
    ar: `exec "${zig}" ar "$@"`,
    ranlib: `exec "${zig}" ranlib "$@"`
  }
  for (const [name, command] of Object.entries(tools))
    await writeFile(join(dir, name), `#!/bin/sh\n${command}\n`, { mode: 0o755 })
}

function compiler(language, target) {
  return `
# CMake's first probe links a program: Zig would build a whole libc for it.
case "$*" in *CompilerId.c*) set -- "$@" -c ;; esac
# Zig has no bundles, and Node loads a library as well.
case " $* " in *" -bundle "*) set -- "$@" -dynamiclib ;; esac
# Always stripped: strip(1) knows only the host's format, and Zig would build
# its C++ library once more, with debugging symbols.
exec "${zig}" ${language} -target ${target} -s "$@"`
}
