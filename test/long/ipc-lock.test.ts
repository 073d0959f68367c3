// Who can keep an ipc listener from taking its path, by a lock
// (binding/platform/posix/ipc_lock.c): those who may write to the folder.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import {
  accounts,
  give,
  ordinary,
  root,
  type Account
} from '../support/accounts'
import { inProcessUnder } from '../support/childProcess'
import type { Run } from '../support/command'
import { leaveDeadListener } from '../support/deadListener'
import { canPreload, preloading } from '../support/preload'
import { untilStopped } from '../support/stopped'
import { Starters, expectReaches } from '../support/starters'
import { tempFolder } from '../support/tempFolder'

const onLinux = process.platform === 'linux'
const describeOnLinux = onLinux ? describe : describe.skip
const describeAsRoot =
  onLinux && accounts.includes(root) ? describe : describe.skip
const testHeld = canPreload ? test : test.skip

const ROUNDS = Number(process.env.NNG_PAIR_STARTS ?? 10)
const LIMIT = 30_000 + ROUNDS * 1000

let folder: string
let file: string
let url: string
let ends: (() => Promise<unknown>)[] = []

afterEach(async () => {
  await Promise.all(ends.map((end) => end()))
  ends = []
})

/** A folder of that user's, with that mode. */
function prepare(account: Account, mode = 0o755): void {
  folder = tempFolder()
  give(folder, account)
  fs.chmodSync(folder, mode)
  file = path.join(folder, 'pair.ipc')
  url = `ipc://${file}`
}

/** The name of the lock, for those who share it with this account. */
function lockName({ as }: Account, sticky = false): string {
  const uid = as.uid ?? process.getuid!()
  return path.join(folder, sticky ? `.nng-lock-${uid}` : '.nng-lock')
}

