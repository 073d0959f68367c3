// Whether what a process held stayed the same: the median of the last third of
// the samples against that of the first, after a while to warm up.

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
  // Peers and workers come and go, each with some.
  descriptors: { title: 'Open descriptors', unit: 1, share: 0, more: 3 },
  threads: { title: 'Threads', unit: 1, share: 0, more: 1 }
}

const WARM_UP = 0.15

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]
}

/** The samples that count. */
export function warm(samples) {
  return samples.slice(Math.floor(samples.length * WARM_UP))
}

/** For each that is watched: its medians, the bound, and whether it held. */
export function judge(samples) {
  const rest = warm(samples)
  const third = Math.floor(rest.length / 3)
  if (third === 0) throw new Error(`${samples.length} samples are too few`)
  return Object.entries(watched).map(([name, { share, more }]) => {
    const values = rest.map((sample) => sample[name])
    const first = median(values.slice(0, third))
    const last = median(values.slice(-third))
    const bound = first * (1 + share) + more
    return { name, first, last, bound, holds: last <= bound }
  })
}
