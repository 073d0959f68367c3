// Connections that speak no PAIR: garbage, half a header, another protocol,
// silence, a hang-up at once.

import { randomBytes } from 'node:crypto'
import * as net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const HEADER = Buffer.from('0053500000100000', 'hex')
const OTHER_PROTOCOL = Buffer.from('0053500000110000', 'hex')

const words = [
  () => Buffer.concat([Buffer.of(1), randomBytes(1000)]),
  () => HEADER.subarray(0, 1 + Math.floor(Math.random() * 7)),
  () => OTHER_PROTOCOL,
  () => Buffer.alloc(0),
  () => Buffer.from('GET / HTTP/1.1\r\n\r\n')
]

function address(url) {
  const tcp = /^tcp:\/\/(.+):(\d+)$/.exec(url)
  return tcp === null
    ? { path: url.slice('ipc://'.length) }
    : { host: tcp[1], port: Number(tcp[2]) }
}

/** One of them: it is heard of no more when this resolves. */
export async function knock(url) {
  const socket = net.connect(address(url))
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.on('error', () => {})
  socket.resume()
  socket.write(words[Math.floor(Math.random() * words.length)]())
  await sleep(Math.random() * 100)
  socket.destroy()
  await closed
}
