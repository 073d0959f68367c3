// One message, by require.

const { PairSocket } = require('nng-pair')

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
