#!/usr/bin/env node
// Stands in for node-gyp when prebuildify calls it, and calls cmake-js instead. The command lines
// agree by coincidence: `rebuild --target=NAME` builds the CMake target NAME, and the rest of what
// prebuildify passes (--devdir, --arch, --release) cmake-js ignores or means the same by.

import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const cmakeJs = createRequire(import.meta.url).resolve('cmake-js/bin/cmake-js')

const { status } = spawnSync(
  process.execPath,
  [
    cmakeJs,
    ...process.argv.slice(2),
    `--directory=${root}`,
    // Not the project's own build folder, which may be in use.
    `--out=${join(process.cwd(), 'build')}`,
    ...JSON.parse(process.env.NNG_PAIR_CMAKE_JS_ARGS ?? '[]')
  ],
  { stdio: 'inherit' }
)
process.exitCode = status ?? 1
