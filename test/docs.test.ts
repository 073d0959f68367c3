// The documents say what is so: code that runs, links that lead somewhere,
// commands that exist, every name of the API, a picture of what happens.

import { EventEmitter } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import * as ts from 'typescript'
import { NngError, PairSocket } from '../lib'
import { bundledError } from '../lib/bundled'
import { NNG } from '../lib/errors'
import { defaults } from '../lib/options'
import { Run, buildIfStale, nngPair, unusedUrl } from './support/command'

const ROOT = path.join(__dirname, '..')
const read = (file: string) => fs.readFileSync(path.join(ROOT, file), 'utf8')

const documents = [
  'README.md',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...fs.readdirSync(path.join(ROOT, 'docs')).map((name) => `docs/${name}`)
].filter((name) => name.endsWith('.md'))

function codeBlocks(document: string, language: string): string[] {
  const fence = new RegExp('^```' + language + '\\n(.*?)^```$', 'gms')
  return [...read(document).matchAll(fence)].map((match) => match[1]!)
}

/** What GitHub makes of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-')
}

beforeAll(buildIfStale)

/** Runs a module as a program in this folder would be. */
async function runModule(code: string): Promise<Run> {
  const run = new Run(
    process.execPath,
    ['--input-type=module', '--eval', code],
    { cwd: ROOT }
  )
  const exit = await run.exit
  expect(run.stamped).toEqual([])
  expect(exit).toEqual({ code: 0, signal: null })
  return run
}

test("the README's program does what its comments say", async () => {
  const [program, ...more] = codeBlocks('README.md', 'js')
  expect(more).toEqual([])
  expect(program!.split('\n').filter(Boolean).length).toBeLessThanOrEqual(30)
  const { stdout } = await runModule(program!)
  expect(stdout.trimEnd().split('\n')).toEqual([
    'connected to 127.0.0.1',
    'text 3',
    'one 127.0.0.1 0',
    'now or never undefined',
    'ETIMEDOUT',
    'from a stream',
    '{ unsent: 0 }'
  ])
})

/** Those of every EventEmitter are documented by Node. */
const members = Object.getOwnPropertyNames(PairSocket.prototype).filter(
  (name) => name === 'constructor' || !(name in EventEmitter.prototype)
)

test("the README's program uses most of the API", () => {
  const [program] = codeBlocks('README.md', 'js')
  const missing = members.filter((name) => !program!.includes(`.${name}`))
  expect(missing.sort()).toEqual([
    'closed',
    'constructor',
    'listenOrDial', // named in a comment
    'ref',
    'unref'
  ])
})

test('the programs in docs/ run', async () => {
  const programs = documents
    .filter((name) => name.startsWith('docs/'))
    .flatMap((name) => codeBlocks(name, 'js'))
  expect(programs.length).toBeGreaterThan(0)
  await Promise.all(programs.map(runModule))
})

test.each(documents)('the links in %s lead somewhere', (document) => {
  const links = [...read(document).matchAll(/\]\(([^)\s]+)\)/g)]
    .map((match) => match[1]!)
    .filter((link) => !link.startsWith('https:'))
  for (const link of links) {
    const [file, fragment] = link.split('#') as [string, string?]
    const target =
      file === '' ? document : path.join(path.dirname(document), file)
    expect([link, fs.existsSync(path.join(ROOT, target))]).toEqual([link, true])
    if (fragment === undefined) continue
    const anchors = [...read(target).matchAll(/^#+ (.*)$/gm)].map((match) =>
      anchor(match[1]!)
    )
    expect(anchors).toContain(fragment)
  }
})

test.each(documents)('the commands in %s exist', (document) => {
  const { scripts } = JSON.parse(read('package.json')) as {
    scripts: Record<string, string>
  }
  const text = read(document)
  for (const [, script] of text.matchAll(/\bnpm run ([\w:-]+)/g)) {
    expect(Object.keys(scripts)).toContain(script)
  }
  for (const [file] of text.matchAll(/\b(scripts|test|deps)\/[\w./-]+\.\w+/g)) {
    if (!file.startsWith('deps/nng/')) {
      expect([file, fs.existsSync(path.join(ROOT, file))]).toEqual([file, true])
    }
  }
})

describe('docs/api.md', () => {
  const api = read('docs/api.md')

  test('has every method and property', () => {
    const names = members.filter((name) => name !== 'constructor')
    for (const name of names) {
      expect(api).toMatch(new RegExp('^##.*`' + name + '(\\(.*\\))?`', 'm'))
    }
  })

  test('has every option, with its default', () => {
    for (const [name, value] of Object.entries<unknown>(defaults)) {
      const row = new RegExp('^\\| `' + name + '` +\\| `(.*?)` ', 'm').exec(api)
      const shown =
        name === 'ipcMode'
          ? `0o${(value as number).toString(8)}`
          : `${value as number | boolean}`
      expect([name, row?.[1]]).toEqual([name, shown])
    }
  })

  test('has every statistic', async () => {
    const sock = new PairSocket()
    for (const name of Object.keys(sock.stats())) {
      expect(api).toContain(`\`${name}\``)
    }
    await sock.close()
  })

  test('has no code that is not one', () => {
    const section = api.slice(api.indexOf('## Errors'))
    const codes = [...section.matchAll(/^\| `(E[A-Z]+)`/gm)].map(([, c]) => c)
    expect(codes.length).toBeGreaterThan(10)
    expect(Object.keys(NNG)).toEqual(expect.arrayContaining(codes))
  })

  test('shows the message of an error as it is', async () => {
    const sock = new PairSocket()
    const url = await unusedUrl('tcp')
    const error: unknown = await sock.dial(url).catch((e: unknown) => e)
    await sock.close()
    const { message } = error as NngError
    const shown = /`(dial ECONNREFUSED: .*? ')tcp:[^']*'`/.exec(api)?.[1]
    expect(message).toBe(`${shown}${url}'`)
  })
})

