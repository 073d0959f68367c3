// Downloads a Debian source package's original tarball with apt, from the sources this machine
// already trusts. Source entries are switched on in a private copy only; the machine keeps its own.

import { execFile } from 'node:child_process'
import {
  mkdir,
  mkdtemp,
  readFile,
  readdir,
  rm,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export async function aptSource({ source, file }) {
  const dir = await mkdtemp(join(tmpdir(), 'nng-pair-apt-'))
  try {
    await mkdir(join(dir, 'parts'))
    await mkdir(join(dir, 'lists', 'partial'), { recursive: true })
    await mkdir(join(dir, 'cache', 'archives', 'partial'), { recursive: true })
    await copySources(join(dir, 'parts'))
    const options = [
      'Dir::Etc::sourcelist=/dev/null',
      `Dir::Etc::sourceparts=${join(dir, 'parts')}`,
      `Dir::State::lists=${join(dir, 'lists')}`,
      `Dir::Cache=${join(dir, 'cache')}`,
      'Acquire::http::Timeout=15',
      'Acquire::https::Timeout=15',
      'Acquire::Retries=0',
      // _apt may not enter our private folder.
      'APT::Sandbox::User=root'
    ].flatMap((option) => ['-o', option])
    const limits = { cwd: dir, timeout: 180_000, maxBuffer: 16 * 2 ** 20 }
    // One unreachable third-party source fails the update but not what we are after.
    await run('apt-get', [...options, '-q', 'update'], limits).catch(() => {})
    await run(
      'apt-get',
      [...options, '-q', 'source', '--download-only', source],
      limits
    )
    return await readFile(join(dir, file))
  } catch (error) {
    throw new Error(reason(error), { cause: error })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

async function copySources(to) {
  const { stdout } = await run('apt-config', [
    'shell',
    'list',
    'Dir::Etc::sourcelist/f',
    'parts',
    'Dir::Etc::sourceparts/d'
  ])
  const { list, parts } = Object.fromEntries(
    [...stdout.matchAll(/^(\w+)='(.*)'$/gm)].map(([, name, value]) => [
      name,
      value
    ])
  )
  const inParts = await readdir(parts).catch(() => [])
  const files = [list, ...inParts.map((name) => join(parts, name))]
  let copied = 0
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const sources = file.endsWith('.sources')
      ? deb822Sources(text)
      : file.endsWith('.list')
        ? oneLineSources(text)
        : ''
    if (sources === '') continue
    await writeFile(join(to, `${copied++}-${basename(file)}`), sources)
  }
  if (copied === 0) throw new Error('apt has no sources configured')
}

export function deb822Sources(text) {
  return text.replace(/^Types:.*$/gim, 'Types: deb-src')
}

export function oneLineSources(text) {
  const entries = [...text.matchAll(/^[ \t]*deb(?:-src)?([ \t].*)$/gm)].map(
    ([, rest]) => rest
  )
  return [...new Set(entries)].map((rest) => `deb-src${rest}\n`).join('')
}

function reason(error) {
  if (error.syscall?.startsWith('spawn')) return 'apt is not on this machine'
  if (error.killed) return 'apt took too long'
  const complaints = error.stderr
    ?.split('\n')
    .filter((line) => line.startsWith('E:'))
  return complaints?.length ? complaints.join(' ') : error.message
}
