#!/usr/bin/env node
// The benchmark: see README.md.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { figure } from './figures.mjs'
import { runIdle } from './idle.mjs'
import { jobs, scaled, sharedWith } from './jobs.mjs'
import { load, machine, machineLine } from './machine.mjs'
import { contestants, home, peers } from './peers.mjs'
import { plots } from './plots.mjs'
import { runJob } from './processes.mjs'
import { profile } from './profile.mjs'
import { prepare } from './setup.mjs'
import { jobTable } from './table.mjs'
import { targetTable } from './targets.mjs'
import { runThreads } from './threads.mjs'

const results = join(home, 'results')

// What is not one end here, and one there.
const others = { idle: runIdle, threads: runThreads, beside: runThreads }

const help = `usage: npm run bench -- [options]

  --peers LIST    of ${peers.map(({ id }) => id).join(',')} (default: all)
  --jobs LIST     parts of the names that --list prints (default: all)
  --styles LIST   of recv,iterate,many,message,early,loop,two,await (default: all)
  --rounds N      how often every peer has its turn (default: 5)
  --scale F       so many times the usual number of messages (default: 1)
  --quick         as --rounds 1 --scale 0.02: does everything work?
  --json FILE     where the results go (default: bench/results/latest.json)
  --publish       keep the results and the plots as the published ones
  --from FILE     run nothing: print and draw these results again
  --cpu-prof      run each job once with --cpu-prof and print where the time goes
  --wrap COMMAND  start the processes with it; {role} in it is listen or dial
  --list          print the names of the jobs
  --help`

async function main() {
  const { values } = parseArgs({
    options: {
      peers: { type: 'string', default: peers.map(({ id }) => id).join() },
      jobs: { type: 'string', default: '' },
      styles: {
        type: 'string',
        default: 'recv,iterate,many,message,early,loop,two,await'
      },
      rounds: { type: 'string' },
      scale: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string', default: join(results, 'latest.json') },
      publish: { type: 'boolean', default: false },
      from: { type: 'string' },
      'cpu-prof': { type: 'boolean', default: false },
      wrap: { type: 'string', default: '' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const options = {
    peers: known('peer', values.peers.split(','), peers),
    styles: values.styles.split(','),
    rounds: positive('rounds', values.rounds ?? (values.quick ? '1' : '5')),
    scale: positive('scale', values.scale ?? (values.quick ? '0.02' : '1')),
    wrap: values.wrap
  }
  const wanted = jobs.filter(({ id }) =>
    values.jobs.split(',').some((part) => id.includes(part))
  )
  if (values.help) return console.log(help)
  if (values.list) return console.log(jobs.map(({ id }) => id).join('\n'))
  if (wanted.length === 0) throw new Error(`no job is called ${values.jobs}`)

  if (values.from !== undefined) {
    const report = JSON.parse(readFileSync(values.from, 'utf8'))
    printMachine(report)
    for (const job of report.jobs) console.log(`\n${jobTable(job)}`)
    finish(report, values)
    return
  }
  prepare(options.peers)
  if (values['cpu-prof']) return printProfiles(wanted, options)

  const report = {
    date: new Date().toISOString(),
    machine: machine(),
    load: load(),
    options,
    jobs: []
  }
  printMachine(report)
  for (const full of wanted) {
    const job = await runAll(scaled(full, options.scale), options)
    if (job === undefined) continue
    report.jobs.push(job)
    console.log(`\n${jobTable(job)}`)
    write(values.json, report)
  }
  finish(report, values)
  if (report.jobs.some(({ rows }) => rows.some(failed))) process.exitCode = 1
}

/** All contestants of a job, in turn. */
async function runAll(job, options) {
  const list = contestants(options, job)
  if (list.length === 0) return undefined
  const runs = list.map(() => [])
  const rounds = Math.ceil(options.rounds * job.repeat)
  for (let round = 1; round <= rounds; round++) {
    for (const [i, contestant] of list.entries()) {
      const its = sharedWith(contestant.peer, job)
      progress(`${job.id}, round ${round} of ${rounds}: ${contestant.name}`)
      runs[i].push(await run(contestant, its, options))
    }
  }
  progress('')
  const rows = list.map(({ id, name, peer, style }, i) => ({
    id,
    name,
    peer: peer.id,
    style,
    count: sharedWith(peer, job).count,
    runs: runs[i]
  }))
  const { id, title, pattern, transport, size, count, warmup } = job
  return { id, title, pattern, transport, size, count, warmup, rows }
}

async function run(contestant, job, options) {
  try {
    const other = others[job.pattern]
    return await (other?.(contestant, job) ?? runJob(contestant, job, options))
  } catch (error) {
    return { error: error.message }
  }
}

async function printProfiles(wanted, options) {
  for (const full of wanted) {
    if (full.pattern in others) continue
    const job = scaled(full, options.scale)
    for (const contestant of contestants(options, job)) {
      const { inNode, oneProcess } = contestant.peer
      // A worker that ends has no time to write its profile.
      if (!inNode || oneProcess) continue
      console.log(`\n### ${job.title}: ${contestant.name}\n`)
      console.log(await profile(contestant, sharedWith(contestant.peer, job)))
    }
  }
}

function finish(report, { json, publish }) {
  const table = targetTable(report.jobs)
  if (table) console.log(`\n${table}`)
  for (const job of report.jobs)
    for (const row of job.rows) row.figure = figure(job, row)
  write(json, report)
  const drawn = plots(report.jobs)
  draw(json.replace(/\.json$/, ''), drawn)
  if (!publish) return
  write(join(results, 'published.json'), report)
  draw(join(results, 'published'), drawn)
}

function draw(prefix, drawn) {
  for (const [name, svg] of drawn) writeFileSync(`${prefix}-${name}.svg`, svg)
}

function write(file, report) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
}

function printMachine(report) {
  const { rounds, scale } = report.options
  console.log(machineLine(report.machine))
  console.log(
    `${report.date}; ${rounds} rounds, scale ${scale}, load ${report.load} at the start`
  )
}

function progress(text) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function failed({ runs }) {
  return runs.some(({ error }) => error !== undefined)
}

function known(what, names, list) {
  const ids = list.map(({ id }) => id)
  for (const name of names)
    if (!ids.includes(name))
      throw new Error(`no ${what} ${name}; there are ${ids.join(', ')}`)
  return names
}

function positive(name, text) {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${name} must be a positive number`)
  return value
}

main().catch((error) => {
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
})
