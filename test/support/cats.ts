// nngcat and nanocat: programs of others that speak the same protocol.

import { spawnSync, type SpawnOptions } from 'node:child_process'
import * as fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { Run } from './command'

export const cats = ['nngcat', 'nanocat'] as const
export type Cat = (typeof cats)[number]

/** Whether the program is installed here. */
export function installed(cat: Cat): boolean {
  return spawnSync(cat, ['--help']).error === undefined
}

/**
 * Runs a cat that sends `data` time and again and prints what it receives,
 * each message in quotes on a line of its own. It does not end by itself.
 *
 * nngcat sends but once in our time: it gives up when a send has to wait for
 * longer than the pause between two.
 */
export function runCat(
  cat: Cat,
  role: 'listen' | 'dial',
  url: string,
  data: string,
  options: SpawnOptions = {}
): Run {
  const pace =
    cat === 'nngcat'
      ? ['--interval', '60', '--count', '1000']
      : ['--interval', '0.1']
  return new Run(
    cat,
    [...meeting(cat, role, url), ...pace, '--quoted', '--data', data],
    { ...options, env: catEnvironment() }
  )
}

/** The options of a cat that listens at or dials a URL, as a PAIR v0. */
export function meeting(
  cat: Cat,
  role: 'listen' | 'dial',
  url: string
): string[] {
  if (cat === 'nngcat') return ['--pair0', `--${role}`, url]
  return ['--pair', role === 'listen' ? '--bind' : '--connect', url]
}

/** What a sanitizer has preloaded is not for programs of others. */
export function catEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LD_PRELOAD: '' }
}

/** Linux: whether somebody listens at the URL, found out without a visit. */
function hasListener(url: string): boolean {
  const port = /^tcp:.*:(\d+)$/.exec(url)?.[1]
  if (port !== undefined) {
    const address = `:${Number(port).toString(16).toUpperCase().padStart(4, '0')} `
    return fs
      .readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .some((line) => line.includes(`${address}00000000:0000 0A`))
  }
  const path = url.replace(/^ipc:\/\//, '')
  return fs
    .readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .some((line) => line.includes(' 00010000 ') && line.endsWith(` ${path}`))
}

/** They do not say when they listen. */
export async function untilListening(url: string): Promise<void> {
  while (!hasListener(url)) await sleep(10)
}
