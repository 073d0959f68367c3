// A process that is told what to do with a socket, and tells what came of it.
// Run by test/support/starters.ts.

const { PairSocket } = require('../../dist')

let sock

const commands = {
  /** Listens or dials, and exchanges a message each way. */
  async meet({ url }) {
    sock = new PairSocket({ recvTimeout: 20_000 })
    const { type } = await sock.listenOrDial(url)
    await sock.send(`from ${process.pid}`)
    return { type, received: String(await sock.recv()) }
  },

  async listen({ url }) {
    sock = new PairSocket()
    return sock.listen(url).then(
      () => ({ code: 'listening' }),
      ({ code }) => ({ code })
    )
  },

  async close() {
    await sock.close()
    return {}
  }
}

async function run({ command, at, ...args }) {
  // To the same moment as the others, as well as clocks allow.
  while (Date.now() < at);
  try {
    process.send(await commands[command](args))
  } catch (error) {
    process.send({ error: error.stack })
  }
}

process.on('message', run)
process.on('disconnect', () => process.exit())

// As the first thing that it does, or when it is told to.
if (process.argv[2]) run(JSON.parse(process.argv[2]))
else process.send({})
