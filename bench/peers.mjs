// Who takes part, and how an end of each is started.

import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const home = dirname(fileURLToPath(import.meta.url))
export const root = dirname(home)
export const cmakeDir = join(root, 'build-bench')

const endpoint = join(home, 'node', 'endpoint.mjs')

function inNode(module, env = {}) {
  return {
    inNode: true,
    module,
    env,
    command: (nodeOptions) => [
      process.execPath,
      ...nodeOptions,
      endpoint,
      module
    ]
  }
}

function inC(program) {
  return {
    inNode: false,
    env: {},
    command: () => [join(cmakeDir, 'bench', program)]
  }
}

const ours = {
  recv: 'recv()',
  iterate: 'for await',
  many: 'recvMany()',
  message: 'on message'
}

/**
 * In the order in which they take turns. `styles` are the ways to receive;
 * `patterns`, the jobs that it is for, if not for all;
 * `descriptors`, how many open files a socket needs on average, half of them
 * listening.
 */
export const peers = [
  {
    id: 'nng-pair',
    name: 'nng-pair',
    styles: ours,
    descriptors: 1.5,
    ...inNode('nng-pair')
  },
  {
    id: 'asking',
    name: 'nng-pair',
    styles: {
      early: 'recv first',
      loop: 'read loop',
      two: 'two open'
    },
    patterns: ['roundtrip'],
    ...inNode('nng-pair')
  },
  {
    id: 'asleep',
    name: 'asleep',
    styles: { recv: ours.recv },
    patterns: ['roundtrip'],
    ...inNode('nng-pair', { NNG_PAIR_BUSY_POLL_US: '0' })
  },
  ...['workers', 'processes'].map((id) => ({
    id,
    name: id,
    styles: { recv: ours.recv },
    patterns: ['threads', 'beside'],
    ...inNode('nng-pair')
  })),
  {
    id: 'thread',
    name: 'threaded',
    styles: ours,
    descriptors: 1.5,
    ...inNode('nng-pair', { NNG_PAIR_DRIVER: 'thread' })
  },
  {
    id: 'net',
    name: 'node:net',
    styles: { callback: '', await: 'await' },
    descriptors: 1.5,
    ...inNode('node-net')
  },
  {
    id: 'zeromq',
    name: 'zeromq.js',
    styles: { recv: 'receive()', iterate: 'for await' },
    descriptors: 2.5,
    ...inNode('zeromq')
  },
  {
    id: 'nng',
    name: 'NNG in C',
    styles: { blocking: '' },
    ...inC('nng_peer')
  },
  {
    id: 'raw',
    name: 'sockets in C',
    styles: { blocking: '' },
    ...inC('raw_peer')
  }
]

// What a peer does if it has no promises, or could do without: always shown.
const PLAIN = ['callback', 'blocking']

/** The rows of a job's table: every peer in each of its styles that is wanted. */
export function contestants({ peers: ids, styles }, job) {
  const takesPart = (style) =>
    PLAIN.includes(style) ||
    (styles.includes(style) && (job.styles?.includes(style) ?? true))
  return peers
    .filter(
      ({ id, inNode, patterns }) =>
        ids.includes(id) &&
        (inNode || !job.nodeOnly) &&
        (patterns?.includes(job.pattern) ?? true) &&
        (job.peers?.includes(id) ?? true)
    )
    .flatMap((peer) =>
      Object.keys(peer.styles)
        .filter(takesPart)
        .map((style) => ({
          id: `${peer.id}/${style}`,
          name: [peer.name, peer.styles[style]].filter(Boolean).join(', '),
          peer,
          style
        }))
    )
}
