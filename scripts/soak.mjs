// npm run soak -- [--seconds N] [--interval MS] [--csv FILE] [--plot FILE.svg]
//                 [--plant memory,heap,descriptors,threads,loss]
//
// One process lives as long as you have time for, an hour unless it is said,
// while everything around it comes and goes: processes and workers that stay,
// leave, or are killed, and strangers. It makes every call that there is. At
// the end it must hold no more than at the beginning, and no message may be
// missing that was promised. Linux only: it reads /proc.
//
// --plant leaves some of these behind on purpose, with each sample, or loses a
// message: then it fails.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { plot } from './soak/plot.mjs'
import { knock } from './soak/strangers.mjs'
import { judge, watched } from './soak/verdict.mjs'

const PLANTS = ['memory', 'heap', 'descriptors', 'threads', 'loss']
// How long the last messages may take, on a slow machine.
const END_WITHIN_MS = 60_000

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3600' },
    interval: { type: 'string', default: '1000' },
    csv: {
      type: 'string',
      default: path.join(os.tmpdir(), `nng-pair-soak-${process.pid}.csv`)
    },
    plot: { type: 'string' },
    plant: { type: 'string', default: '' }
  }
})

function positive(name) {
  const value = Number(values[name])
  if (!(value > 0)) {
    throw new Error(`--${name} is a positive number, not ${values[name]}`)
  }
  return value
}

const seconds = positive('seconds')
const interval = positive('interval')
const plants = values.plant.split(',').filter(Boolean)
for (const plant of plants) {
  if (!PLANTS.includes(plant)) {
    throw new Error(`--plant takes ${PLANTS.join(', ')}`)
  }
}

let over = false
const counts = { left: 0, killed: 0, strangers: 0 }

function script(name) {
  return fileURLToPath(new URL(`soak/${name}`, import.meta.url))
}

/** A process that is not to outlive this one. */
function start(file, args, execArgv = []) {
  const child = fork(script(file), args, { execArgv })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  return child
}

async function succeeds(what, child) {
  const [code, signal] = await once(child, 'exit')
  if (code !== 0) throw new Error(`${what}: exit code ${code}, ${signal}`)
}

// What comes and goes.

const around = {
  async stays(url) {
    await succeeds(
      'the peer that stays',
      start('peer.mjs', ['stays', url, '1'])
    )
  },

  async leaves(url) {
    for (let sender = 1; !over; sender++) {
      const child = start('peer.mjs', ['leaves', url, String(sender)])
      await succeeds('a peer that leaves', child)
      counts.left++
    }
  },

  async floods(url) {
    for (let sender = 1; !over; sender++) {
      const child = start('peer.mjs', ['floods', url, String(sender)])
      const exit = once(child, 'exit')
      await sleep(200 + Math.random() * 3000)
      child.kill('SIGKILL')
      const [, signal] = await exit
      if (signal !== 'SIGKILL') throw new Error('a peer has ended by itself')
      counts.killed++
    }
  },

  // The watched process starts and ends them.
  async works() {}
}

async function strangers(url) {
  while (!over) {
    await knock(url)
    counts.strangers++
    await sleep(Math.random() * 200)
  }
}

/** Calls back with what the watched process says, by its kind. */
function startWatched(listeners) {
  const options = JSON.stringify({ interval, plants })
  const child = start('watched.mjs', [options], ['--expose-gc'])
  child.on('message', (message) => {
    const [[kind, value]] = Object.entries(message)
    listeners[kind](value)
  })
  return child
}

const samples = []
const columns = [
  'seconds',
  ...Object.keys(watched),
  'messages',
  'connections',
  'rejects',
  'exchanges'
]

// Written as they come: those of a soak that fails are wanted most.
const csv = fs.openSync(values.csv, 'w')
const writeRow = (cells) => fs.writeSync(csv, cells.join() + '\n')
writeRow(columns)
console.log(`samples: ${values.csv}`)

