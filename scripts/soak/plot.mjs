// The samples of a soak as SVG: a panel for each that is watched, all of them
// over the same time, each from zero up.

import { warm, watched } from './verdict.mjs'

const WIDTH = 800
const MARGIN = 16
const HEAD = 66
const PANEL = 96
const LINE = 60
const VALUE = 60
const POINTS = 600

const round = (value) => Number(value.toFixed(1))

/** At most so many samples, each the median of its neighbours. */
function thin(values) {
  const size = Math.ceil(values.length / POINTS)
  const parts = Array.from(
    { length: Math.ceil(values.length / size) },
    (_, i) => values.slice(i * size, (i + 1) * size).sort((a, b) => a - b)
  )
  return parts.map((part) => part[Math.floor(part.length / 2)])
}

function panel({ name, first, last }, samples, top) {
  const { title, unit, rank } = watched[name]
  const values = thin(samples.map((sample) => sample[name] / unit))
  const most = Math.max(...values) * 1.1
  const width = WIDTH - 2 * MARGIN - VALUE
  const x = (i) => round(MARGIN + (i / Math.max(1, values.length - 1)) * width)
  const y = (value) => round(top + PANEL - 14 - (value / most) * LINE)
  const path = values.map((value, i) => `${i ? 'L' : 'M'}${x(i)} ${y(value)}`)
  const medians = `${rank === undefined ? 'median' : 'lowest tenth'} of the first third ${round(first / unit)}, of the last ${round(last / unit)}`
  const warmAt = x(
    (1 - warm(samples).length / samples.length) * (values.length - 1)
  )
  return `<text x="${MARGIN}" y="${top + 12}"><tspan class="panel">${title}</tspan>; ${medians}</text>
<path class="floor" d="M${MARGIN} ${y(0)}H${MARGIN + width}M${warmAt} ${y(0)}v${-LINE}"/>
<path class="line" d="${path.join('')}"/>
<text x="${MARGIN + width + 6}" y="${round(y(values.at(-1)) + 4)}">${round(values.at(-1))}</text>`
}

/**
 * @param details what came and went, below the title
 * @param verdict what judge() says of the samples
 */
export function plot(title, details, verdict, samples) {
  const height = HEAD + verdict.length * PANEL
  const panels = verdict.map((row, i) => panel(row, samples, HEAD + i * PANEL))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${title}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.panel { font-weight: 600 }
.details { font-size: 11px }
.back { fill: #ffffff }
.line { stroke: #1a7f64; stroke-width: 1.5; fill: none }
.floor { stroke: #d5dae1; fill: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.back { fill: #0d1117 }
.line { stroke: #2fb48f }
.floor { stroke: #3d444d }
}
</style>
<rect class="back" width="${WIDTH}" height="${height}"/>
<text class="title" x="${MARGIN}" y="28">${title}</text>
<text x="${MARGIN}" y="48" class="details">${details}</text>
${panels.join('\n')}
</svg>
`
}
