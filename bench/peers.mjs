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

const STREAMS = ['roundtrip', 'oneway', 'duplex']

/**
 * In the order in which they take turns. `styles` are the ways to receive;
 * `patterns`, the jobs that it is for, if not for all;
 * `share`, how much of a stream's messages is enough of them, for one that is much slower;
 * `transports`, those in whose tables it is, if it has a channel of its own;
 * `startsDialer`, for one whose listener has to start the other end;
 * `oneProcess`, for one whose ends are threads of a process;
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
    id: 'ws',
    name: 'ws',
    styles: { callback: '' },
    share: 1 / 6,
    patterns: STREAMS,
    ...inNode('ws')
  },
  {
    id: 'process-send',
    name: 'process.send',
    styles: { advanced: 'advanced', json: 'JSON' },
    share: 1 / 6,
    patterns: STREAMS,
    transports: ['ipc'],
    startsDialer: true,
    ...inNode('process-send')
  },
  {
    id: 'message-port',
    name: 'MessagePort',
    styles: { callback: '' },
    patterns: STREAMS,
    transports: ['ipc'],
    startsDialer: true,
    oneProcess: true,
    ...inNode('message-port')
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
const PLAIN = ['callback', 'advanced', 'json', 'blocking']

/** The rows of a job's table: every peer in each of its styles that is wanted. */
export function contestants({ peers: ids, styles }, job) {
  const takesPart = (style) =>
    PLAIN.includes(style) ||
    (styles.includes(style) && (job.styles?.includes(style) ?? true))
  return peers
    .filter(
      ({ id, inNode, patterns, transports }) =>
        ids.includes(id) &&
        (inNode || !job.nodeOnly) &&
        (patterns?.includes(job.pattern) ?? true) &&
        (transports?.includes(job.transport) ?? true) &&
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
