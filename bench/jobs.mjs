// What is measured.

const KiB = 1024
const MiB = 1024 * KiB

// Whether nng-pair's threads get in each other's way: for its workers, beside as many processes.
const BESIDE = ['workers', 'processes']

// So many messages that the slowest peer needs a few seconds, and that the just-in-time compiler was done
// long before; `repeat` is how many runs a round has.
const patterns = [
  {
    pattern: 'roundtrip',
    title: 'round trip',
    // It depends on where the kernel puts the two processes: many short runs.
    repeat: 3,
    styles: ['recv', 'early', 'loop', 'two'],
    counts: { 64: 30_000, [4 * KiB]: 30_000 }
  },
  {
    pattern: 'oneway',
    title: 'one way',
    repeat: 1,
    counts: {
      64: 3_000_000,
      [KiB]: 500_000,
      [64 * KiB]: 40_000,
      [MiB]: 3_000
    }
  },
  {
    pattern: 'duplex',
    title: 'both ways at once',
    repeat: 1,
    counts: { [KiB]: 300_000 }
  },
  {
    pattern: 'fairness',
    title: 'delays under a flood',
    repeat: 0.4,
    nodeOnly: true,
    counts: { 64: 1_000_000 }
  },
  {
    pattern: 'idle',
    title: 'idle sockets',
    repeat: 0.4,
    styles: ['recv'],
    nodeOnly: true,
    counts: { 0: 10_000 }
  },
  ...[2, 4].map((threads) => ({
    pattern: 'threads',
    name: `threads${threads}`,
    title: `${threads} streams, each in a thread`,
    threads,
    repeat: 1,
    styles: ['recv'],
    peers: BESIDE,
    counts: { 64: 600_000, [64 * KiB]: 10_000 }
  })),
  {
    pattern: 'beside',
    title: 'round trip beside a stream',
    repeat: 1,
    styles: ['recv'],
    peers: BESIDE,
    counts: { 64: 20_000, [64 * KiB]: 20_000, [4 * MiB]: 20_000 }
  }
]

export const jobs = patterns.flatMap(({ counts, title, ...rest }) =>
  Object.entries(counts).flatMap(([key, count]) =>
    ['ipc', 'tcp'].map((transport) => {
      const size = Number(key)
      return {
        ...rest,
        id: [rest.name ?? rest.pattern, transport, sizeName(size, '')]
          .filter(Boolean)
          .join('/'),
        title: [title, sizeName(size, ' '), transport]
          .filter(Boolean)
          .join(', '),
        transport,
        size,
        count
      }
    })
  )
)

/** The job as a peer does it: one that is much slower has a share of a stream's messages. */
export function sharedWith({ share = 1 }, job) {
  return job.pattern === 'roundtrip' ? job : scaled(job, share)
}

/** A job with another number of messages; with fewer sockets only if it has to be quick. */
export function scaled(job, factor) {
  if (job.pattern === 'idle' && factor > 0.1) return job
  const count = Math.max(100, Math.round(job.count * factor))
  return { ...job, count, warmup: Math.ceil(count / warmupShare(job)) }
}

// Where most of the time is the program's own, it takes a million messages until all of it is compiled.
function warmupShare({ pattern, size }) {
  if (['roundtrip', 'threads', 'beside'].includes(pattern)) return 3
  return pattern === 'oneway' && size === 64 ? 2 : 10
}

function sizeName(size, space) {
  if (size === 0) return ''
  if (size >= MiB) return `${size / MiB}${space}MiB`
  return size >= KiB ? `${size / KiB}${space}KiB` : `${size}${space}B`
}
