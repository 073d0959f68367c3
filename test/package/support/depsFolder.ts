import { execFile, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'

const deps = path.join(__dirname, '..', '..', '..', 'deps')

/** As a fetched source looks like, but small: folders, tests, the rest. */
const SOURCE = {
  'LICENSE.txt': 'a licence\n',
  'README.adoc': 'not kept\n',
  'src/core/a.c': 'one\ntwo\nthree\nfour\nfive\n',
  'src/core/a_test.c': 'omitted\n',
  'src/core/CMakeLists.txt': 'omitted\n',
  'src/tools/b.c': 'not kept\n'
}

export interface Run {
  code: number
  stdout: string
  stderr: string
}

/**
 * A copy of the deps folder's programs in a place of their own, for a source
 * of their own.
 */
export class DepsFolder {
  readonly root = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-deps-'))
  readonly dir = path.join(this.root, 'deps')
  readonly tarball = path.join(this.root, 'source.tar.gz')
  /** The only folder on the PATH: what is not there does not exist. */
  readonly bin = path.join(this.root, 'bin')
  readonly sha256: string
  readonly size: number

  constructor() {
    for (const [name, text] of Object.entries(SOURCE)) {
      const file = path.join(this.root, 'nng-9.9.9', name)
      fs.mkdirSync(path.dirname(file), { recursive: true })
      fs.writeFileSync(file, text)
    }
    execFileSync('tar', ['-czf', this.tarball, 'nng-9.9.9'], { cwd: this.root })
    const bytes = fs.readFileSync(this.tarball)
    this.sha256 = createHash('sha256').update(bytes).digest('hex')
    this.size = bytes.length

    fs.mkdirSync(path.join(this.dir, 'patches'), { recursive: true })
    for (const name of fs.readdirSync(deps)) {
      if (!name.endsWith('.mjs')) continue
      fs.copyFileSync(path.join(deps, name), path.join(this.dir, name))
    }
    // Nobody listens at this port.
    this.setUrl('http://127.0.0.1:2/')

    fs.mkdirSync(this.bin)
    // GNU tar calls gzip.
    for (const tool of ['tar', 'gzip']) {
      const found = execFileSync('sh', ['-c', `command -v ${tool}`])
      fs.symlinkSync(String(found).trim(), path.join(this.bin, tool))
    }
  }

  setUrl(url: string): void {
    const nng = {
      version: '9.9.9',
      sha256: this.sha256,
      size: this.size,
      url,
      debian: { source: 'nng', file: 'nng_9.9.9.orig.tar.gz' },
      keep: ['LICENSE.txt', 'src/core'],
      omit: ['CMakeLists.txt', '*_test.c']
    }
    fs.writeFileSync(path.join(this.dir, 'nng.json'), JSON.stringify(nng))
  }

  writePatch(name: string, text: string): void {
    fs.writeFileSync(path.join(this.dir, 'patches', name), text)
  }

  writeTool(name: string, script: string): void {
    const file = path.join(this.bin, name)
    const text = `#!${process.execPath}\n${script}`
    fs.writeFileSync(file, text, { mode: 0o755 })
  }

  fetch(env: Record<string, string> = {}): Promise<Run> {
    return new Promise((resolve) => {
      const child = execFile(
        process.execPath,
        [path.join(this.dir, 'fetch.mjs')],
        { env: { PATH: this.bin, TMPDIR: this.root, ...env } },
        (_, stdout, stderr) =>
          resolve({ code: child.exitCode ?? -1, stdout, stderr })
      )
    })
  }

  /** What is in deps/nng, by name; undefined if it is not there. */
  unpacked(): Record<string, string> | undefined {
    const nng = path.join(this.dir, 'nng')
    if (!fs.existsSync(nng)) return undefined
    const files = fs.readdirSync(nng, { recursive: true, withFileTypes: true })
    return Object.fromEntries(
      files
        .filter((entry) => entry.isFile() && entry.name !== '.nng-pair.json')
        .map((entry) => path.join(entry.parentPath, entry.name))
        .map((file) => [
          path.relative(nng, file),
          fs.readFileSync(file, 'utf8')
        ])
    )
  }

  /** Names in the deps folder that a finished run must not leave behind. */
  leftovers(): string[] {
    const inDeps = fs
      .readdirSync(this.dir)
      .filter((name) => name.startsWith('.nng'))
    const inTemp = fs
      .readdirSync(this.root)
      .filter((name) => name.includes('-apt-'))
    return [...inDeps, ...inTemp]
  }

  remove(): void {
    fs.rmSync(this.root, { recursive: true, force: true })
  }
}
