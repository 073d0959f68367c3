#!/usr/bin/env node
// Draws what a command writes as a terminal: docs/demo.svg in the README.
//
//   node scripts/terminal-svg.mjs docs/demo.svg nng-pair demo ipc:///tmp/pair.ipc

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

const COLUMN = 7.25
const ROW = 18
const MARGIN = 18
const BAR = 30

const STYLE = `
  text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #c9d1d9; white-space: pre }
  .command { fill: #ffffff; font-weight: bold }
  .stamp { fill: #6e7681 }
  .node0 { fill: #7ee787 }
  .node1 { fill: #79c0ff }
`

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escape(plain) {
  return plain.replace(/[&<>"]/g, (c) => ESCAPES[c])
}

function span(className, plain) {
  return plain ? `<tspan class="${className}">${escape(plain)}</tspan>` : ''
}

function drawLine(line, row) {
  const [, stamp, rest] = /^(\d{4}\/\S+ \S+ )?(.*)$/.exec(line)
  const className = line.startsWith('$ ')
    ? 'command'
    : `node${/^Node (\d)/.exec(rest)?.[1] ?? ''}`
  const y = BAR + MARGIN + row * ROW
  // Some renderers know white-space, others only xml:space.
  return `  <text x="${MARGIN}" y="${y}" xml:space="preserve">${span('stamp', stamp)}${span(className, rest)}</text>`
}

function draw(title, lines) {
  const columns = Math.max(...lines.map((line) => line.length))
  const width = Math.ceil(columns * COLUMN + 2 * MARGIN)
  const height = BAR + MARGIN + lines.length * ROW
  const lights = ['#ff5f57', '#febc2e', '#28c840'].map(
    (colour, i) =>
      `  <circle cx="${MARGIN + i * 18}" cy="16" r="5.5" fill="${colour}"/>`
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    `  <title>${escape(title)}</title>`,
    `  <style>${STYLE}  </style>`,
    `  <rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...lights,
    ...lines.map(drawLine),
    '</svg>\n'
  ].join('\n')
}

const [file, ...command] = process.argv.slice(2)
if (command[0] !== 'nng-pair') {
  throw new Error('usage: node scripts/terminal-svg.mjs FILE nng-pair ARGS…')
}
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const child = spawn(
  process.execPath,
  [join(root, 'dist', 'cli', 'main.js'), ...command.slice(1)],
  { stdio: ['ignore', 'inherit', 'pipe'] }
)
const session = (await text(child.stderr)).trimEnd().split('\n')
const prompt = `$ npx ${command.join(' ')}`
writeFileSync(file, draw(prompt, [prompt, ...session]))
