import { once } from 'node:events'
import * as fs from 'node:fs'
import * as http from 'node:http'
import * as net from 'node:net'
import * as path from 'node:path'
import { DepsFolder } from './support/depsFolder'

const PATCH = `Why: a preamble may say anything.
--- even what looks like a file

diff --git a/src/core/a.c b/src/core/a.c
--- a/src/core/a.c
+++ b/src/core/a.c
@@ -1,3 +1,4 @@
 one
+one and a half
 two
 three
`

const KEPT = {
  'LICENSE.txt': 'a licence\n',
  'src/core/a.c': 'one\ntwo\nthree\nfour\nfive\n'
}

let deps: DepsFolder
const servers = new Set<http.Server>()

beforeEach(() => (deps = new DepsFolder()))
afterEach(() => {
  deps.remove()
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  servers.clear()
})

async function serve(listener: http.RequestListener): Promise<string> {
  const server = http.createServer(listener).listen(0, '127.0.0.1')
  servers.add(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`
}

describe('the source comes from', () => {
  test('a named file', async () => {
    const run = await deps.fetch({ NNG_PAIR_NNG_TARBALL: deps.tarball })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(deps.unpacked()).toEqual(KEPT)
    expect(deps.leftovers()).toEqual([])
  })

  test('upstream, through a redirect', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/file') {
        fs.createReadStream(deps.tarball).pipe(response)
      } else {
        response.writeHead(302, { location: '/file' }).end()
      }
    })
    deps.setUrl(url)
    expect(await deps.fetch()).toMatchObject({ code: 0, stderr: '' })
    expect(deps.unpacked()).toEqual(KEPT)
  })

  test("apt, with the machine's own sources in a private copy", async () => {
    const etc = path.join(deps.root, 'etc')
    fs.mkdirSync(path.join(etc, 'parts'), { recursive: true })
    const machine = {
      'sources.list':
        '# a comment\ndeb [signed-by=/k.gpg] http://one.test/ x main\n' +
        'deb-src [signed-by=/k.gpg] http://one.test/ x main\n',
      'parts/two.sources':
        'Types: deb\nURIs: http://two.test/\nSuites: y\nSigned-By: /k.gpg\n',
      'parts/three.list': '#deb http://off.test/ z main\n',
      'parts/old.save': 'deb http://ignored.test/ z main\n'
    }
    for (const [name, text] of Object.entries(machine)) {
      fs.writeFileSync(path.join(etc, name), text)
    }
    deps.writeTool(
      'apt-config',
      `console.log("list='${etc}/sources.list'\\nparts='${etc}/parts/'")`
    )
    const seen = path.join(deps.root, 'seen')
    deps.writeTool(
      'apt-get',
      `const fs = require('node:fs')
      if (process.argv.includes('update')) {
        const option = process.argv.find((arg) => /::sourceparts=/.test(arg))
        fs.cpSync(option.split('=')[1], '${seen}', { recursive: true })
        process.exit(100)
      }
      if (process.argv.join(' ').endsWith('source --download-only nng'))
        fs.copyFileSync('${deps.tarball}', 'nng_9.9.9.orig.tar.gz')`
    )
    expect(await deps.fetch()).toMatchObject({ code: 0, stderr: '' })
    expect(deps.unpacked()).toEqual(KEPT)
    expect(deps.leftovers()).toEqual([])
    const texts = fs
      .readdirSync(seen)
      .sort()
      .map((name) => fs.readFileSync(path.join(seen, name), 'utf8'))
    expect(texts).toEqual([
      'deb-src [signed-by=/k.gpg] http://one.test/ x main\n',
      'Types: deb-src\nURIs: http://two.test/\nSuites: y\nSigned-By: /k.gpg\n'
    ])
    for (const [name, text] of Object.entries(machine)) {
      expect(fs.readFileSync(path.join(etc, name), 'utf8')).toBe(text)
    }
  })
})

describe('one error says what to do', () => {
  test.each([
    ['another file', () => Buffer.from('x'.repeat(10_000))],
    ['a truncated file', () => fs.readFileSync(deps.tarball).subarray(0, -1)]
  ])('when the named file is %s', async (_, bytes) => {
    const file = path.join(deps.root, 'bad.tar.gz')
    fs.writeFileSync(file, bytes())
    // A good source elsewhere does not stand in for it.
    deps.setUrl(
      await serve((_, response) =>
        fs.createReadStream(deps.tarball).pipe(response)
      )
    )
    const run = await deps.fetch({ NNG_PAIR_NNG_TARBALL: file })
    expect(run.code).toBe(1)
    expect(run.stderr).toContain(file)
    expect(run.stderr).toContain(deps.sha256)
    expect(run.stderr).toContain('NNG_PAIR_NNG_TARBALL=')
    expect(run.stderr).not.toMatch(/^ +at /m)
    expect(deps.unpacked()).toBeUndefined()
    expect(deps.leftovers()).toEqual([])
  })

  test.each([
    ['404', /HTTP status 404/],
    ['too short', /truncated/],
    ['too long', /larger than/],
    ['cut off', /terminated|closed|aborted/],
    ['another', /SHA-256/]
  ])('when upstream sends %s and there is no apt', async (what, message) => {
    const good = fs.readFileSync(deps.tarball)
    const url = await serve((_, response) => {
      if (what === '404') {
        response.writeHead(404).end()
      } else if (what === 'too short') {
        response.end(good.subarray(10))
      } else if (what === 'too long') {
        response.end(Buffer.concat([good, good]))
      } else if (what === 'another') {
        response.end(Buffer.alloc(good.length))
      } else {
        response.writeHead(200, { 'content-length': good.length })
        response.write(good.subarray(10), () => response.destroy())
      }
    })
    deps.setUrl(url)
    const run = await deps.fetch()
    expect(run.code).toBe(1)
    expect(run.stderr).toMatch(message)
    expect(run.stderr).toContain('apt is not on this machine')
    expect(run.stderr).toContain('NNG_PAIR_NNG_TARBALL=')
    expect(deps.unpacked()).toBeUndefined()
  })

  test('when upstream is silent, within seconds', async () => {
    deps.setUrl(await serve(() => {}))
    const start = Date.now()
    const run = await deps.fetch()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('no answer within 5 s')
    expect(Date.now() - start).toBeLessThan(15_000)
  })

  test('when there is nothing at all', async () => {
    const run = await deps.fetch()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('ECONNREFUSED')
    expect(run.stderr).toContain('apt is not on this machine')
  })
})

describe('a second run', () => {
  beforeEach(async () => {
    deps.writePatch('0001-a.patch', PATCH)
    const run = await deps.fetch({ NNG_PAIR_NNG_TARBALL: deps.tarball })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(deps.unpacked()!['src/core/a.c']).toMatch(/^one\none and a half\ntw/)
  })

  const cache = () => path.join(deps.dir, '.cache', 'nng_9.9.9.orig.tar.gz')

  test('does nothing and needs nothing', async () => {
    fs.rmSync(path.join(deps.dir, '.cache'), { recursive: true })
    const before = fs.statSync(path.join(deps.dir, 'nng')).ctimeMs
    const run = await deps.fetch({ PATH: '/nonexistent' })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(fs.statSync(path.join(deps.dir, 'nng')).ctimeMs).toBe(before)
    expect(fs.existsSync(cache())).toBe(false)
  })

  test('applies a changed patch to a fresh source', async () => {
    deps.writePatch('0001-a.patch', PATCH.replace('and a half', 'more'))
    expect(await deps.fetch()).toMatchObject({ code: 0, stderr: '' })
    expect(deps.unpacked()!['src/core/a.c']).toMatch(/^one\none more\ntwo\n/)
  })

  test('applies patches in the order of their names', async () => {
    deps.writePatch('0000-b.patch', PATCH.replace('one and a half', 'b'))
    const run = await deps.fetch()
    expect(run.code).toBe(1)
    // The first has moved what the second expects.
    expect(run.stderr).toContain('0001-a.patch does not apply')
  })

  test('takes no cached file that was damaged', async () => {
    fs.truncateSync(cache(), 100)
    deps.writePatch('0001-a.patch', PATCH.replace('and a half', 'more'))
    const run = await deps.fetch()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('truncated')
  })

  test('at the same moment ends the same', async () => {
    deps.writePatch('0001-a.patch', PATCH.replace('and a half', 'more'))
    const runs = await Promise.all([deps.fetch(), deps.fetch(), deps.fetch()])
    expect(runs.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(deps.unpacked()!['src/core/a.c']).toMatch(/^one\none more\ntwo\n/)
    expect(deps.leftovers()).toEqual([])
  })
})

describe('a patch that does not apply stops everything', () => {
  const head = '--- a/src/core/a.c\n+++ b/src/core/a.c\n'
  test.each([
    ['other context', `${head}@@ -1,2 +1,1 @@\n uno\n-two\n`, /fits in 0 pl/],
    ['no changes', 'just text\n', /no changes in it/],
    ['a cut-off hunk', `${head}@@ -1,3 +1,3 @@\n one\n`, /line|length|ends/],
    [
      'a wrong count',
      `${head}@@ -1,1 +1,2 @@\n one\n two\n+x\n`,
      /length|fits/
    ],
    ['a missing file', PATCH.replaceAll('a.c', 'none.c'), /none\.c/],
    ['a path outside', PATCH.replaceAll('src/core', '../..'), /unsafe path/],
    ['an absolute path', PATCH.replaceAll('a/src', '/src'), /unsafe path/],
    [
      'a file that exists',
      '--- /dev/null\n+++ b/LICENSE.txt\n@@ -0,0 +1 @@\n+x\n',
      /EEXIST/
    ]
  ])('%s', async (_, patch, message) => {
    await deps.fetch({ NNG_PAIR_NNG_TARBALL: deps.tarball })
    deps.writePatch('0001-bad.patch', patch)
    const run = await deps.fetch()
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('deps/patches/0001-bad.patch does not apply')
    expect(run.stderr).toMatch(message)
    // What was there before is whole.
    expect(deps.unpacked()).toEqual(KEPT)
    expect(deps.leftovers()).toEqual([])
  })

  test('but one that moved a little does, and one may add a file', async () => {
    deps.writePatch(
      '0001-moved.patch',
      `${head}@@ -2,3 +2,3 @@\n three\n-four\n+4\n five\n` +
        '--- /dev/null\n+++ b/src/core/new.c\n@@ -0,0 +1,2 @@\n+x\n+y\n'
    )
    const run = await deps.fetch({ NNG_PAIR_NNG_TARBALL: deps.tarball })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(deps.unpacked()).toEqual({
      ...KEPT,
      'src/core/a.c': 'one\ntwo\nthree\n4\nfive\n',
      'src/core/new.c': 'x\ny\n'
    })
  })
})
