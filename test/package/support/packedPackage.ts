import { execFile } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'

export const root = path.join(__dirname, '..', '..', '..')

export interface Result {
  code: number
  output: string
}

/** Runs a program to its end; never rejects. */
export function run(
  program: string,
  args: string[],
  options: { cwd: string; env?: NodeJS.ProcessEnv }
): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { maxBuffer: 64 * 2 ** 20, ...options },
      (error, stdout, stderr) =>
        resolve({
          code: child.exitCode ?? -1,
          output: stdout + stderr + (child.pid ? '' : String(error?.message))
        })
    )
  })
}

/** Where PATH has a program. */
function found(program: string): string {
  const folders = (process.env.PATH ?? '').split(path.delimiter)
  const files = folders.map((folder) => path.join(folder, program))
  const file = files.find((name) => fs.existsSync(name))
  if (file === undefined) throw new Error(`there is no ${program}`)
  return file
}

/**
 * The tarball made of this tree, with the binary of build/Release as this
 * machine's prebuilt one, and an empty project that it can be installed into.
 */
export class PackedPackage {
  readonly dir = fs.mkdtempSync(path.join(os.tmpdir(), 'nng-pair-pack-'))
  readonly project = path.join(this.dir, 'project')
  readonly installed = path.join(this.project, 'node_modules', 'nng-pair')
  /** The environment of a machine with Node and nothing to build with. */
  readonly bare: NodeJS.ProcessEnv
  tarball = ''
  files: string[] = []

  constructor() {
    const bin = path.join(this.dir, 'bin')
    fs.mkdirSync(bin)
    fs.symlinkSync(process.execPath, path.join(bin, 'node'))
    // Not always beside it: npm's package of Node is Node alone.
    for (const tool of ['npm', 'npx', 'sh']) {
      fs.symlinkSync(found(tool), path.join(bin, tool))
    }
    this.bare = {
      HOME: process.env.HOME,
      PATH: bin,
      TMPDIR: this.dir,
      npm_config_cache: process.env.npm_config_cache,
      npm_config_userconfig: process.env.npm_config_userconfig,
      npm_config_update_notifier: 'false'
    }
  }

  async pack(): Promise<void> {
    const tree = path.join(this.dir, 'tree')
    fs.mkdirSync(tree)
    for (const name of fs.readdirSync(root)) {
      if (
        /^(node_modules|prebuilds|build.*|coverage|\.git|.*\.tgz)$/.test(name)
      )
        continue
      fs.cpSync(path.join(root, name), path.join(tree, name), {
        recursive: true,
        filter: (file) => path.basename(file) !== 'node_modules'
      })
    }
    const binary = path.join(tree, 'prebuilds', this.prebuilt())
    fs.mkdirSync(path.dirname(binary), { recursive: true })
    fs.copyFileSync(
      path.join(root, 'build', 'Release', 'nng_pair.node'),
      binary
    )
    const { code, output } = await run(
      'npm',
      ['pack', '--json', '--ignore-scripts', '--pack-destination', this.dir],
      { cwd: tree, env: this.bare }
    )
    if (code !== 0) throw new Error(output)
    const [packed] = JSON.parse(output) as [
      { filename: string; files: { path: string }[] }
    ]
    this.tarball = path.join(this.dir, packed.filename)
    this.files = packed.files.map((file) => file.path).sort()
  }

  /** Where this machine's binary is, below prebuilds. */
  prebuilt(): string {
    const libc = fs.existsSync('/etc/alpine-release') ? 'musl' : 'glibc'
    const tag = process.platform === 'linux' ? `.${libc}` : ''
    return `${process.platform}-${process.arch}/nng-pair${tag}.node`
  }

  async install(): Promise<void> {
    fs.mkdirSync(this.project)
    this.write('package.json', '{ "private": true }')
    const { code, output } = await run(
      'npm',
      [
        ...['install', '--ignore-scripts', '--no-audit', '--no-fund'],
        ...['--prefer-offline', this.tarball]
      ],
      { cwd: this.project, env: this.bare }
    )
    if (code !== 0) throw new Error(output)
  }

  write(name: string, text: string): void {
    fs.writeFileSync(path.join(this.project, name), text)
  }

  node(...args: string[]): Promise<Result> {
    return run(process.execPath, args, { cwd: this.project, env: this.bare })
  }

  remove(): void {
    fs.rmSync(this.dir, { recursive: true, force: true })
  }
}
