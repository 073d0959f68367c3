/** Sorts the values; of none, everything is NaN. */
export function summary(values) {
  const sorted = Float64Array.from(values).sort()
  const at = (q) => quantile(sorted, q)
  return {
    count: sorted.length,
    min: at(0),
    p50: at(0.5),
    p99: at(0.99),
    max: at(1)
  }
}

/** Interpolated between the two nearest values. */
function quantile(sorted, q) {
  if (sorted.length === 0) return NaN
  const place = (sorted.length - 1) * q
  const low = Math.floor(place)
  const high = Math.ceil(place)
  return sorted[low] + (sorted[high] - sorted[low]) * (place - low)
}

export function median(values) {
  return summary(values).p50
}
