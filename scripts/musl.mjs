// A JavaScript runtime on musl, on a machine that has glibc: npm's Bun for musl
// under Debian's musl loader, for the binary of prebuilds/ that is for musl.
//
// Bun wants a C++ library for musl, which Debian has not. Debian's own asks
// glibc for little that musl lacks; glibc_names.c has that.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installZig, writeTools } from './zig.mjs'

const scripts = dirname(fileURLToPath(import.meta.url))
const root = dirname(scripts)
const home = join(scripts, 'musl')
const packages = join(home, 'node_modules')
const LOADER = '/lib/ld-musl-x86_64.so.1'
const TARGET = 'x86_64-linux-musl'
const BINARY = join(root, 'prebuilds', 'linux-x64', 'nng-pair.musl.node')

/**
 * Returns the runtime's file and what its environment needs. The binary is
 * built if there is none, or with `rebuild` also where one is, of an older
 * source perhaps.
 */
export async function installBunForMusl({ rebuild = false } = {}) {
  if (!existsSync(LOADER)) throw new Error('needs musl (Debian: musl)')
  const bun = join(packages, '@oven', 'bun-linux-x64-musl', 'bin', 'bun')
  if (!existsSync(bun))
    // By force: npm sees a machine with glibc.
    run('npm', ['ci', '--force', '--ignore-scripts', '--no-audit', '--no-fund'])
  if (rebuild || !existsSync(BINARY))
    run(process.execPath, [
      join(scripts, 'prebuild.mjs'),
      ...['--only', 'linux-x64-musl']
    ])

  const libraries = join(root, 'build-musl')
  await mkdir(libraries, { recursive: true })
  installZig()
  await writeTools(libraries, TARGET)
  process.env.ZIG_GLOBAL_CACHE_DIR = join(root, 'build-zig-cache')
  process.env.ZIG_LOCAL_CACHE_DIR = join(root, 'build-zig-cache')
  run(join(libraries, 'cc'), [
    ...['-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-Werror'],
    ...['-o', join(libraries, 'ld-linux-x86-64.so.2')],
    join(home, 'glibc_names.c')
  ])
  for (const name of ['libstdc++.so.6', 'libgcc_s.so.1']) {
    const { stdout } = spawnSync('cc', [`-print-file-name=${name}`])
    await copyFile(String(stdout).trim(), join(libraries, name))
  }
  return {
    file: bun,
    env: {
      LD_LIBRARY_PATH: libraries,
      // node-gyp-build asks the system, not the process, for its C library.
      LIBC: 'musl',
      PREBUILDS_ONLY: '1',
      // jest's resolver was installed for glibc.
      NAPI_RS_NATIVE_LIBRARY_PATH: join(
        packages,
        '@unrs',
        'resolver-binding-linux-x64-musl',
        'resolver.linux-x64-musl.node'
      )
    }
  }
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    cwd: home,
    stdio: ['ignore', 2, 2]
  })
  if (status !== 0)
    throw new Error(`${command}: ${error?.message ?? `exit ${status}`}`)
}
