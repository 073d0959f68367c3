import { inProcessUnder, type Main } from './childProcess'
import type { Run } from './command'
import { canPreload, preloading } from './preload'

/** Whether processes can be given names: a library is preloaded for that. */
export const canName = canPreload

/** What a name resolves to, in words: see getaddrinfo.c. */
export type Names = Readonly<Record<string, string>>

/** Runs a function in a process of its own that knows these names. */
export function inProcessNaming<A extends readonly unknown[]>(
  names: Names,
  main: Main<A>,
  ...args: A
): Run {
  const env = preloading('getaddrinfo', {
    TEST_NAMES: Object.entries(names)
      .map(([name, words]) => `${name} ${words}`)
      .join('\n')
  })
  return inProcessUnder({ env }, main, ...args)
}
