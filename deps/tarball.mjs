// Finds NNG's tarball. Wherever it comes from, its SHA-256 decides whether it is used.

import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { aptSource } from './apt-source.mjs'

export const sha256 = (bytes) =>
  createHash('sha256').update(bytes).digest('hex')

/** Resolves with the verified bytes and a word on where they came from. */
export async function findTarball(nng, cacheDir) {
  const cached = join(cacheDir, nng.debian.file)
  const named = process.env.NNG_PAIR_NNG_TARBALL
  // A named file is the user's decision: nothing else stands in for it.
  const places = named
    ? [[named, () => readFile(named)]]
    : [
        [cached, () => readFile(cached)],
        [nng.url, () => download(nng.url, nng.size)],
        [`apt-get source ${nng.debian.source}`, () => aptSource(nng.debian)]
      ]
  const failures = []
  for (const [from, get] of places) {
    try {
      const bytes = await get()
      verify(bytes, nng)
      if (from !== cached) await store(bytes, cacheDir, cached)
      return { bytes, from }
    } catch (error) {
      // No cache yet is the normal first run, not something to tell.
      if (from === cached && error.code === 'ENOENT') continue
      failures.push(`  ${from}: ${error.message}`)
    }
  }
  throw new Error(
    [
      `cannot get the source of NNG ${nng.version}:`,
      ...failures,
      `Download ${nng.url} (SHA-256 ${nng.sha256}) on any machine and name the file:`,
      '  NNG_PAIR_NNG_TARBALL=/path/to/file.tar.gz node deps/fetch.mjs'
    ].join('\n')
  )
}

function verify(bytes, nng) {
  if (bytes.length < nng.size)
    throw new Error(`truncated: ${bytes.length} bytes instead of ${nng.size}`)
  const found = sha256(bytes)
  if (found !== nng.sha256)
    throw new Error(`not the expected file, its SHA-256 is ${found}`)
}

async function download(url, size) {
  const control = new AbortController()
  const overall = setTimeout(
    () => control.abort(new Error('took too long')),
    60_000
  )
  // A machine without a route must not make its user wait: five seconds of silence are the end.
  let silence
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(
      () => control.abort(new Error('no answer within 5 s')),
      5_000
    )
  }
  try {
    heard()
    const response = await fetch(url, { signal: control.signal })
    if (!response.ok) throw new Error(`HTTP status ${response.status}`)
    const chunks = []
    let length = 0
    for await (const chunk of response.body) {
      heard()
      chunks.push(chunk)
      length += chunk.length
      if (length > size)
        throw new Error(`larger than the expected ${size} bytes`)
    }
    return Buffer.concat(chunks)
  } catch (error) {
    // fetch() says only "fetch failed"; what happened is in the cause.
    throw new Error(error.cause?.message || error.message, { cause: error })
  } finally {
    clearTimeout(overall)
    clearTimeout(silence)
    control.abort()
  }
}

async function store(bytes, cacheDir, cached) {
  await mkdir(cacheDir, { recursive: true })
  const partial = `${cached}.${process.pid}`
  await writeFile(partial, bytes)
  await rename(partial, cached)
}
