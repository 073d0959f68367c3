// Reads of a 64-bit little-endian ELF library what a loader would: what it needs, exports and asks for.

const SECTION = { dynamic: 6, symbols: 11, versions: 0x6ffffffe }
const TAG = { needed: 1, flags: 30, flags1: 0x6ffffffb }

export function readElf(file) {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1) {
    throw new Error('not a 64-bit little-endian ELF file')
  }
  const sections = readSections(file)
  const dynamic = readDynamic(file, sections)
  return {
    needed: dynamic.needed,
    flags: dynamic.flags,
    flags1: dynamic.flags1,
    versions: readVersions(file, sections),
    exports: readExports(file, sections)
  }
}

function readSections(file) {
  const at = u64(file, 40)
  const size = file.readUInt16LE(58)
  const count = file.readUInt16LE(60)
  return Array.from({ length: count }, (_, i) => {
    const header = at + i * size
    return {
      type: file.readUInt32LE(header + 4),
      offset: u64(file, header + 24),
      size: u64(file, header + 32),
      link: file.readUInt32LE(header + 40),
      info: file.readUInt32LE(header + 44)
    }
  })
}

function* table(sections, type, entrySize) {
  const section = sections.find((candidate) => candidate.type === type)
  if (section === undefined) return
  for (let at = 0; at < section.size; at += entrySize) {
    yield [section.offset + at, sections[section.link]]
  }
}

function readDynamic(file, sections) {
  const found = { needed: [], flags: 0, flags1: 0 }
  for (const [at, strings] of table(sections, SECTION.dynamic, 16)) {
    const tag = u64(file, at)
    const value = u64(file, at + 8)
    if (tag === TAG.needed) found.needed.push(text(file, strings, value))
    if (tag === TAG.flags) found.flags = value
    if (tag === TAG.flags1) found.flags1 = value
  }
  return found
}

function readExports(file, sections) {
  const names = []
  for (const [at, strings] of table(sections, SECTION.symbols, 24)) {
    const local = file[at + 4] >> 4 === 0
    const defined = file.readUInt16LE(at + 6) !== 0
    if (defined && !local) {
      names.push(text(file, strings, file.readUInt32LE(at)))
    }
  }
  return names.sort()
}

function readVersions(file, sections) {
  const section = sections.find(({ type }) => type === SECTION.versions)
  if (section === undefined) return []
  const strings = sections[section.link]
  const names = []
  let need = section.offset
  for (let i = 0; i < section.info; i++) {
    let version = need + file.readUInt32LE(need + 8)
    for (let j = file.readUInt16LE(need + 2); j > 0; j--) {
      names.push(text(file, strings, file.readUInt32LE(version + 8)))
      version += file.readUInt32LE(version + 12)
    }
    need += file.readUInt32LE(need + 12)
  }
  return names
}

function text(file, strings, index) {
  const start = strings.offset + index
  return file.toString('latin1', start, file.indexOf(0, start))
}

// Tags in the operating system's range fit into 32 bits, so a double holds all.
function u64(file, at) {
  return Number(file.readBigUInt64LE(at))
}
