// The benchmark, with the peers that need neither packages nor a compiler: every
// message of theirs is counted and looked at, so a run that fails has lost one.

import * as fs from 'node:fs'
import * as path from 'node:path'
import { Run } from './support/command'
import { tempFolder } from './support/tempFolder'

const PROGRAM = path.join(__dirname, '..', 'bench', 'run.mjs')
// Its peers are what Node.js has, on systems that have Unix sockets.
const testOnNode =
  process.platform === 'win32' ||
  'bun' in process.versions ||
  'deno' in process.versions
    ? test.skip
    : test

interface Report {
  jobs: {
    id: string
    rows: { id: string; count: number; runs: { error?: string }[] }[]
  }[]
}

testOnNode(
  'peers that are processes or threads get all their messages',
  async () => {
    const file = path.join(tempFolder(), 'results.json')
    const run = new Run(process.execPath, [
      PROGRAM,
      // Less than a round is one run of each.
      ...['--rounds', '0.1', '--scale', '0.001', '--json', file],
      ...['--peers', 'process-send,message-port'],
      ...['--jobs', 'roundtrip/ipc/64B,oneway/ipc/1KiB,duplex/ipc']
    ])
    const { code } = await run.exit
    const { jobs } = JSON.parse(fs.readFileSync(file, 'utf8')) as Report
    const ids = [
      'process-send/advanced',
      'process-send/json',
      'message-port/callback'
    ]
    for (const { id, rows } of jobs) {
      expect([id, rows.map((row) => row.id)]).toEqual([id, ids])
      for (const { runs } of rows) {
        expect(runs.filter(({ error }) => error !== undefined)).toEqual([])
      }
    }
    expect(jobs.map(({ id }) => id)).toEqual([
      'roundtrip/ipc/64B',
      'oneway/ipc/1KiB',
      'duplex/ipc/1KiB'
    ])
    // A slow peer does a share of a stream, and all of the round trips.
    const counts = jobs.map(({ rows }) => rows.map(({ count }) => count))
    expect(counts).toEqual([
      [100, 100, 100],
      [100, 100, 500],
      [100, 100, 300]
    ])
    expect(code).toBe(0)
  },
  120_000
)
