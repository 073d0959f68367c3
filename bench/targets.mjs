// What this package is meant to reach against its peers, checked with the results of one run.

import { best, figure, ratio } from './figures.mjs'
import { markdown } from './table.mjs'

const small = (pattern) => [`${pattern}/ipc/64B`, `${pattern}/tcp/64B`]
const both = (pattern, size) => [
  `${pattern}/ipc/${size}`,
  `${pattern}/tcp/${size}`
]
const everybody = ['net', 'zeromq', 'nng']

const besideProcesses = {
  who: 'workers',
  style: 'recv',
  against: ['processes']
}
const beside = ['64B', '64KiB', '4MiB'].flatMap((size) => both('beside', size))

/** `against` are peers or single rows; the best of them counts. */
const targets = [
  {
    jobs: small('roundtrip'),
    style: 'recv',
    against: ['net'],
    most: 1.1,
    moonshot: 1
  },
  { jobs: small('roundtrip'), style: 'recv', against: ['zeromq'], most: 0.5 },
  { jobs: small('roundtrip'), style: 'recv', against: ['nng'], most: 0.35 },
  {
    jobs: small('oneway'),
    style: 'recv',
    against: ['net'],
    least: 1,
    moonshot: 1.3
  },
  {
    jobs: small('oneway'),
    style: 'recv',
    against: ['net/await'],
    least: 1,
    moonshot: 1.3
  },
  {
    jobs: small('oneway'),
    style: 'many',
    against: ['net'],
    least: 1.3,
    moonshot: 2
  },
  { jobs: small('oneway'), style: 'recv', against: ['zeromq'], least: 3 },
  { jobs: small('oneway'), style: 'recv', against: ['nng'], least: 6 },
  { jobs: both('oneway', '1KiB'), style: 'recv', against: ['net'], least: 1.1 },
  {
    jobs: both('oneway', '1KiB'),
    style: 'recv',
    against: ['zeromq'],
    least: 2
  },
  {
    jobs: both('oneway', '64KiB'),
    style: 'recv',
    against: everybody,
    least: 1.2,
    moonshot: 1.5
  },
  {
    jobs: both('oneway', '1MiB'),
    style: 'recv',
    against: everybody,
    least: 1.2,
    moonshot: 1.5
  },
  { jobs: ['idle/ipc', 'idle/tcp'], style: 'recv', most: 16 },
  ...['threads2', 'threads4'].map((pattern) => ({
    jobs: [...small(pattern), ...both(pattern, '64KiB')],
    ...besideProcesses,
    least: 0.95
  })),
  { jobs: beside, ...besideProcesses, most: 1.2 },
  { jobs: beside, ...besideProcesses, p99: true, most: 1.5 }
]

export function targetTable(jobs) {
  const rows = targets.flatMap(({ jobs: ids, ...target }) =>
    jobs
      .filter(({ id }) => ids.includes(id))
      .map((job) => check(job, target))
      .filter(Boolean)
  )
  if (rows.length === 0) return ''
  return [
    '### Targets',
    '',
    markdown(['nng-pair', 'against', 'wanted', 'is', ''], rows)
  ].join('\n')
}

function check(job, target) {
  const { who = 'nng-pair', style, against, most, least, moonshot } = target
  const pick = target.p99 ? ({ p99 }) => p99 : undefined
  const ours = job.rows.find(({ id }) => id === `${who}/${style}`)
  if (ours === undefined) return undefined
  const other =
    against &&
    best(
      job,
      job.rows.filter(
        ({ id, peer }) => against.includes(peer) || against.includes(id)
      )
    )
  if (against && other === undefined) return undefined
  const is = other ? ratio(job, ours, other, pick) : figure(job, ours).median
  const reached = (limit) => (most === undefined ? is >= limit : is <= limit)
  const wanted = most === undefined ? `≥ ${least}` : `≤ ${most}`
  const verdict = !reached(most ?? least)
    ? 'no'
    : moonshot !== undefined && reached(moonshot)
      ? `yes, and ${moonshot}`
      : 'yes'
  return [
    `${job.title}${style === 'recv' ? '' : `, ${style}`}${pick ? ', p99' : ''}`,
    other?.name ?? 'KiB each',
    `${wanted}${other ? ' ×' : ''}`,
    is.toFixed(2),
    verdict
  ]
}
