// Messages over a `node:net` socket: four bytes of length, then the body. Small messages leave in one
// write per tick, or sooner when a chunk of them is full; large ones are written from where they are.
// What arrives is handed out as views of the chunks that Node has read; only a message that is spread
// over several is put together in a buffer of its own.

const HEADER = 4
const CHUNK = 64 * 1024
const COPY_LIMIT = 16 * 1024
const MAX_LENGTH = 64 * 1024 * 1024

export class Framing {
  /** Called with each message. */
  onmessage = () => {}

  #socket

  #chunk
  #used = 0
  #spare = []
  #scheduled = false
  #flushLater = () => {
    this.#scheduled = false
    this.#flush()
  }

  #head = 0
  #headLength = 0
  #body
  #filled = 0

  constructor(socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#onData(chunk))
  }

  /** Returns false when the sender should wait for `drained()`. */
  send(message) {
    const { length } = message
    if (length > COPY_LIMIT) return this.#sendLarge(message)
    let at = this.#used
    if (at + HEADER + length > CHUNK) {
      this.#flush()
      at = 0
    }
    this.#chunk ??= this.#spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK)
    writeLength(this.#chunk, at, length)
    this.#chunk.set(message, at + HEADER)
    this.#used = at + HEADER + length
    if (!this.#scheduled) {
      this.#scheduled = true
      process.nextTick(this.#flushLater)
    }
    return !this.#socket.writableNeedDrain
  }

  #sendLarge(message) {
    const header = Buffer.allocUnsafe(HEADER)
    writeLength(header, 0, message.length)
    this.#flush()
    this.#socket.cork()
    this.#socket.write(header)
    this.#socket.write(message)
    this.#socket.uncork()
    return !this.#socket.writableNeedDrain
  }

  drained() {
    return new Promise((resolve) => {
      if (this.#socket.writableNeedDrain) this.#socket.once('drain', resolve)
      else resolve()
    })
  }

  #flush() {
    if (this.#used === 0) return
    const chunk = this.#chunk
    const used = this.#used
    this.#chunk = undefined
    this.#used = 0
    this.#socket.write(chunk.subarray(0, used), () => {
      if (this.#spare.length < 4) this.#spare.push(chunk)
    })
  }

  #onData(chunk) {
    const end = chunk.length
    let at = 0
    if (this.#body !== undefined) at = this.#fill(chunk, 0)
    while (at < end) {
      if (this.#headLength > 0 || end - at < HEADER) {
        at = this.#readHeaderBytes(chunk, at)
        continue
      }
      const length = readLength(chunk, at)
      const start = at + HEADER
      if (start + length > end) {
        at = this.#begin(length, chunk, start)
        continue
      }
      at = start + length
      this.onmessage(chunk.subarray(start, at))
    }
  }

  /** A length that is spread over two chunks, byte by byte. */
  #readHeaderBytes(chunk, at) {
    while (at < chunk.length && this.#headLength < HEADER) {
      this.#head = ((this.#head << 8) | chunk[at++]) >>> 0
      this.#headLength++
    }
    if (this.#headLength < HEADER) return at
    const length = this.#head
    this.#head = 0
    this.#headLength = 0
    return this.#begin(length, chunk, at)
  }

  #begin(length, chunk, at) {
    if (length > MAX_LENGTH) throw new Error(`a message of ${length} bytes`)
    this.#body = Buffer.allocUnsafe(length)
    this.#filled = 0
    return this.#fill(chunk, at)
  }

  #fill(chunk, at) {
    const body = this.#body
    const taken = chunk.copy(body, this.#filled, at)
    this.#filled += taken
    if (this.#filled === body.length) {
      this.#body = undefined
      this.onmessage(body)
    }
    return at + taken
  }
}

function writeLength(buffer, at, length) {
  buffer[at] = length >>> 24
  buffer[at + 1] = length >>> 16
  buffer[at + 2] = length >>> 8
  buffer[at + 3] = length
}

function readLength(buffer, at) {
  return (
    ((buffer[at] << 24) |
      (buffer[at + 1] << 16) |
      (buffer[at + 2] << 8) |
      buffer[at + 3]) >>>
    0
  )
}
