// For a single executable that has the package in node_modules beside it.

const { createRequire } = require('node:module')
const { PairSocket } = createRequire(process.execPath)('nng-pair')

async function main() {
  const a = new PairSocket()
  const b = new PairSocket()
  const { url } = await a.listen('tcp://127.0.0.1:0')
  await b.dial(url)
  await b.send('hello')
  console.log(String(await a.recv()))
  await a.close()
  await b.close()
}
main()