function onSample(sample) {
  writeRow(columns.map((name) => sample[name]))
  if (samples.push(sample) % Math.ceil(60_000 / interval) !== 0) return
  const mib = (bytes) => (bytes / 2 ** 20).toFixed(1)
  console.log(
    `${Math.round(sample.seconds)} s: ${mib(sample.rss)} MiB resident, ` +
      `${mib(sample.heapUsed)} of heap, ${sample.descriptors} descriptors, ` +
      `${sample.threads} threads; ${sample.messages} messages`
  )
}

/** Fails if a promise does; it does not matter when that is fulfilled. */
function unlessFails(promise) {
  return promise.then(() => new Promise(() => {}))
}

async function timeIsUp(ms, error) {
  await sleep(ms, undefined, { ref: false })
  throw error
}

/**
 * Lets everything come and go, and fails if a message is missing. Returns how
 * many descriptors were open before it and after it, with every socket closed.
 */
async function soak() {
  let onHosts
  let onEnd
  const listening = new Promise((resolve) => (onHosts = resolve))
  const ending = new Promise((resolve) => (onEnd = resolve))
  const child = startWatched({ hosts: onHosts, end: onEnd, sample: onSample })
  const ended = succeeds('the watched process', child)

  const run = async () => {
    const hosts = await listening
    const peers = hosts.map(({ mode, url }) => around[mode](url))
    const knocking = Promise.all(hosts.map(({ url }) => strangers(url)))
    const failing = [...peers, knocking].map(unlessFails)
    await Promise.race([sleep(seconds * 1000), ...failing])
    over = true
    await knocking
    // Those that stay have the watched one's last message to come.
    await Promise.all(peers.filter((_, i) => hosts[i].mode !== 'stays'))
    child.send('over')
    await Promise.all([ended, ...peers])
    const { ends, atRest } = await ending
    const wholes = ends.filter((_, i) => hosts[i].mode === 'leaves')
    const whole = wholes.reduce((sum, count) => sum + count, 0)
    if (whole !== counts.left) {
      throw new Error(`of ${counts.left} that left, ${whole} arrived whole`)
    }
    return atRest
  }
  const late = new Error('it does not come to an end')
  return Promise.race([
    run(),
    unlessFails(ended),
    timeIsUp(seconds * 1000 + END_WITHIN_MS, late)
  ])
}

function title() {
  const minutes = Math.floor(seconds / 60)
  return `A soak of ${minutes > 1 ? `${minutes} minutes` : `${seconds} seconds`}`
}

/** What came and went. */
function details() {
  const { messages, connections, rejects, exchanges } = samples.at(-1)
  const figures = [
    [messages, 'messages received'],
    [connections, `peers (${counts.left} left, ${counts.killed} killed)`],
    [exchanges * 2, 'short-lived sockets'],
    [counts.strangers, 'strangers'],
    [rejects, 'rejects']
  ]
  return figures
    .map(([count, what]) => `${count.toLocaleString('en')} ${what}`)
    .join(', ')
}

const [before, after] = await soak()
const verdict = judge(samples)
console.log(`${title()}: ${details()}`)
for (const { name, first, last, bound, holds } of verdict) {
  const { title, unit } = watched[name]
  const [a, b, c] = [first, last, bound].map((value) =>
    (value / unit).toFixed(unit === 1 ? 0 : 1)
  )
  const word = holds ? 'flat' : 'GROWS'
  console.log(`${word}: ${title}: ${a} at first, ${b} at last, at most ${c}`)
}
const restHolds = after <= before
console.log(
  `${restHolds ? 'flat' : 'GROWS'}: Descriptors at rest: ` +
    `${before} at first, ${after} at last`
)
if (values.plot !== undefined) {
  fs.writeFileSync(values.plot, plot(title(), details(), verdict, samples))
}
process.exit(restHolds && verdict.every(({ holds }) => holds) ? 0 : 1)
