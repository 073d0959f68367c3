#!/usr/bin/env node
// Builds prebuilds/<platform>-<arch>/ for the rows of targets.json.
//
//   node scripts/prebuild.mjs                           every row, cross-compiled
//   node scripts/prebuild.mjs --only linux-x64-glibc    one row
//   node scripts/prebuild.mjs --native                  this machine's row, with its own compiler

import { existsSync } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import prebuildify from 'prebuildify'
import { installZig, writeTools } from './zig.mjs'

const scripts = dirname(fileURLToPath(import.meta.url))
const root = dirname(scripts)

async function main() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      native: { type: 'boolean', default: false }
    }
  })
  const targets = JSON.parse(
    await readFile(join(scripts, 'targets.json'), 'utf8')
  )
  const wanted = values.native ? [hostName()] : values.only
  const known = targets.map(nameOf)
  for (const name of wanted)
    if (!known.includes(name))
      throw new Error(`no target ${name}; there are ${known.join(', ')}`)

  if (!values.native) installZig()
  for (const target of targets) {
    const name = nameOf(target)
    if (wanted.length > 0 && !wanted.includes(name)) continue
    const start = Date.now()
    const file = await build(target, name, values.native)
    const { size } = await stat(file)
    const seconds = ((Date.now() - start) / 1000).toFixed(0)
    console.log(
      `${name}: ${file.slice(root.length + 1)}, ${size} bytes, ${seconds} s`
    )
  }
}

async function build(target, name, native) {
  const dir = join(root, `build-${name}`)
  await mkdir(dir, { recursive: true })
  const args = [`--parallel=${availableParallelism()}`]
  if (!native) {
    const tools = join(dir, 'zig')
    await writeTools(tools, target.zig)
    args.push(
      // Named here too, or cmake-js looks for a compiler of the host.
      `--cc=${join(tools, 'cc')}`,
      `--cxx=${join(tools, 'c++')}`,
      `--CDCMAKE_TOOLCHAIN_FILE=${join(scripts, 'zig-toolchain.cmake')}`,
      `--CDNNG_PAIR_ZIG_BIN=${tools}`,
      `--CDNNG_PAIR_ZIG_TARGET=${target.zig}`
    )
    // One cache for all targets, and nothing outside this folder.
    process.env.ZIG_GLOBAL_CACHE_DIR = join(root, 'build-zig-cache')
    process.env.ZIG_LOCAL_CACHE_DIR = join(root, 'build-zig-cache')
  }
  process.env.NNG_PAIR_CMAKE_JS_ARGS = JSON.stringify(args)

  const adapter = join(scripts, 'cmake-js.mjs')
  await promisify(prebuildify)({
    cwd: dir,
    out: root,
    name: 'nng-pair',
    napi: true,
    targets: ['nng_pair'],
    // prebuildify goes through a shell on Windows, which cannot run a script by itself.
    nodeGyp: process.platform === 'win32' ? `node "${adapter}"` : adapter,
    platform: target.platform,
    arch: target.arch,
    libc: target.libc,
    tagLibc: target.libc !== undefined,
    strip: native
  })
  const tag = target.libc === undefined ? '' : `.${target.libc}`
  return join(
    root,
    'prebuilds',
    `${target.platform}-${target.arch}`,
    `nng-pair${tag}.node`
  )
}

function nameOf({ platform, arch, libc }) {
  return [platform, arch, libc].filter(Boolean).join('-')
}

function hostName() {
  const { platform, arch } = process
  // As node-gyp-build decides it, so that what is built is what is loaded.
  const libc = existsSync('/etc/alpine-release') ? 'musl' : 'glibc'
  return nameOf({
    platform,
    arch,
    libc: platform === 'linux' ? libc : undefined
  })
}

main().catch((error) => {
  console.error(`nng-pair: ${error.message}`)
  process.exitCode = 1
})
