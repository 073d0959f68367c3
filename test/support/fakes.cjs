// Ways to replace the timers of a process, and what a socket must do all the
// same. Also loaded by itself (node --require) with NNG_PAIR_TEST_FAKES in the
// environment, to replace them before anything else is loaded.

const assert = require('node:assert')
const { performance } = require('node:perf_hooks')

// Taken before anything is replaced.
const now = performance.now.bind(performance)

const ways = {
  sinon: () => void require('@sinonjs/fake-timers').install(),
  'node:test': () => require('node:test').mock.timers.enable()
}

/** Whether the timers that these have stand still. */
async function standStill(...sources) {
  let fired = false
  for (const { setImmediate, setTimeout } of sources) {
    setImmediate(() => (fired = true))
    setTimeout(() => (fired = true), 0)
  }
  // Some turns of the loop that no fake knows of.
  const { port1, port2 } = new MessageChannel()
  for (let i = 0; i < 50; i++) {
    const turned = new Promise((resolve) => (port2.onmessage = resolve))
    port1.postMessage(i)
    await turned
  }
  port1.close()
  return !fired
}

/** Fails with what is wrong. Returns when both sockets are closed. */
async function exercise({ PairSocket }, url) {
  const listening = new PairSocket({ recvTimeout: 10_000 })
  const events = []
  for (const event of ['connect', 'disconnect', 'close']) {
    listening.on(event, () => events.push(event))
  }
  const dialing = new PairSocket()
  const { url: bound } = await listening.listen(url)
  await dialing.dial(bound)

  await dialing.send('question')
  assert.equal(String(await listening.recv()), 'question')
  assert.deepEqual(events, ['connect'])
  await listening.send('answer')
  assert.equal(String(await dialing.recv({ timeout: 10_000 })), 'answer')

  const read = async (count, length) => {
    for (let i = 0; i < count; i++) {
      assert.equal((await listening.recv()).length, length)
    }
  }
  for (const [count, data] of [
    [3000, Buffer.alloc(64)],
    [300, Buffer.alloc(64 * 1024)]
  ]) {
    const reading = read(count, data.length)
    for (let i = 0; i < count; i++) await dialing.send(data)
    await reading
    const rest = read(count, data.length)
    await dialing.sendMany(Array(count).fill(data), { timeout: 10_000 })
    await rest
  }

  // In real time.
  const lonely = new PairSocket({ sendBuffer: 0, recvTimeout: 60 })
  for (const call of [
    () => lonely.recv(),
    () => lonely.recvMany(2, { timeout: 60 }),
    () => lonely.send('never', { timeout: 60 }),
    () => lonely.sendMany(['never'], { timeout: 60 })
  ]) {
    const begun = now()
    await assert.rejects(call, { code: 'ETIMEDOUT' })
    const took = now() - begun
    assert.ok(took >= 59 && took < 5000, `${call} took ${took} ms`)
  }

  // Somebody who does not read, and is waited for in vain.
  const deaf = new PairSocket({ recvBuffer: 0 })
  const server = await deaf.listen(`${url}${url.startsWith('ipc') ? 'd' : ''}`)
  const full = new PairSocket({ sendBuffer: 4 })
  await full.dial(server.url)
  while (full.trySend(Buffer.alloc(1_000_000)));
  const begun = now()
  const { unsent } = await full.close({ timeout: 60 })
  assert.ok(now() - begun >= 59)
  assert.ok(unsent > 0, 'it has sent everything')
  await Promise.all([lonely, deaf].map((sock) => sock.close({ timeout: 0 })))

  await dialing.send('last')
  assert.deepEqual(await dialing.close(), { unsent: 0 })
  assert.equal(String(await listening.recv()), 'last')
  await listening.close()
  assert.deepEqual(events, ['connect', 'disconnect', 'close'])
}

module.exports = { exercise, standStill, ways }

const early = process.env.NNG_PAIR_TEST_FAKES
if (early !== undefined) ways[early]()
