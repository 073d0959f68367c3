// Names come from the program, and so there are few. But they may be data.
const MOST = 100

const told = new Set<string>()

/** How many letters one has to change, add or leave out, to get the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = a[i - 1] === b[j - 1] ? 0 : 1
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + changed))
    }
    row = next
  }
  return row[b.length]!
}

/** The name that was meant, if that can be told. */
function meant(name: string, known: readonly string[]): string | undefined {
  const close = known
    .map((other) => ({
      other,
      far: distance(name.toLowerCase(), other.toLowerCase())
    }))
    .filter(({ far }) => far <= 2)
    .sort((a, b) => a.far - b.far)
  return close[0]?.other
}

/**
 * An option that does not exist has no effect, which is hard to find where it
 * is misspelt: the process is warned, once of each name.
 */
export function warnOfUnknown(name: string, known: readonly string[]): void {
  if (told.size >= MOST || told.has(name)) return
  told.add(name)
  const guess = name.length > 50 ? undefined : meant(name, known)
  process.emitWarning(
    `nng-pair has no option '${name}' here` +
      (guess === undefined ? '' : `; did you mean '${guess}'?`),
    { code: 'NNG_PAIR_UNKNOWN_OPTION' }
  )
}
