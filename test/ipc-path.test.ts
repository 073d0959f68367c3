import type { SpawnOptions } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as net from 'node:net'
import * as path from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { accounts, give, ordinary, type Account } from './support/accounts'
import { cats, installed, runCat, type Cat } from './support/cats'
import { inProcessUnder, type Main } from './support/childProcess'
import type { Run } from './support/command'
import { leaveDeadListener } from './support/deadListener'
import { canPreload, preloading } from './support/preload'
import { Starters, expectReaches, type Outcome } from './support/starters'
import { untilStopped } from './support/stopped'
import { tempFolder } from './support/tempFolder'

// How an ipc listener takes its path on Linux, as root and as a user whom the
// modes of files keep from something (binding/platform/posix/ipc_bind.c).

const onLinux = process.platform === 'linux'
const describeOnLinux = onLinux ? describe : describe.skip

/** How often several start at once. More find more: NNG_PAIR_STARTS=1000. */
const ROUNDS = Number(process.env.NNG_PAIR_STARTS ?? 10)
const LIMIT = 30_000 + ROUNDS * 1000

const CLOSED = 0o1000

let folder: string
let file: string
let url: string
let groups: Starters[] = []

afterEach(async () => {
  await Promise.all(groups.map((group) => group.kill()))
  groups = []
})

function prepare(account: Account): void {
  folder = tempFolder()
  give(folder, account)
  file = path.join(folder, `${randomUUID().slice(0, 8)}.ipc`)
  url = `ipc://${file}`
}

async function start(
  count: number,
  account: Account,
  options: SpawnOptions = {}
): Promise<Starters> {
  const group = await Starters.start(count, {
    ...account.as,
    cwd: options.cwd,
    env: options.env
  })
  groups.push(group)
  return group
}

/** Linux: the inodes of the sockets that listen, by the names they have. */
function listening(): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const line of fs.readFileSync('/proc/net/unix', 'utf8').split('\n')) {
    const words = /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+) (.*)$/.exec(line)
    if (words?.[1] !== '00010000') continue
    const name = words[3]!
    found.set(name, [...(found.get(name) ?? []), Number(words[2])])
  }
  return found
}

/** What is gone by now is nothing, as what a process begins or ends with. */
function orNothing<T>(look: () => T, nothing: T): T {
  try {
    return look()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (!['ENOENT', 'ESRCH', 'EACCES'].includes(code!)) throw error
    return nothing
  }
}

function socketsOf(pid: number): number[] {
  const at = `/proc/${pid}/fd`
  return orNothing(() => fs.readdirSync(at), []).flatMap((fd) => {
    const link = orNothing(() => fs.readlinkSync(`${at}/${fd}`), '')
    const inode = /^socket:\[(\d+)\]$/.exec(link)
    return inode === null ? [] : [Number(inode[1])]
  })
}

/** The names by which the kernel knows the listeners of a process. */
function namesOf(pid: number): string[] {
  const own = new Set(socketsOf(pid))
  return [...listening()].flatMap(([name, inodes]) =>
    inodes.filter((inode) => own.has(inode)).map(() => name)
  )
}

const permissions = (name: string) => fs.lstatSync(name).mode & 0o7777

