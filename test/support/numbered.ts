/**
 * Messages that say who sent them and which one it is, and show if a byte of
 * them is not what it was. Its source is all that it needs: other processes
 * are given that.
 */
export function numbered() {
  const HEADER = 10
  const pattern = Buffer.alloc(2 ** 20 + 256)
  for (let i = 0; i < pattern.length; i++) pattern[i] = i * 167 + (i >> 8) * 13
  const body = (sender: number, number: number, size: number) => {
    const start = (number * 37 + sender * 101) % 251
    return pattern.subarray(start, start + size - HEADER)
  }
  return {
    make(sender: number, number: number, size: number): Buffer {
      const message = Buffer.allocUnsafe(size)
      message.writeUInt16LE(sender, 0)
      message.writeUInt32LE(number, 2)
      message.writeUInt32LE(size, 6)
      body(sender, number, size).copy(message, HEADER)
      return message
    },
    /** Who sent it, and which it is; throws if it is not whole. */
    check(message: Buffer): [sender: number, number: number] {
      const sender = message.readUInt16LE(0)
      const number = message.readUInt32LE(2)
      if (
        message.readUInt32LE(6) !== message.length ||
        !body(sender, number, message.length).equals(message.subarray(HEADER))
      ) {
        throw new Error(`message ${number} of ${sender} is torn`)
      }
      return [sender, number]
    },
    /** From 10 bytes to a megabyte, small ones most of the time. */
    size(random: () => number): number {
      const kind = random()
      if (kind < 0.6) return HEADER
      if (kind < 0.85) return HEADER + Math.floor(random() * 10_000)
      if (kind < 0.97) return HEADER + Math.floor(random() * 140_000)
      return 2 ** 20
    }
  }
}

export type Numbered = ReturnType<typeof numbered>
