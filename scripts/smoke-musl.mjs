#!/usr/bin/env node
// Runs one exchange with the binary for musl, in Bun on musl. Needs the musl
// loader and a C compiler (Debian: musl, g++). The tests themselves run there
// with `npm run runtimes -- bun-musl@1`.

import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installBunForMusl } from './musl.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const { file, env } = await installBunForMusl()
const exchange = join(root, 'test', 'package', 'support', 'exchange.cjs')
const { status, signal, error } = spawnSync(file, [exchange, root], {
  stdio: 'inherit',
  timeout: 600_000,
  env: { ...process.env, ...env }
})
if (status !== 0) {
  console.error(`bun: ${error?.message ?? signal ?? `exit ${status}`}`)
  process.exitCode = 1
}
