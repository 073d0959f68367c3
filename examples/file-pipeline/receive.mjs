// Receives a file, and answers with its hash.
//
//   node examples/file-pipeline/receive.mjs copy.txt
//
// @ts-check

import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { PairSocket } from 'nng-pair'

const [, , file = 'copy', url = 'ipc://file-pipeline.ipc'] = process.argv

const sock = new PairSocket()
await sock.listen(url)
console.log('listening')

const hash = createHash('sha256')

/** The parts of one file: a message of no bytes is its end. */
async function* parts() {
  for await (const message of sock) {
    if (message.length === 0) return
    hash.update(message)
    yield message
  }
  throw new Error('the socket was closed before the end of the file')
}

// A slow disk slows the sender down: the next message is asked for when there
// is room for it.
await pipeline(parts, createWriteStream(file))
await sock.send(hash.digest('hex'))
await sock.close()
