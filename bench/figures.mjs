// What the runs of a row come to.

import { summary } from './statistics.mjs'

/** Which figure of a run is the job's, and whether more of it is better. */
const measures = {
  roundtrip: { unit: 'µs', pick: ({ dialer }) => dialer.p50 },
  oneway: {
    unit: 'messages/s',
    more: true,
    pick: ({ listener }) => listener.rate
  },
  duplex: {
    unit: 'messages/s',
    more: true,
    pick: ({ listener }) => listener.rate
  },
  fairness: {
    unit: 'ms',
    pick: ({ listener }) => listener.delays.immediate.p99
  },
  idle: { unit: 'KiB', pick: ({ kib }) => kib },
  threads: { unit: 'messages/s', more: true, pick: ({ rate }) => rate },
  beside: { unit: 'µs', pick: ({ p50 }) => p50 }
}

export const unit = ({ pattern }) => measures[pattern].unit

/** Median and extremes over the runs that did not fail. */
export function over(row, pick) {
  const { p50, min, max, count } = summary(
    row.runs.filter((run) => run.error === undefined).map(pick)
  )
  return { median: p50, min, max, count }
}

export function figure(job, row) {
  return over(row, measures[job.pattern].pick)
}

/** CPU time of both ends for each message, in microseconds. */
export function cpuPerMessage(job, row) {
  const { count = job.count } = row
  const messages = job.pattern === 'duplex' ? 2 * count : count
  return over(
    row,
    ({ listener, dialer }) => ((listener.cpu + dialer.cpu) / messages) * 1e6
  ).median
}

/** How many times the other's figure this one is, or some other value of a run. */
export function ratio(job, row, other, pick = measures[job.pattern].pick) {
  return over(row, pick).median / over(other, pick).median
}

/** The best row of some. */
export function best(job, rows) {
  const sign = measures[job.pattern].more ? -1 : 1
  const [first] = rows
    .filter((row) => figure(job, row).count > 0)
    .sort((a, b) => sign * (figure(job, a).median - figure(job, b).median))
  return first
}
