import * as fs from 'node:fs'
import * as path from 'node:path'
import { PackedPackage, root, run } from './support/packedPackage'

const packed = new PackedPackage()

beforeAll(async () => {
  await packed.pack()
  await packed.install()
}, 120_000)
afterAll(() => packed.remove())

function devTool(script: string, args: string[]) {
  const file = path.join(root, 'node_modules', script)
  return run(process.execPath, [file, ...args], { cwd: packed.dir })
}

describe('the tarball', () => {
  test('holds what is needed and nothing else', () => {
    const rules = [
      /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|CMakeLists\.txt)$/,
      /^dist\/[\w/-]+\.(js|mjs|d\.ts|d\.mts)$/,
      /^prebuilds\/\w+-\w+\/nng-pair(\.glibc|\.musl)?\.node$/,
      /^binding\/\w+\/(\w+\/)?\w+\.(c|cc|h)$/,
      /^deps\/(nng\.json|[\w-]+\.(mjs|cmake))$/,
      /^deps\/patches\/[\w-]+\.patch$/,
      /^deps\/nng\/(LICENSE\.txt|\.nng-pair\.json)$/,
      /^deps\/nng\/(src|include)\/[\w/]+\.[ch]$/
    ]
    const others = packed.files.filter(
      (file) => !rules.some((rule) => rule.test(file))
    )
    expect(others).toEqual([])
    expect(packed.files).toEqual(
      expect.arrayContaining([
        'CHANGELOG.md',
        'CMakeLists.txt',
        'LICENSE',
        'README.md',
        'deps/nng/.nng-pair.json',
        'deps/nng/LICENSE.txt',
        'dist/cli/main.js',
        'dist/index.d.mts',
        'dist/index.d.ts',
        'dist/index.js',
        'dist/index.mjs',
        `prebuilds/${packed.prebuilt()}`
      ])
    )
  })

  test('runs nothing when it is installed', () => {
    const manifest = JSON.parse(
      fs.readFileSync(path.join(packed.installed, 'package.json'), 'utf8')
    ) as { scripts?: object; dependencies: object }
    expect(Object.keys(manifest.scripts ?? {})).not.toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^((pre|post)?install|(pre|post)?prepare)$/)
      ])
    )
    // npm builds for a binding.gyp even without a script.
    expect(packed.files).not.toContain('binding.gyp')
    expect(Object.keys(manifest.dependencies).sort()).toEqual([
      'node-addon-api',
      'node-gyp-build'
    ])
  })

  test('names no folder of the machine that made it', () => {
    for (const file of packed.files) {
      const text = fs.readFileSync(path.join(packed.installed, file), 'latin1')
      const found = text.includes(root) || text.includes(packed.dir)
      expect([file, found]).toEqual([file, false])
    }
  })

  test('is what publint and attw expect', async () => {
    const lint = await devTool('publint/src/cli.js', [
      ...['run', packed.tarball, '--strict']
    ])
    expect(lint).toMatchObject({ code: 0 })
    const types = await devTool('@arethetypeswrong/cli/dist/index.js', [
      ...[packed.tarball, '--no-emoji', '--no-definitely-typed']
    ])
    expect(types).toMatchObject({ code: 0 })
  }, 60_000)
})

describe('installed without scripts and without a compiler', () => {
  const exchange = fs.readFileSync(
    path.join(__dirname, 'support', 'exchange.cjs'),
    'utf8'
  )

  test('it works for require', async () => {
    packed.write('exchange.cjs', exchange)
    const { code, output } = await packed.node('exchange.cjs')
    expect(output).toMatch(/^ok .*prebuilds/)
    expect(code).toBe(0)
  })

  test('it works for import, with the same classes', async () => {
    packed.write(
      'exchange.mjs',
      `import * as module from 'nng-pair'
      import { createRequire } from 'node:module'
      const required = createRequire(import.meta.url)('nng-pair')
      for (const name of Object.keys(required))
        if (module[name] !== required[name]) throw new Error(name)
      const { PairSocket, NngError } = module
      const a = new PairSocket(), b = new PairSocket()
      const { url } = await a.listen('ipc://${packed.dir}/esm.ipc')
      await b.dial(url)
      await b.send('hello')
      const text = String(await a.recv())
      const error = await b.recv({ timeout: 1 }).catch((error) => error)
      console.log(text, error instanceof NngError, error.code)
      await a.close()
      await b.close()`
    )
    const { code, output } = await packed.node('exchange.mjs')
    expect(output).toBe('hello true ETIMEDOUT\n')
    expect(code).toBe(0)
  })

  test('it has the command', async () => {
    const command = path.join('node_modules', '.bin', 'nng-pair')
    const options = { cwd: packed.project, env: packed.bare }
    const help = await run(command, ['--help'], options)
    expect(help).toMatchObject({ code: 0 })
    expect(help.output).toContain('nng-pair')
  })

  test.each([
    ['node16', 'node16', ['consumer.mts', 'consumer.cts']],
    ['nodenext', 'nodenext', ['consumer.mts', 'consumer.cts']],
    ['esnext', 'bundler', ['consumer.mts']]
  ])(
    'its types are found by %s/%s in %s',
    async (module, resolution, files) => {
      for (const file of files) {
        packed.write(
          file,
          fs.readFileSync(
            path.join(__dirname, 'support', 'consumer.txt'),
            'utf8'
          )
        )
      }
      const { code, output } = await run(
        process.execPath,
        [
          path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
          // Our own declarations are checked too.
          ...['--strict', '--noEmit', '--skipLibCheck', 'false'],
          ...['--target', 'es2022', '--lib', 'es2023,esnext.disposable'],
          ...['--typeRoots', path.join(root, 'node_modules', '@types')],
          ...['--types', 'node', '--module', module],
          ...['--moduleResolution', resolution, ...files]
        ],
        { cwd: packed.project }
      )
      expect(output).toBe('')
      expect(code).toBe(0)
    },
    120_000
  )
})