/** Somebody locks the file or folder until the test ends, with flock(1). */
async function lock(name: string, { as }: Account): Promise<void> {
  const holder = spawn('flock', [name, 'sh', '-c', 'echo locked; cat'], {
    ...as,
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const exit = once(holder, 'exit')
  ends.push(() => {
    holder.stdin.end()
    return exit
  })
  await once(holder.stdout, 'data')
}

/** Whether somebody could lock the file. */
function canLock(name: string, { as }: Account): boolean {
  const { status } = spawnSync('flock', ['--nonblock', name, 'true'], {
    ...as,
    stdio: 'ignore'
  })
  return status === 0
}

async function start(count: number, { as }: Account): Promise<Starters> {
  const group = await Starters.start(count, as)
  ends.push(() => group.kill())
  return group
}

/** What becomes of one that listens and closes, and what is in the folder. */
async function listenOnce(account: Account): Promise<unknown> {
  const group = await start(1, account)
  const [outcome] = await group.run('listen', { url })
  const during = fs.readdirSync(folder).sort()
  await group.run('close')
  return [outcome!.code, during]
}

/** A process that is stopped while it has the lock. */
async function stopWithLock(account: Account): Promise<Run> {
  const run = inProcessUnder(
    { ...account.as, env: preloading('listen', { TEST_LISTEN: 'stop' }) },
    async ({ lib, say }, url: string) => {
      await new lib.PairSocket().listen(url)
      say('listening')
    },
    url
  )
  await untilStopped(run.pid)
  return run
}

async function end(run: Run): Promise<void> {
  run.kill('SIGKILL')
  await run.exit
}

describeOnLinux.each(accounts)('as $name', (account) => {
  describe.each(accounts)('a lock on the folder, held by $name,', (holder) => {
    test.each([
      ['a free path', async () => {}],
      ['the file of a dead listener', () => leaveDeadListener(file)]
    ])('keeps nobody from %s', async (_, put) => {
      prepare(account)
      await put()
      if (fs.existsSync(file)) give(file, account)
      await lock(folder, holder)
      expect(await listenOnce(account)).toEqual(['listening', ['pair.ipc']])
      expect(fs.readdirSync(folder)).toEqual([])
    })
  })

  testHeld('what a killed process leaves of the lock is no lock', async () => {
    prepare(account)
    await end(await stopWithLock(account))
    expect(fs.existsSync(lockName(account))).toBe(true)
    fs.rmSync(file, { force: true })
    const [code, during] = (await listenOnce(account)) as [string, string[]]
    expect(code).toBe('listening')
    expect(during).not.toContain('.nng-lock')
    expect(during).toContain('pair.ipc')
  })

  test('who may write can keep it: EBUSY, and nothing is lost', async () => {
    prepare(account)
    await leaveDeadListener(file)
    give(file, account)
    const { ino } = fs.lstatSync(file)
    await lock(lockName(account), account)
    const begun = performance.now()
    const [code, during] = (await listenOnce(account)) as [string, string[]]
    expect(performance.now() - begun).toBeGreaterThan(1900)
    expect(code).toBe('EBUSY')
    expect(during.sort()).toEqual(['.nng-lock', 'pair.ipc'])
    expect(fs.lstatSync(file).ino).toBe(ino)
  })

  test('the lock does not follow a link', async () => {
    prepare(account)
    const other = path.join(folder, 'other')
    fs.symlinkSync('other', lockName(account))
    const [code] = (await listenOnce(account)) as [string]
    expect(code).toBe('EBUSY')
    expect(fs.existsSync(other)).toBe(false)
  })
})

describeAsRoot('the lock of a folder can be had by', () => {
  const others = accounts.filter((account) => !account.isRoot)

  testHeld.each([
    ['its owner alone', 0o755, 0o600],
    ['its owner alone, if it is sticky', 0o1777, 0o600],
    ['its group, if that may write', 0o775, 0o640],
    ['everybody, if they may write', 0o777, 0o644]
  ])('%s', async (_, folderMode, mode) => {
    prepare(root, folderMode)
    fs.chownSync(folder, 0, ordinary.as.gid!)
    const run = await stopWithLock(root)
    const name = lockName(root, folderMode === 0o1777)
    const stat = fs.lstatSync(name)
    expect(stat.mode & 0o7777).toBe(mode)
    expect(stat.uid).toBe(0)
    if (mode === 0o640) expect(stat.gid).toBe(ordinary.as.gid)
    await end(run)
    for (const other of others) {
      expect(canLock(name, other)).toBe(mode !== 0o600)
    }
  })

  testHeld('the owner of the folder, if it is root’s listener', async () => {
    prepare(ordinary)
    const run = await stopWithLock(root)
    const stat = fs.lstatSync(lockName(root))
    expect([stat.uid, stat.mode & 0o7777]).toEqual([ordinary.as.uid, 0o600])
    await end(run)
    expect(canLock(lockName(root), ordinary)).toBe(true)
  })
})

// Anybody can have put anything there before.
describeAsRoot('in a sticky folder, a listener does not wait for', () => {
  const squats: Record<string, (name: string, by: Account) => unknown> = {
    'a file that others have locked': (name, by) => lock(name, by),
    'a file that all can lock': async (name, by) => {
      await lock(name, by)
      fs.chmodSync(name, 0o666)
    },
    'a folder': (name, { as }) => execFileSync('mkdir', [name], as),
    'a pipe': (name, { as }) => execFileSync('mkfifo', [name], as),
    'a link': (name, { as }) => execFileSync('ln', ['-s', 'x', name], as)
  }
  const cases = accounts.flatMap((account) =>
    Object.entries(squats).map(([what, squat]) => ({ account, what, squat }))
  )

  /** A user who is neither of those whom the tests are about. */
  const stranger: Account = {
    name: 'a stranger',
    as: { uid: 65533, gid: 65533 },
    isRoot: false
  }

  function prepareSticky(): void {
    prepare(root, 0o1777)
  }

  test.each(cases)('$what (as $account.name)', async ({ account, squat }) => {
    prepareSticky()
    const name = lockName(account, true)
    await squat(name, stranger)
    const before = fs.lstatSync(name)
    for (const put of [async () => {}, leaveDeadListener]) {
      await put(file)
      if (fs.existsSync(file)) give(file, account)
      expect(await listenOnce(account)).toEqual([
        'listening',
        [path.basename(name), 'pair.ipc']
      ])
    }
    expect(fs.lstatSync(name)).toMatchObject({
      ino: before.ino,
      uid: stranger.as.uid
    })
    expect(fs.existsSync(path.join(folder, 'x'))).toBe(false)
  })

  test.each(accounts)(
    'a lock that is not to be had: of several $name starts, one listens',
    async (account) => {
      prepareSticky()
      const name = lockName(account, true)
      await lock(name, stranger)
      const group = await start(4, account)
      for (let round = 0; round < ROUNDS; round++) {
        await leaveDeadListener(file)
        give(file, account)
        const outcomes = await group.run('listen', { url })
        const codes = outcomes.map(({ code }) => code).sort()
        expect([round, ...codes]).toEqual([
          round,
          ...['EADDRINUSE', 'EADDRINUSE', 'EADDRINUSE', 'listening']
        ])
        const winner = outcomes.find(({ code }) => code === 'listening')!
        await expectReaches(url, winner.pid)
        await group.run('close')
        expect(fs.readdirSync(folder)).toEqual([path.basename(name)])
      }
    },
    LIMIT
  )

  testHeld.each(accounts)(
    'a lock that is not to be had: $name gets over a moment without its file',
    async (account) => {
      prepareSticky()
      await lock(lockName(account, true), stranger)
      await leaveDeadListener(file)
      give(file, account)
      const late = inProcessUnder(
        { ...account.as, env: preloading('listen', { TEST_CONNECT: 'late' }) },
        ({ lib, say }, url: string) =>
          new lib.PairSocket().listen(url).catch(({ code }) => say(code)),
        url
      )
      await late.line('asked')
      // The file of this one is taken for the dead one's, and comes back.
      const group = await start(1, account)
      expect(await group.run('listen', { url })).toMatchObject([
        { code: 'listening' }
      ])
      await late.line('EADDRINUSE')
      await expectReaches(url, group.children[0]!.pid!)
    }
  )
})