describeOnLinux.each(accounts)('as $name', (account) => {
  beforeEach(() => prepare(account))

  const paths: (() => string)[] = [
    () => file,
    () => path.basename(file),
    () => `./${path.basename(file)}`,
    () => `sub/../${path.basename(file)}`,
    () => `../${path.basename(folder)}/${path.basename(file)}`,
    () => `/../../..${file}`,
    () => file.replaceAll('/', '//'),
    () => `${folder}/sub/sub`, // named like its folder
    () => `${folder}/link/pair`, // in a folder that is a link
    () => file.padEnd(107, 'p') // as long as it may be
  ]

  test('the kernel shows the path as it was given', async () => {
    fs.mkdirSync(path.join(folder, 'sub'))
    give(path.join(folder, 'sub'), account)
    fs.symlinkSync('sub', path.join(folder, 'link'))
    const contents = () => fs.readdirSync(folder, { recursive: true }).sort()
    const before = contents()
    const group = await start(1, account, { cwd: folder })
    const pid = group.children[0]!.pid!
    for (const make of paths) {
      const name = make()
      expect(await group.run('listen', { url: `ipc://${name}` })).toEqual([
        { code: 'listening', pid }
      ])
      expect(namesOf(pid)).toEqual([name])
      // The socket that has the name is the one at the path.
      const absolute = path.resolve(folder, name)
      url = `ipc://${absolute}`
      await expectReaches(url, pid)
      expect(permissions(absolute)).toBe(0o600)
      await group.run('close')
      // The file is gone at once, the socket a moment later.
      while (namesOf(pid).length > 0) await turn()
      expect(contents()).toEqual(before)
    }
  })

  test('its mode is at no time wider than ipcMode', async () => {
    const run = inProcessAs(
      account,
      {},
      async ({ lib, say }, url: string) => {
        process.umask(0)
        for (let i = 0; i < 300; i++) {
          const sock = new lib.PairSocket({ ipcMode: 0o640 })
          await sock.listen(url)
          await sock.close()
        }
        say('done')
      },
      url
    )
    const seen = new Set<number>()
    const done = run.line('done').then(() => true)
    while (!(await Promise.race([done, turn(false)]))) {
      for (let i = 0; i < 200; i++) {
        const stat = fs.lstatSync(file, { throwIfNoEntry: false })
        if (stat !== undefined) seen.add(stat.mode & 0o7777)
      }
    }
    expect([...seen].filter((mode) => mode !== CLOSED)).toEqual([0o640])
    await run.exit
  })

  const testHeld = canPreload ? test : test.skip

  testHeld('before it listens, nobody can take it for dead', async () => {
    const run = inProcessAs(account, { TEST_LISTEN: 'stop' }, listenAndSay, url)
    await untilStopped(run.pid)
    if (account.isRoot) {
      // Root would not be kept out: there is nothing at the path yet.
      expect(fs.existsSync(file)).toBe(false)
    } else {
      expect(permissions(file)).toBe(CLOSED)
      const { ino } = fs.lstatSync(file)
      for (const cat of cats.filter(installed)) {
        const rival = runCat(cat, 'listen', url, 'x', account.as)
        expect((await rival.exit).code).not.toBe(0)
      }
      const dialing = inProcessAs(
        account,
        {},
        ({ lib, say }, url: string) =>
          new lib.PairSocket().dial(url).catch(({ code }) => say(code)),
        url
      )
      await dialing.line('ECONNREFUSED')
      expect(fs.lstatSync(file).ino).toBe(ino)
      expect(permissions(file)).toBe(CLOSED)
    }
    run.kill('SIGCONT')
    await run.line('listening')
    expect(permissions(file)).toBe(0o600)
    expect(namesOf(run.pid)).toEqual([file])
    await expectReaches(url, run.pid)
    run.kill('SIGKILL')
    await run.exit
  })

  testHeld('one that died before it listened is replaced', async () => {
    const run = inProcessAs(account, { TEST_LISTEN: 'stop' }, listenAndSay, url)
    await untilStopped(run.pid)
    run.kill('SIGKILL')
    await run.exit
    expect(fs.existsSync(file)).toBe(!account.isRoot)
    const group = await start(1, account)
    expect(await group.run('listen', { url })).toMatchObject([
      { code: 'listening' }
    ])
    expect(permissions(file)).toBe(0o600)
    await expectReaches(url, group.children[0]!.pid!)
  })

  testHeld('what took the place of a dead one meanwhile stays', async () => {
    await leaveDeadListener(file)
    give(file, account)
    const run = inProcessAs(
      account,
      { TEST_CONNECT: 'replace' },
      ({ lib, say }, url: string) => {
        setInterval(() => {}, 1000) // it keeps the socket that is there now
        new lib.PairSocket().listen(url).catch(({ code }) => say(code))
      },
      url
    )
    await run.line('EADDRINUSE')
    expect(fs.readdirSync(folder)).toEqual([path.basename(file)])
    const visitor = net.connect(file)
    await once(visitor, 'connect')
    visitor.destroy()
    run.kill('SIGKILL')
    await run.exit
  })

  testHeld('it listens where nothing can be unshared', async () => {
    const run = inProcessAs(
      account,
      { TEST_UNSHARE: 'refuse' },
      listenAndSay,
      url
    )
    await run.line('listening')
    expect(permissions(file)).toBe(0o600)
    expect(fs.readdirSync(folder)).toEqual([path.basename(file)])
    await expectReaches(url, run.pid)
    run.kill('SIGKILL')
    await run.exit
  })

  describe('several at once: exactly one listens', () => {
    const rivals: (Cat | undefined)[] = [undefined, ...cats.filter(installed)]
    test.each(
      rivals.flatMap((rival) =>
        ['a free path', 'a dead listener'].map((what) => ({
          rival,
          what,
          whom: rival === undefined ? 'of ours' : `of ours and ${rival}`
        }))
      )
    )(
      '$whom, at $what',
      async ({ rival, what }) => {
        const group = await start(rival === undefined ? 4 : 2, account)
        const others: Account[] =
          account.isRoot && accounts.includes(ordinary) && rival === undefined
            ? [ordinary]
            : []
        // Another user, who may write to the folder as well.
        for (const other of others) {
          fs.chmodSync(folder, 0o777)
          group.children.push(...(await start(1, other)).children)
        }
        let won = 0
        let lead = 0
        for (let round = 0; round < ROUNDS; round++) {
          if (what === 'a dead listener') {
            await leaveDeadListener(file)
            give(file, account)
          }
          const weWin = await oneRound(group, rival, account, lead)
          if (weWin) won++
          // Whoever lost starts earlier: most rounds are close.
          lead += weWin ? -0.3 : 0.3
        }
        if (process.env.NNG_PAIR_STARTS !== undefined) {
          console.log(
            `${account.name}, ${rival ?? 'ours'}, ${what}: ` +
              `${ROUNDS} of ${ROUNDS}, of which ours won ${won}`
          )
        }
      },
      LIMIT
    )
  })
})

