// Whether what a process held stayed the same: the median of the last third of
// the samples against that of the first, after a while to warm up. Descriptors
// and threads also come and go with peers, the more the slower the machine is at
// the time; what is left behind shows where they are few: in the lowest tenth.

const MIB = 2 ** 20

/** What is watched, in which unit, and by how much it may be more at the end. */
export const watched = {
  // Pages that an allocator keeps come and go with what happens at once.
  rss: { title: 'Resident memory, MiB', unit: MIB, share: 0.1, more: 4 * MIB },
  heapUsed: {
    title: 'Heap in use after gc, MiB',
    unit: MIB,
    share: 0.05,
    more: 0.5 * MIB
  },
  external: {
    title: 'External memory, MiB',
    unit: MIB,
    share: 0.05,
    more: 2 * MIB
  },
  descriptors: {
    title: 'Open descriptors',
    unit: 1,
    share: 0,
    more: 3,
    rank: 0.1
  },
  threads: { title: 'Threads', unit: 1, share: 0, more: 1, rank: 0.1 }
}

const WARM_UP = 0.15

function ranked(values, rank) {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length * rank)]
}

/** The samples that count. */
export function warm(samples) {
  return samples.slice(Math.floor(samples.length * WARM_UP))
}

/** For each that is watched: what it was, and whether it is within its bound. */
export function judge(samples) {
  const rest = warm(samples)
  const third = Math.floor(rest.length / 3)
  if (third === 0) throw new Error(`${samples.length} samples are too few`)
  return Object.entries(watched).map(([name, { share, more, rank = 0.5 }]) => {
    const values = rest.map((sample) => sample[name])
    const first = ranked(values.slice(0, third), rank)
    const last = ranked(values.slice(-third), rank)
    const bound = first * (1 + share) + more
    return { name, first, last, bound, holds: last <= bound }
  })
}
