#!/usr/bin/env node
// Puts NNG's source, verified and patched, into deps/nng. Does nothing when it is there already,
// as it is in the published package.

import { spawn } from 'node:child_process'
import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rename,
  rm,
  writeFile
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findTarball, sha256 } from './tarball.mjs'
import { applyHunks, parseDiff } from './unified-diff.mjs'

const deps = dirname(fileURLToPath(import.meta.url))
const target = join(deps, 'nng')
const stampName = '.nng-pair.json'

async function main() {
  const nng = JSON.parse(await readFile(join(deps, 'nng.json'), 'utf8'))
  const patches = await readPatches()
  const stamp = stampOf(nng, patches)
  if (await isReady(stamp)) {
    console.log(`NNG ${nng.version} is ready in deps/nng`)
    return
  }
  const { bytes, from } = await findTarball(nng, join(deps, '.cache'))
  // Next to its final place, so that the rename is atomic.
  const work = await mkdtemp(join(deps, '.nng-'))
  try {
    const tree = join(work, 'new')
    await mkdir(tree)
    await unpack(bytes, nng, tree)
    for (const patch of patches) await applyPatch(patch, tree)
    await writeFile(join(tree, stampName), stamp)
    await replace(tree, join(work, 'old'), stamp)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  console.log(
    `NNG ${nng.version} is ready in deps/nng: from ${from}, ${patches.length} patches`
  )
}

async function readPatches() {
  const dir = join(deps, 'patches')
  const names = (await readdir(dir))
    .filter((name) => name.endsWith('.patch'))
    .sort()
  return Promise.all(
    names.map(async (name) => ({
      name,
      text: await readFile(join(dir, name), 'utf8')
    }))
  )
}

function stampOf(nng, patches) {
  return `${JSON.stringify(
    {
      nng: nng.version,
      tarball: nng.sha256,
      files: sha256(JSON.stringify([nng.keep, nng.omit])),
      patches: Object.fromEntries(
        patches.map(({ name, text }) => [name, sha256(text)])
      )
    },
    null,
    2
  )}\n`
}

async function isReady(stamp) {
  const found = await readFile(join(target, stampName), 'utf8').catch(
    () => undefined
  )
  return found === stamp
}

function unpack(bytes, nng, to) {
  const top = `nng-${nng.version}`
  const tar = spawn(
    'tar',
    [
      ...nng.omit.map((pattern) => `--exclude=${pattern}`),
      ...['-xzf', '-', '-C', to, '--strip-components=1'],
      ...nng.keep.map((path) => `${top}/${path}`)
    ],
    { stdio: ['pipe', 'ignore', 'pipe'] }
  )
  return new Promise((resolve, reject) => {
    let complaint = ''
    tar.stderr.on('data', (chunk) => (complaint += chunk))
    tar.on('error', (error) =>
      reject(new Error(`cannot run tar: ${error.message}`))
    )
    tar.on('close', (code) =>
      code === 0
        ? resolve()
        : reject(new Error(`tar failed: ${complaint.trim()}`))
    )
    // tar may stop reading once it has every member; its exit code is what counts.
    tar.stdin.on('error', () => {})
    tar.stdin.end(bytes)
  })
}

async function applyPatch({ name, text }, tree) {
  try {
    for (const { from, to, hunks } of parseDiff(text)) {
      if (to === undefined || (from ?? to) !== to)
        throw new Error('renames and deletes a file')
      const path = join(tree, to)
      const before = from === undefined ? '' : await readFile(path, 'utf8')
      await mkdir(dirname(path), { recursive: true })
      await writeFile(
        path,
        applyHunks(before, hunks, to),
        from === undefined ? { flag: 'wx' } : {}
      )
    }
  } catch (error) {
    throw new Error(`deps/patches/${name} does not apply: ${error.message}`, {
      cause: error
    })
  }
}

async function replace(tree, old, stamp) {
  await rename(target, old).catch(ignoreMissing)
  try {
    await rename(tree, target)
  } catch (error) {
    // A second run at the same moment may have finished first, with the same result.
    if (!(await isReady(stamp))) throw error
  }
}

function ignoreMissing(error) {
  if (error.code !== 'ENOENT') throw error
}

main().catch((error) => {
  console.error(`nng-pair: ${error.message}`)
  process.exitCode = 1
})
