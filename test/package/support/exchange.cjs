// One exchange over each transport, by whatever runtime runs this file.
//
//   node exchange.cjs [package]    prints "ok <arch> <binary>" and ends by itself

const { randomUUID } = require('node:crypto')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { PairSocket } = require(process.argv[2] ?? 'nng-pair')

const SIZES = [0, 1, 125, 65_536, 1_000_003]

async function exchange(url) {
  const listening = new PairSocket({ recvTimeout: 60_000 })
  const dialing = new PairSocket({ recvTimeout: 60_000 })
  const listener = await listening.listen(url)
  await dialing.dial(listener.url)
  for (const size of SIZES) {
    const body = Buffer.alloc(size, size % 251)
    await dialing.send(body)
    const there = await listening.recv()
    await listening.send(there)
    const back = await dialing.recv()
    if (!back.equals(body)) throw new Error(`${url}: ${size} bytes changed`)
  }
  await dialing.close()
  await listening.close()
}

async function main() {
  await exchange('tcp://127.0.0.1:0')
  await exchange(`ipc://${join(tmpdir(), `nng-pair-${randomUUID()}.ipc`)}`)
  const binary = Object.keys(require.cache).find((name) =>
    name.endsWith('.node')
  )
  console.log(`ok ${process.arch} ${binary}`)
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