test('docs/bundling.md has what the error of a bundle says', () => {
  const page = read('docs/bundling.md')
  const settings = bundledError().message.match(
    /--external:\S+|\b(?:externals|external|ssr|build|serverExternalPackages): [[{'].*?[\]}'](?=,|$)/gm
  )!
  expect(settings.length).toBe(6)
  for (const setting of settings) expect(page).toContain(setting)
})

test("the README's table of alternatives has the figures of its run", () => {
  interface Row {
    id: string
    figure: { median: number }
  }
  const { jobs } = JSON.parse(read('bench/results/alternatives.json')) as {
    jobs: { id: string; rows: Row[] }[]
  }
  const columns = [
    'process-send/json',
    'message-port/callback',
    'net/callback',
    'ws/callback',
    'zeromq/recv',
    'nng-pair/recv'
  ]
  const lines = [
    ['roundtrip', 'Round trip, µs', 1],
    ['oneway', '64-byte messages, millions a second', 1e-6]
  ] as const
  for (const [pattern, title, scale] of lines) {
    const line = new RegExp(`^\\| ${title} .*`, 'm').exec(read('README.md'))!
    const cells = line[0].split('|').slice(2, -1)
    expect(cells.length).toBe(columns.length)
    for (const [i, column] of columns.entries()) {
      const published = ['ipc', 'tcp'].flatMap((transport) =>
        jobs
          .filter(({ id }) => id === `${pattern}/${transport}/64B`)
          .flatMap(({ rows }) => rows.filter(({ id }) => id === column))
          .map(({ figure }) => (figure.median * scale).toPrecision(2))
      )
      // A run from before the column was added has nothing to say of it.
      if (published.length === 0) continue
      expect([column, cells[i]!.split('/').map(Number)]).toEqual([
        column,
        published.map(Number)
      ])
    }
  }
})

/** The titles in a file of tests, with … for what their tables fill in. */
function titlesIn(file: string): string[] {
  const titles: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const [title] = node.arguments
      if (
        /^(test|describe)/.test(node.expression.getText(source)) &&
        title !== undefined &&
        ts.isStringLiteralLike(title)
      ) {
        titles.push(title.text.replace(/%[a-z]|\$[\w.]+/g, '…'))
      }
    }
    ts.forEachChild(node, visit)
  }
  const source = ts.createSourceFile(file, read(file), ts.ScriptTarget.Latest)
  visit(source)
  return titles
}

test('docs/security.md names tests that there are', () => {
  const page = read('docs/security.md')
  const named = [...page.matchAll(/`([\w/-]+\.test\.ts)`(?: “(.+?)”)?/g)]
  expect(named.length).toBeGreaterThan(30)
  for (const [, file, title] of named) {
    if (title === undefined)
      expect(file).toBe('test/long/failing-calls.test.ts')
    else {
      expect([file, titlesIn(`test/${file}`)]).toEqual([
        file,
        expect.arrayContaining([title])
      ])
    }
  }
})

test('docs/testing.md says of every test file when to run it', () => {
  const page = read('docs/testing.md')
  const [map] = /^## Which test to run\n.*?^## /ms.exec(page)!
  const named = [...map.matchAll(/^\| .*\| (`.*`) +\|$/gm)].flatMap(
    ([, cell]) => cell!.split(', ')
  )
  const files = ['.', 'long', 'package', 'bundlers'].flatMap((folder) =>
    fs
      .readdirSync(path.join(__dirname, folder))
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => path.join(folder, file.slice(0, -'.test.ts'.length)))
  )
  expect([...new Set(named)].sort()).toEqual(
    files.map((file) => `\`${file}\``).sort()
  )
})

test('docs/architecture.md names every patch', () => {
  const architecture = read('docs/architecture.md')
  for (const patch of fs.readdirSync(path.join(ROOT, 'deps/patches'))) {
    expect(architecture).toContain(`\`${patch}\``)
  }
})

test('the picture shows what nng-pair demo writes', async () => {
  const svg = read('docs/demo.svg')
  const drawn = [...svg.matchAll(/<text[^>]*>(.*?)<\/text>/g)].map((match) =>
    match[1]!
      .replace(/<[^>]*>/g, '')
      .replace(/^[\d/]+ [\d:]+ /, '')
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&amp;', '&')
  )
  const [prompt, ...session] = drawn
  expect(prompt).toBe('$ npx nng-pair demo ipc:///tmp/pair.ipc')
  const url = await unusedUrl('ipc')
  const demo = nngPair('demo', url, '--interval', '0')
  await demo.exit
  const written = demo.lines.map((line) =>
    line.replaceAll(url, 'ipc:///tmp/pair.ipc')
  )
  expect(session.sort()).toEqual(written.sort())
})
