// What becomes of a program that uses the package, when a bundler has made one
// file of it: with the package kept out it works, and with it in it says so.

import * as fs from 'node:fs'
import * as path from 'node:path'
import { bundledError } from '../../lib/bundled'
import {
  PackedPackage,
  run,
  type Result
} from '../package/support/packedPackage'

const packed = new PackedPackage()

beforeAll(async () => {
  await packed.pack()
  await packed.install()
  for (const name of ['imports.mjs', 'requires.cjs', 'beside.cjs']) {
    packed.write(
      name,
      fs.readFileSync(path.join(__dirname, 'programs', name), 'utf8')
    )
  }
})
afterAll(() => packed.remove())

/** Runs one of this folder's own scripts in the project; fails with it. */
async function script(name: string, ...args: string[]): Promise<void> {
  const { code, output } = await packed.node(
    path.join(__dirname, name),
    ...args
  )
  if (code !== 0) throw new Error(output)
}

/** What a file of the project writes, far away from node_modules. */
async function runAway(file: string) {
  const away = fs.mkdtempSync(path.join(packed.dir, 'away-'))
  const copy = path.join(away, path.basename(file))
  fs.copyFileSync(path.join(packed.project, file), copy)
  return run(process.execPath, [copy], { cwd: away, env: packed.bare })
}

const bundlers = ['webpack', 'esbuild', 'rollup', 'vite', 'vite library']

describe.each(bundlers)('%s', (bundler) => {
  const name = (entry: string, format: string, what: string) =>
    `out/${bundler.replace(' ', '-')}-${entry.replace('.', '-')}-${what}.${format}`

  // A program that requires becomes no ES module: what is left out would have
  // to be required there, and not every bundler makes a `require` for it.
  test.each([
    ['imports.mjs', 'mjs'],
    ['imports.mjs', 'cjs'],
    ['requires.cjs', 'cjs']
  ])('keeps the package out of %s, as .%s: it works', async (entry, format) => {
    const output = name(entry, format, 'external')
    await script('build.mjs', bundler, entry, output, 'external')
    expect(await packed.node(output)).toEqual({ code: 0, output: 'hello\n' })
    // Nothing of it came along.
    const { code, output: written } = await runAway(output)
    expect(written).toMatch(/Cannot find (package|module) 'nng-pair'/)
    expect(code).toBe(1)
  })

  test.each([
    ['imports.mjs', 'mjs'],
    ['imports.mjs', 'cjs'],
    ['requires.cjs', 'mjs'],
    ['requires.cjs', 'cjs']
  ])('takes it into %s, as .%s: it says so', async (entry, format) => {
    const output = name(entry, format, 'inside')
    await script('build.mjs', bundler, entry, output)
    for (const { code, output: written } of [
      await packed.node(output),
      await runAway(output)
    ]) {
      expect(written).toContain(`Error: ${bundledError().message}`)
      expect(written).toContain("code: 'ERR_NNG_PAIR_BUNDLED'")
      expect(code).toBe(1)
    }
  })
})

describe('copied with the files that a program uses', () => {
  const elsewhere = path.join('prebuilds', 'other-x64', 'nng-pair.node')

  test.each(['imports.mjs', 'requires.cjs'])(
    'it comes with its binaries, for %s',
    async (entry) => {
      const other = path.join(packed.installed, elsewhere)
      fs.mkdirSync(path.dirname(other), { recursive: true })
      fs.writeFileSync(other, 'for another platform')
      const folder = path.join(packed.dir, `traced-${entry}`)
      await script('trace.mjs', entry, folder)

      const copy = path.join(folder, 'node_modules', 'nng-pair')
      expect(fs.existsSync(path.join(copy, elsewhere))).toBe(true)
      expect(fs.readdirSync(copy).sort()).toEqual([
        ...['dist', 'package.json', 'prebuilds']
      ])
      const start = () =>
        run(process.execPath, [entry], { cwd: folder, env: packed.bare })
      expect(await start()).toEqual({ code: 0, output: 'hello\n' })

      // There is no source there that one could be built of.
      fs.rmSync(path.join(copy, 'prebuilds'), { recursive: true })
      const without = await start()
      expect(without.output).toContain(`Error: ${bundledError().message}`)
      expect(without.code).toBe(1)
    }
  )
})

describe('a single executable', () => {
  const folder = path.join(packed.dir, 'sea')
  const binary = path.join(folder, 'prebuilds', packed.prebuilt())

  /** Makes one of a CommonJS file of the project, as Node's page says. */
  async function makeExecutable(file: string): Promise<() => Promise<Result>> {
    fs.rmSync(folder, { recursive: true, force: true })
    fs.mkdirSync(folder)
    packed.write(
      'sea.json',
      JSON.stringify({
        main: file,
        output: 'sea.blob',
        disableExperimentalSEAWarning: true
      })
    )
    const blob = await packed.node('--experimental-sea-config', 'sea.json')
    expect(blob).toMatchObject({ code: 0 })
    const program = path.join(folder, 'program')
    fs.copyFileSync(process.execPath, program)
    fs.chmodSync(program, 0o755)
    await script(
      'node_modules/postject/dist/cli.js',
      ...[program, 'NODE_SEA_BLOB', 'sea.blob'],
      // Node's own page has this.
      ...['--sentinel-fuse', 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'],
      ...(process.platform === 'darwin'
        ? ['--macho-segment-name', 'NODE_SEA']
        : [])
    )
    return () => run(program, [], { cwd: packed.dir, env: packed.bare })
  }

  test('has the binary beside it', async () => {
    await script('build.mjs', 'esbuild', 'imports.mjs', 'out/sea.cjs')
    const program = await makeExecutable('out/sea.cjs')
    const without = await program()
    expect(without.output).toContain(`Error: ${bundledError().message}`)
    expect(without.code).toBe(1)

    const prebuilds = path.join(packed.installed, 'prebuilds')
    fs.cpSync(prebuilds, path.join(folder, 'prebuilds'), { recursive: true })
    expect(await program()).toEqual({ code: 0, output: 'hello\n' })

    // Another package's binary that would fit is none.
    const { dir, ext } = path.parse(binary)
    fs.renameSync(binary, path.join(dir, `other${ext}`))
    expect((await program()).output).toBe(without.output)

    fs.writeFileSync(binary, 'no library')
    const broken = await program()
    expect(broken.output).toContain(
      `Error: nng-pair was bundled, and cannot load the binary beside the executable: ${fs.realpathSync(binary)}: `
    )
    expect(broken.output).toContain("code: 'ERR_NNG_PAIR_BUNDLED'")
    expect(broken.code).toBe(1)
  })

  test('has the package beside it', async () => {
    const program = await makeExecutable('beside.cjs')
    const without = await program()
    expect(without.output).toContain("Cannot find module 'nng-pair'")
    expect(without.code).toBe(1)

    const modules = path.join(packed.project, 'node_modules')
    fs.cpSync(modules, path.join(folder, 'node_modules'), { recursive: true })
    expect(await program()).toEqual({ code: 0, output: 'hello\n' })
  })
})
