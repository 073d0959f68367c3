import { execFileSync, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as net from 'node:net'
import * as path from 'node:path'
import { freePort } from './support/freePort'

// A TCP socket that dials a port of its own machine, and is given that very
// port as its own, connects to itself: SYN meets SYN. A dialer that waits for
// its listener would take its echo for a peer, and keep the port taken.

test('the premise: a TCP socket can connect to itself', async () => {
  const port = await freePort()
  const sock = net.connect({
    host: '127.0.0.1',
    port,
    localAddress: '127.0.0.1',
    localPort: port
  })
  await once(sock, 'connect')
  expect(sock.localPort).toBe(sock.remotePort)
  sock.write('hello')
  expect(String((await once(sock, 'data'))[0])).toBe('hello')
  sock.destroy()
})

// In a network of its own, with a single port for outgoing connections, it
// happens every time.
const script = `
const fs = require('node:fs')
const net = require('node:net')
const { once } = require('node:events')
const { PairSocket } = require(process.argv[1])
const range = '/proc/sys/net/ipv4/ip_local_port_range'
const url = 'tcp://127.0.0.1:40001'

function inUse(error) {
  if (error.code !== 'EADDRINUSE') throw error
  return true
}

async function main() {
  fs.writeFileSync(range, '40001 40001')
  const plain = net.connect(40001, '127.0.0.1')
  await once(plain, 'connect')
  plain.resetAndDestroy()
  await once(plain, 'close')

  const dialing = new PairSocket({ reconnectMin: 1, reconnectMax: 5 })
  const codes = []
  for (let i = 0; i < 10; i++) {
    codes.push(await dialing.dial(url).then(() => 'connected', (e) => e.code))
  }
  await dialing.dial(url, { retry: true })
  fs.writeFileSync(range, '40002 49999')
  // The last of them may be closing still.
  const listening = new PairSocket()
  while (await listening.listen(url).then(() => false, inUse));
  await listening.send('found')
  codes.push(String(await dialing.recv()))
  await Promise.all([dialing.close(), listening.close()])
  console.log(JSON.stringify(codes))
}
main()
`

const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }
const isolated = (...command: string[]) =>
  [
    'unshare',
    [
      '--user',
      '--map-root-user',
      '--net',
      'sh',
      '-c',
      'ip link set lo up && exec "$@"',
      'sh',
      ...command
    ],
    { env, encoding: 'utf8' }
  ] as const
const canIsolate =
  process.platform === 'linux' && spawnSync(...isolated('true')).status === 0

const testIsolated = canIsolate ? test : test.skip
testIsolated(
  'a dialer does not take itself for its peer' +
    (canIsolate ? '' : ' (needs Linux, ip, and the right to unshare)'),
  () => {
    const dist = path.join(__dirname, '..', 'dist')
    const [file, args, options] = isolated(process.execPath, '-e', script, dist)
    // A port in TIME_WAIT would be free after a minute.
    const output = execFileSync(file, args, { ...options, timeout: 20_000 })
    expect(JSON.parse(output)).toEqual([
      ...Array.from({ length: 10 }, () => 'ECONNREFUSED'),
      'found'
    ])
  }
)
