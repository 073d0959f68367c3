// The results as aligned Markdown tables.

import { best, cpuPerMessage, figure, over, ratio, unit } from './figures.mjs'

/** Rows of cells; the first column is text, the others are numbers. */
export function markdown(head, rows) {
  const widths = head.map((cell, i) =>
    Math.max(cell.length, ...rows.map((row) => row[i].length), 3)
  )
  const line = (cells) =>
    `| ${cells
      .map((cell, i) =>
        i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
      )
      .join(' | ')} |`
  const rule = widths.map((width, i) =>
    i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`
  )
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** Three significant digits, and commas. */
export function number(value) {
  if (!Number.isFinite(value)) return '–'
  const digits = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value))) + 1
  const rounded =
    digits >= 4
      ? Math.round(value / 10 ** (digits - 3)) * 10 ** (digits - 3)
      : value
  return rounded.toLocaleString('en-US', {
    minimumFractionDigits: Math.max(0, Math.min(2, 3 - digits)),
    maximumFractionDigits: Math.max(0, Math.min(2, 3 - digits))
  })
}

const p99 = (run) => run.p99

export function jobTable(job) {
  const { head, cells } = layouts[job.pattern](job)
  const rows = job.rows.map((row) =>
    figure(job, row).count > 0
      ? [row.name, ...cells(row)]
      : [row.name, 'failed', ...head.slice(2).map(() => '–')]
  )
  const table = markdown(head, rows)
  const failures = job.rows.flatMap((row) =>
    row.runs
      .filter(({ error }) => error !== undefined)
      .map(({ error }) => `${row.name} failed: ${error}`)
  )
  return [`### ${job.title}`, '', table, ...failures].join('\n')
}

const layouts = {
  roundtrip: (job) => ({
    head: ['', unit(job), 'lowest – highest', 'p99', 'CPU µs', against(job)],
    cells: (row) => [
      ...spread(job, row),
      number(over(row, ({ dialer }) => dialer.p99).median),
      number(cpuPerMessage(job, row)),
      times(job, row)
    ]
  }),
  oneway: stream,
  duplex: stream,
  fairness: () => ({
    head: [
      'ms: 99 of 100 / highest',
      'receiver: setImmediate',
      'timer late',
      'sender: setImmediate',
      'timer late'
    ],
    cells: (row) =>
      ['listener', 'dialer'].flatMap((role) =>
        ['immediate', 'timer'].map((what) =>
          ['p99', 'max']
            .map((q) =>
              number(over(row, (run) => run[role].delays[what][q]).median)
            )
            .join(' / ')
        )
      )
  }),
  idle: () => ({
    head: [
      '',
      'sockets',
      'KiB each',
      'lowest – highest',
      'to open, s',
      'threads'
    ],
    cells: (row) => [
      number(over(row, ({ sockets }) => sockets).median),
      ...spread({ pattern: 'idle' }, row),
      number(over(row, ({ seconds }) => seconds).median),
      number(over(row, ({ threads }) => threads).median)
    ]
  }),
  threads: (job) => ({
    head: ['', unit(job), 'lowest – highest', against(job)],
    cells: (row) => [...spread(job, row), times(job, row)]
  }),
  beside: (job) => ({
    head: [
      '',
      unit(job),
      'lowest – highest',
      against(job),
      'p99',
      against(job),
      'stream, messages/s'
    ],
    cells: (row) => [
      ...spread(job, row),
      times(job, row),
      number(over(row, p99).median),
      ratio(job, row, baseline(job), p99).toFixed(2),
      number(over(row, ({ rate }) => rate).median)
    ]
  })
}

function stream(job) {
  const large = job.size >= 64 * 1024
  return {
    head: [
      '',
      unit(job),
      'lowest – highest',
      ...(large ? ['MB/s'] : []),
      'CPU µs',
      against(job)
    ],
    cells: (row) => [
      ...spread(job, row),
      ...(large ? [number((figure(job, row).median * job.size) / 1e6)] : []),
      number(cpuPerMessage(job, row)),
      times(job, row)
    ]
  }
}

function spread(job, row) {
  const { median, min, max } = figure(job, row)
  return [number(median), `${number(min)} – ${number(max)}`]
}

/** The peer that the others are compared with: any Node user has it. For workers, processes. */
function baseline(job) {
  return (
    job.rows.find(({ peer }) => peer === 'net' || peer === 'processes') ??
    best(job, job.rows)
  )
}

function against(job) {
  return `× ${baseline(job)?.name ?? ''}`
}

function times(job, row) {
  return ratio(job, row, baseline(job)).toFixed(2)
}