// With real bundlers: test/bundlers.
describe('where its code was taken out of it', () => {
  // Such a folder is a package, too, and may have binaries: its own.
  test.each([
    ['another package', '{ "name": "another" }'],
    ['no package', undefined]
  ])('into %s, loading says so', async (_, manifest) => {
    const folder = fs.mkdtempSync(path.join(packed.project, 'bundle-'))
    const dist = path.join(packed.installed, 'dist')
    fs.cpSync(dist, path.join(folder, 'dist'), { recursive: true })
    for (const name of ['prebuilds', 'CMakeLists.txt'])
      fs.cpSync(path.join(packed.installed, name), path.join(folder, name), {
        recursive: true
      })
    if (manifest !== undefined)
      fs.writeFileSync(path.join(folder, 'package.json'), manifest)
    packed.write(
      'bundle.cjs',
      `try { require(${JSON.stringify(path.join(folder, 'dist'))}) }
      catch (error) { console.log(error.code, error.message) }`
    )
    const { output } = await packed.node('bundle.cjs')
    expect(output).toMatch(/^ERR_NNG_PAIR_BUNDLED nng-pair was bundled/)
    expect(output).toContain('--external:nng-pair')
    expect(output).not.toContain('cmake-js')
  })

  test('its ES module needs nothing to say so', async () => {
    const code = fs.readFileSync(
      path.join(packed.installed, 'dist', 'bundled.js'),
      'utf8'
    )
    // As esbuild makes one: without __dirname, and no call of require works.
    packed.write(
      'bundle.mjs',
      `const require = (name) => { throw new Error('Dynamic require') }
      const exports = {}
      try { ${code.replace('"use strict";', '')} }
      catch (error) { console.log(error.code) }`
    )
    const { output } = await packed.node('bundle.mjs')
    expect(output).toBe('ERR_NNG_PAIR_BUNDLED\n')
    const index = fs.readFileSync(
      path.join(packed.installed, 'dist', 'index.js'),
      'utf8'
    )
    expect(/require\("(.*?)"\)/.exec(index)![1]).toBe('./bundled')
  })
})

// Last: this takes the binary away.
describe('where no binary fits', () => {
  test('loading says so once, and its command helps', async () => {
    fs.rmSync(path.join(packed.installed, 'prebuilds'), { recursive: true })
    packed.write(
      'load.cjs',
      `try { require('nng-pair') } catch (error) {
        console.log(JSON.stringify([error.code, error.message]))
      }`
    )
    const { output } = await packed.node('load.cjs')
    const [code, message] = JSON.parse(output) as [string, string]
    expect(code).toBe('ERR_NNG_PAIR_NO_BINARY')
    expect(message).toContain(`${process.platform}-${process.arch}`)

    const command = /^ +npx cmake-js@\d+ (.*)$/m.exec(message)
    expect(command).not.toBeNull()
    const args = command![1]!.split(' ').map((arg) => arg.replaceAll('"', ''))
    expect(args).toContain(fs.realpathSync(packed.installed))
    // The same cmake-js, but without a download.
    const build = await devTool('cmake-js/bin/cmake-js', args)
    expect(build).toMatchObject({ code: 0 })

    const { output: again } = await packed.node('exchange.cjs')
    expect(again).toMatch(/^ok .*build/)
  }, 300_000)

  test('the source is there, whole, and needs no fetching', async () => {
    const fetch = path.join(packed.installed, 'deps', 'fetch.mjs')
    expect(await packed.node(fetch)).toMatchObject({
      code: 0,
      output: expect.stringContaining('is ready') as string
    })
  })
})
