// Bars, drawn as SVG: a panel for each job, ipc on the left and tcp on the right. Every panel starts at
// zero and has its own scale; the line across the end of a bar goes from the lowest run to the highest.
// The floor does nothing but move bytes: its bar is cut where it would make the others too small to see.

import { figure } from './figures.mjs'
import { number } from './table.mjs'

const LABEL = 154
const BAR = 190
const VALUE = 70
const PANEL = LABEL + BAR + VALUE
const GAP = 30
const MARGIN = 16
const MIN_WIDTH = 560
const ROW = 20
const TITLE = 30
const HEAD = 44

const large = (job) => job.pattern === 'oneway' && job.size >= 64 * 1024

const charts = [
  {
    name: 'roundtrip',
    title: 'Round trip, median, in microseconds: shorter is better',
    has: ({ pattern }) => pattern === 'roundtrip',
    scale: () => 1
  },
  {
    name: 'messages',
    title: 'Small messages, in thousands a second: longer is better',
    has: (job) =>
      (job.pattern === 'oneway' || job.pattern === 'duplex') && !large(job),
    scale: () => 1 / 1000
  },
  {
    name: 'bandwidth',
    title: 'Large messages, in megabytes a second: longer is better',
    has: large,
    scale: ({ size }) => size / 1e6
  }
]

/** Returns [name, SVG] of every chart that there are results for. */
export function plots(jobs) {
  return charts.flatMap(({ name, title, has, scale }) => {
    const some = jobs.filter(has)
    return some.length === 0 ? [] : [[name, chart(title, some, scale)]]
  })
}

function chart(title, jobs, scale) {
  const columns = [...new Set(jobs.map(({ transport }) => transport))]
  const sizes = [...new Set(jobs.map(lineOf))]
  const width = Math.max(
    MIN_WIDTH,
    2 * MARGIN + columns.length * PANEL + (columns.length - 1) * GAP
  )
  const parts = []
  let y = HEAD
  for (const size of sizes) {
    const line = jobs.filter((job) => lineOf(job) === size)
    for (const job of line) {
      const x = MARGIN + columns.indexOf(job.transport) * (PANEL + GAP)
      parts.push(panel(job, scale(job), x, y))
    }
    y += TITLE + ROW * Math.max(...line.map((job) => shown(job).length)) + 12
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>${escape(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.panel { font-weight: 600 }
.label { text-anchor: end }
.back { fill: #ffffff }
.ours { fill: #1a7f64 }
.other { fill: #9aa4b2 }
.floor { fill: #d5dae1 }
.spread { stroke: #1f2328; stroke-opacity: 0.6 }
.cut { stroke: #ffffff; stroke-width: 2; fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.back { fill: #0d1117 }
.ours { fill: #2fb48f }
.other { fill: #6e7681 }
.floor { fill: #3d444d }
.spread { stroke: #e6edf3 }
.cut { stroke: #0d1117 }
}
</style>
<rect class="back" width="${width}" height="${y}"/>
<text class="title" x="${MARGIN}" y="28">${escape(title)}</text>
${parts.join('\n')}
</svg>
`
}

/** What is drawn in one line. */
function lineOf({ pattern, size }) {
  return `${pattern} ${size}`
}

/** The driver for runtimes without a usable loop is left to the tables. */
function shown({ rows }) {
  return rows.filter(
    ({ peer }) =>
      peer !== 'thread' || rows.every((row) => row.peer !== 'nng-pair')
  )
}

function panel(job, scale, x, top) {
  const rows = shown(job).map((row) => ({ row, ...figure(job, row) }))
  const most = longest(rows)
  const bars = rows.map(({ row, median, min, max, count }, i) => {
    const y = top + TITLE + i * ROW
    const label = `<text class="label" x="${x + LABEL - 8}" y="${y + 12}">${escape(row.name)}</text>`
    if (count === 0)
      return `${label}<text x="${x + LABEL}" y="${y + 12}">failed</text>`
    const cut = max > most
    const at = (value) => x + LABEL + (Math.min(value, most) / most) * BAR
    const end = at(cut ? most : median)
    const middle = y + (ROW - 5) / 2
    return [
      label,
      `<rect class="${kind(row)}" x="${x + LABEL}" y="${y}" width="${round(end - x - LABEL)}" height="${ROW - 5}"/>`,
      cut
        ? `<path class="cut" d="M${end - 14} ${y + ROW - 3}l5 ${1 - ROW}m5 0l-5 ${ROW - 1}"/>`
        : `<path class="spread" d="M${round(at(min))} ${middle}H${round(at(max))}"/>`,
      `<text x="${round(at(max) + 6)}" y="${y + 12}">${number(median * scale)}</text>`
    ].join('')
  })
  return `<text class="panel" x="${x}" y="${top + 16}">${escape(job.title)}</text>\n${bars.join('\n')}`
}

/** What the whole width stands for. */
function longest(rows) {
  const upTo = (some) =>
    Math.max(0, ...some.map(({ max }) => max).filter(Number.isFinite))
  return upTo(rows.filter(({ row }) => kind(row) !== 'floor')) || upTo(rows)
}

function round(value) {
  return Number(value.toFixed(1))
}

function kind({ peer }) {
  if (peer === 'raw') return 'floor'
  return ['nng-pair', 'asking', 'asleep', 'thread'].includes(peer)
    ? 'ours'
    : 'other'
}

function escape(text) {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
}
