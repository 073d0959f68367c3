// Applies a unified diff, strictly: every hunk must match without fuzz, at its own line or at the
// only place where it fits. `patch` and `git` are not on every machine that builds this package.

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@/

export function parseDiff(text) {
  const lines = text.split('\n')
  const files = []
  let at = 0
  while (at < lines.length) {
    // A mail-like preamble may hold anything; only a ---/+++ pair opens a file.
    if (!lines[at].startsWith('--- ') || !lines[at + 1]?.startsWith('+++ ')) {
      at++
      continue
    }
    const file = {
      from: fileName(lines[at]),
      to: fileName(lines[at + 1]),
      hunks: []
    }
    at += 2
    for (let head; (head = HUNK.exec(lines[at] ?? ''));) {
      const hunk = { line: Number(head[1]), old: [], new: [] }
      const oldCount = Number(head[2] ?? 1)
      const newCount = Number(head[3] ?? 1)
      at++
      while (hunk.old.length < oldCount || hunk.new.length < newCount) {
        const line = lines[at++]
        if (line === undefined)
          throw new Error(`${file.to}: the diff ends inside a hunk`)
        const kind = line[0] ?? ' '
        if (!' +-'.includes(kind))
          throw new Error(`${file.to}: not a diff line: ${line}`)
        if (kind !== '+') hunk.old.push(line.slice(1))
        if (kind !== '-') hunk.new.push(line.slice(1))
      }
      if (hunk.old.length !== oldCount || hunk.new.length !== newCount)
        throw new Error(
          `${file.to}: the hunk at line ${hunk.line} has the wrong length`
        )
      file.hunks.push(hunk)
    }
    if (file.hunks.length === 0) throw new Error(`${file.to}: no hunks`)
    files.push(file)
  }
  if (files.length === 0) throw new Error('no changes in it')
  return files
}

export function applyHunks(text, hunks, name) {
  const lines = text.split('\n')
  let done = 0 // lines up to here are final
  let shift = 0
  for (const hunk of hunks) {
    const stated = Math.max(hunk.line - 1, 0) + shift
    const fits = (start) =>
      start >= done && hunk.old.every((line, i) => lines[start + i] === line)
    let start = stated
    if (!fits(stated)) {
      const places = [...lines.keys()].filter(fits)
      if (hunk.old.length === 0 || places.length !== 1)
        throw new Error(
          `${name}: the hunk at line ${hunk.line} fits in ${places.length} places`
        )
      start = places[0]
    }
    lines.splice(start, hunk.old.length, ...hunk.new)
    done = start + hunk.new.length
    shift = start - (hunk.line - 1) + hunk.new.length - hunk.old.length
  }
  return lines.join('\n')
}

function fileName(header) {
  const name = header.slice(4).split('\t')[0].trimEnd()
  if (name === '/dev/null') return undefined
  const path = name.replace(/^[ab]\//, '')
  if (path.startsWith('/') || path.split('/').includes('..'))
    throw new Error(`unsafe path ${name}`)
  return path
}
