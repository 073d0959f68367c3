// Where the time goes: runs a job with --cpu-prof and sums up both ends, from the first message that
// was measured to the last.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { runJob } from './processes.mjs'
import { markdown } from './table.mjs'

const TOP = 25

/** Resolves with a table of the functions with the most time of their own. */
export async function profile(contestant, job) {
  const dir = mkdtempSync(join(tmpdir(), 'nng-pair-profile-'))
  try {
    const { listener, dialer } = await runJob(contestant, job, {
      nodeOptions: (role) => [
        '--cpu-prof',
        `--cpu-prof-dir=${dir}`,
        `--cpu-prof-name=${role}.cpuprofile`
      ]
    })
    return [
      ['listen', listener],
      ['dial', dialer]
    ]
      .map(([role, measured]) => {
        const file = join(dir, `${role}.cpuprofile`)
        return table(role, JSON.parse(readFileSync(file, 'utf8')), measured)
      })
      .join('\n\n')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function table(role, { nodes, samples, timeDeltas, startTime }, { from, to }) {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, name(callFrame)]))
  const times = new Map()
  let total = 0
  let now = startTime
  for (const [i, id] of samples.entries()) {
    now += timeDeltas[i]
    if (now < from || now > to) continue
    const key = names.get(id)
    times.set(key, (times.get(key) ?? 0) + timeDeltas[i])
    total += timeDeltas[i]
  }
  const rows = [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, TOP)
    .map(([key, time]) => [
      key,
      (time / 1000).toFixed(1),
      `${((100 * time) / total).toFixed(1)} %`
    ])
  return markdown([`${role}: self time`, 'ms', 'share'], rows)
}

function name({ functionName, url, lineNumber }) {
  const place = url && ` ${basename(url)}:${lineNumber + 1}`
  return `${functionName || '(anonymous)'}${place}`
}
