/** Counts messages, and notices when one is lost, cut or shifted. */
export class Tally {
  #left
  #count
  #bytes = 0
  #ends = 0

  constructor(count) {
    this.#left = count
    this.#count = count
  }

  get left() {
    return this.#left
  }

  /** Returns true with the last message. */
  add(message) {
    const { length } = message
    this.#bytes += length
    this.#ends += message[0] + message[length - 1]
    return --this.#left === 0
  }

  /** The same of a text. */
  addText(text) {
    const { length } = text
    this.#bytes += length
    this.#ends += text.charCodeAt(0) + text.charCodeAt(length - 1)
    return --this.#left === 0
  }

  verify(payload) {
    const { length } = payload
    const ends = payload[0] + payload[length - 1]
    if (
      this.#left !== 0 ||
      this.#bytes !== this.#count * length ||
      this.#ends !== this.#count * ends
    )
      throw new Error(
        `not what was sent: ${this.#count - this.#left} messages of ${this.#count}, ${this.#bytes} bytes`
      )
  }
}
