// The soak (npm run soak) is long, and only as good as what it notices: here it
// is short, and has something to notice.

import * as fs from 'node:fs'
import * as path from 'node:path'
import { ending } from '../support/childProcess'
import { Run, buildIfStale } from '../support/command'
import { tempFolder } from '../support/tempFolder'

const SOAK = path.join(__dirname, '..', '..', 'scripts', 'soak.mjs')
const WITHIN_MS = 120_000

const onLinux = process.platform === 'linux' ? test : test.skip

function soak(...options: string[]): { run: Run; csv: string } {
  buildIfStale()
  const csv = path.join(tempFolder(), 'samples.csv')
  const args = [SOAK, '--csv', csv, ...options]
  return { run: new Run(process.execPath, args), csv }
}

onLinux(
  'a soak notices what is left behind, each by its name',
  async () => {
    const { run } = soak(
      ...['--seconds', '5', '--interval', '100'],
      ...['--plant', 'memory,heap,descriptors,threads']
    )
    const exit = await ending(run, WITHIN_MS)
    expect([exit, run.lines]).toEqual([{ code: 1, signal: null }, []])
    const grown = run.stdout.match(/^GROWS: [^:,]*/gm)
    expect(grown).toEqual([
      'GROWS: Resident memory',
      'GROWS: Heap in use after gc',
      'GROWS: External memory',
      'GROWS: Open descriptors',
      'GROWS: Threads',
      'GROWS: Descriptors at rest'
    ])
  },
  WITHIN_MS
)

onLinux(
  'a soak notices that a message is missing, and keeps its samples',
  async () => {
    const { run, csv } = soak('--seconds', '30', '--plant', 'loss')
    expect(await ending(run, WITHIN_MS)).toEqual({ code: 1, signal: null })
    expect(run.stamped.join('\n')).toMatch(/\d+ of \d+ instead of \d+/)
    expect(fs.readFileSync(csv, 'utf8')).toMatch(/^seconds,rss,/)
  },
  WITHIN_MS
)
