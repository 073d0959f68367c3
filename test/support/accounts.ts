import { spawnSync, type SpawnOptions } from 'node:child_process'
import * as fs from 'node:fs'
import * as path from 'node:path'

const NOBODY = 65534

/** Whose processes a test is about. */
export interface Account {
  name: string
  /** The options of its processes. */
  as: Pick<SpawnOptions, 'uid' | 'gid'>
  isRoot: boolean
}

/** Whether processes of others can load what is tested. */
function isReadableToAll(): boolean {
  const code = `require(${JSON.stringify(path.resolve('dist'))})`
  return (
    spawnSync(process.execPath, ['-e', code], { uid: NOBODY, gid: NOBODY })
      .status === 0
  )
}

const isRoot = process.getuid?.() === 0

export const root: Account = { name: 'root', as: {}, isRoot: true }

/** A user whom the modes of files keep from something. */
export const ordinary: Account = {
  name: 'an ordinary user',
  as: isRoot ? { uid: NOBODY, gid: NOBODY } : {},
  isRoot: false
}

/** Those as whom these tests can run processes. */
export const accounts = !isRoot
  ? [ordinary]
  : isReadableToAll()
    ? [root, ordinary]
    : [root]

/** Gives a file of this process to whoever the test is about. */
export function give(name: string, { as }: Account): void {
  if (as.uid !== undefined) fs.chownSync(name, as.uid, as.gid!)
}
