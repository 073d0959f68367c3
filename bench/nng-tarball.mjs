// Prints, as a CMake list, where NNG's tarball is and its SHA-256.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findTarball } from '../deps/tarball.mjs'
import { root } from './peers.mjs'

const nng = JSON.parse(await readFile(join(root, 'deps', 'nng.json'), 'utf8'))
const cache = join(root, 'deps', '.cache')
await findTarball(nng, cache)
process.stdout.write(`${join(cache, nng.debian.file)};${nng.sha256}\n`)
