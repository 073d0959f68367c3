// Gets what the peers need and the package itself does not: zeromq.js, ws, and the programs in C.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { cmakeDir, home, root } from './peers.mjs'

export function prepare(peerIds) {
  install(peerIds.filter((id) => ['zeromq', 'ws'].includes(id)))
  if (peerIds.includes('nng')) build('nng_peer')
  if (peerIds.includes('raw')) build('raw_peer')
}

/** Their binaries, if they have any, are in the packages: no script has to run. */
function install(packages) {
  if (packages.every((name) => existsSync(join(home, 'node_modules', name))))
    return
  run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], home)
}

function build(target) {
  if (!existsSync(join(cmakeDir, 'CMakeCache.txt')))
    run('cmake', ['-S', root, '-B', cmakeDir, '-DNNG_PAIR_BENCH=ON'])
  run('cmake', ['--build', cmakeDir, '--target', target])
}

function run(program, args, cwd = root) {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8'
  })
  if (status !== 0)
    throw new Error(
      `${program} ${args.join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`}`
    )
}