/** Nothing else happens meanwhile, nor for any longer. */
function pass(ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

/**
 * All start, ours so many milliseconds before the rival; exactly one listens
 * in the end. Resolves with whether it is one of ours.
 */
async function oneRound(
  group: Starters,
  rival: Cat | undefined,
  account: Account,
  lead: number
): Promise<boolean> {
  let cat: Run | undefined
  let ended = false
  let starting: Promise<Outcome[]>
  if (rival === undefined) {
    starting = group.run('listen', { url })
  } else {
    const startRival = () => runCat(rival, 'listen', url, 'x', account.as)
    if (lead < 0) cat = startRival()
    pass(Math.max(-lead, 0))
    starting = group.run('listen', { url }, 0)
    pass(Math.max(lead, 0))
    cat ??= startRival()
    void cat.exit.then(() => (ended = true))
  }
  const outcomes = await starting
  // The rival has either given up or listens, at the path or no more.
  while (cat && !ended && namesOf(cat.pid).length === 0) await turn()
  const codes = outcomes.map(({ code }) => code)
  if (cat) codes.push(ended ? 'EADDRINUSE' : 'listening')
  expect(codes.sort()).toEqual([
    ...codes.slice(1).map(() => 'EADDRINUSE'),
    'listening'
  ])
  const winner = outcomes.find(({ code }) => code === 'listening')
  await expectReaches(url, winner?.pid ?? cat!.pid)
  cat?.kill('SIGKILL')
  await cat?.exit
  await group.run('close')
  // A rival does not clean up after itself when it is killed.
  if (winner === undefined) fs.unlinkSync(file)
  expect(fs.readdirSync(folder)).toEqual([])
  return winner !== undefined
}

/** Runs a function in a process of that user, with listen.c preloaded. */
function inProcessAs<A extends readonly unknown[]>(
  account: Account,
  variables: NodeJS.ProcessEnv,
  main: Main<A>,
  ...args: A
): Run {
  const env =
    Object.keys(variables).length === 0
      ? process.env
      : preloading('listen', variables)
  return inProcessUnder({ ...account.as, env }, main, ...args)
}

const listenAndSay: Main<[string]> = async ({ lib, say }, url) => {
  await new lib.PairSocket().listen(url)
  say('listening')
}
