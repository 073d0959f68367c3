// What the figures were measured on.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import * as os from 'node:os'
import { join } from 'node:path'
import { home, root } from './peers.mjs'

export function machine() {
  const cpus = os.cpus()
  return {
    cpu: cpus[0]?.model ?? 'unknown',
    cores: cpus.length,
    memory: `${Math.round(os.totalmem() / 2 ** 30)} GiB`,
    system: `${os.type()} ${os.release()}`,
    node: process.version,
    'nng-pair': version(join(root, 'package.json')),
    'zeromq.js': version(join(home, 'node_modules', 'zeromq', 'package.json')),
    ws: version(join(home, 'node_modules', 'ws', 'package.json')),
    nng: version(join(root, 'deps', 'nng.json'))
  }
}

function version(file) {
  try {
    return createRequire(import.meta.url)(file).version
  } catch {
    return undefined
  }
}

export function machineLine({ cpu, cores, system, node, ...versions }) {
  const others = Object.entries(versions)
    .filter(([name, value]) => name !== 'memory' && value !== undefined)
    .map(([name, value]) => `${name} ${value}`)
  return [`${cpu}, ${cores} cores`, system, `Node ${node}`, ...others].join(
    '; '
  )
}

/** How busy the machine is with other things: the load of the last minute. */
export function load() {
  try {
    return Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0])
  } catch {
    return os.loadavg()[0]
  }
}
