import { once } from 'node:events'
import * as fs from 'node:fs'
import { Dialer, Listener, NngError, type PairSocket, type Peer } from '../lib'
import { unusedUrl } from './support/command'
import { fill, settle } from './support/full'
import { RawListener, RawPeer } from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

const EAGER = { reconnectMin: 1, reconnectMax: 10 }

function fileOf(url: string): string {
  return url.slice('ipc://'.length)
}

async function exchange(one: PairSocket, other: PairSocket): Promise<void> {
  await one.send('there')
  expect(String(await other.recv())).toBe('there')
  await other.send('and back')
  expect(String(await one.recv())).toBe('and back')
}

/** Notes the events of a connection as they come. */
function record(sock: PairSocket): string[] {
  const notes: string[] = []
  for (const event of ['connect', 'disconnect', 'reject'] as const) {
    sock.on(event, (peer: Peer) => notes.push(`${event} ${peer.transport}`))
  }
  return notes
}

describe('several endpoints on one socket', () => {
  test('two listeners: a peer may come to either', async () => {
    const sock = socket()
    const notes = record(sock)
    const listeners = [
      await sock.listen(freeUrl('tcp')),
      await sock.listen(freeUrl('ipc'))
    ]
    for (const [i, { url }] of [...listeners, ...listeners].entries()) {
      const transport = transports[i % 2]!
      const peer = socket()
      await peer.dial(url)
      await exchange(peer, sock)
      expect(sock.peer).toMatchObject({ transport })
      const gone = once(sock, 'disconnect')
      await peer.close()
      await gone
      expect(notes.splice(0)).toEqual([
        `connect ${transport}`,
        `disconnect ${transport}`
      ])
    }
  })

  test('two listeners: a peer at one is in the way at the other', async () => {
    const sock = socket()
    const [tcp, ipc] = [
      await sock.listen(freeUrl('tcp')),
      await sock.listen(freeUrl('ipc'))
    ]
    const first = socket()
    await first.dial(tcp.url)
    await exchange(first, sock)
    const notes = record(sock)
    const rejected = once(sock, 'reject')
    const second = socket(EAGER)
    await second.dial(ipc.url)
    await rejected
    await exchange(first, sock)
    expect(new Set(notes)).toEqual(new Set(['reject ipc']))
    await first.close()
    await until(() => sock.peer?.transport === 'ipc')
    await exchange(second, sock)
  })

  test('two listeners: closing one leaves the other and its peer', async () => {
    const sock = socket()
    const [tcp, ipc] = [
      await sock.listen(freeUrl('tcp')),
      await sock.listen(freeUrl('ipc'))
    ]
    const first = socket()
    await first.dial(tcp.url)
    await exchange(first, sock)
    const notes = record(sock)
    await ipc.close()
    await exchange(first, sock)
    expect(notes).toEqual([])
    expect(fs.existsSync(fileOf(ipc.url))).toBe(false)
    await expect(socket().dial(ipc.url)).rejects.toMatchObject({
      code: 'ECONNREFUSED'
    })

    const again = await sock.listen(ipc.url)
    await tcp.close()
    expect(notes).toEqual(['disconnect tcp'])
    const second = socket()
    await second.dial(again.url)
    await exchange(second, sock)
  })

  test('the same address twice is taken', async () => {
    const sock = socket()
    for (const transport of transports) {
      const { url } = await sock.listen(freeUrl(transport))
      await expect(sock.listen(url)).rejects.toMatchObject({
        code: 'EADDRINUSE',
        syscall: 'listen',
        address: url
      })
      const peer = socket()
      const gone = once(sock, 'disconnect')
      await peer.dial(url)
      await exchange(peer, sock)
      await peer.close()
      await gone
    }
  })
})

describe.each(transports)('endpoints over %s', (transport) => {
  test('a socket may listen and dial: the first to come is its peer', async () => {
    const sock = socket(EAGER)
    const { url } = await sock.listen(freeUrl(transport))
    const sought = await unusedUrl(transport)
    const dialer = await sock.dial(sought, { retry: true })
    const comer = socket()
    await comer.dial(url)
    await exchange(comer, sock)

    // Its dialer finds somebody, whom it cannot take.
    const found = socket()
    const notes = record(sock)
    const rejected = once(sock, 'reject')
    await found.listen(sought)
    await rejected
    await exchange(comer, sock)
    expect(new Set(notes)).toEqual(new Set([`reject ${transport}`]))

    const gone = once(sock, 'disconnect')
    const connected = once(sock, 'connect')
    await comer.close()
    await gone
    await connected
    await exchange(found, sock)
    await dialer.close()
    const next = socket()
    await next.dial(url)
    await exchange(next, sock)
  })

  test('of two dialers, the second gets its turn', async () => {
    const sock = socket(EAGER)
    const peers = [socket(), socket()]
    const dialers: Dialer[] = []
    for (const peer of peers) {
      const { url } = await peer.listen(freeUrl(transport))
      dialers.push(await sock.dial(url))
    }
    await exchange(peers[0]!, sock)
    const connected = once(sock, 'connect')
    const gone = once(peers[0]!, 'disconnect')
    await dialers[0]!.close()
    await Promise.all([gone, connected])
    await exchange(peers[1]!, sock)
  })

  test('closing a listener closes its connection, and frees its address', async () => {
    const sock = socket()
    let url = freeUrl(transport)
    for (let round = 0; round < 20; round++) {
      const listener = await sock.listen(url)
      url = listener.url
      const peer = socket()
      await peer.dial(url)
      await exchange(peer, sock)
      const notes = record(sock)
      const gone = once(peer, 'disconnect')
      await listener.close()
      expect(notes).toEqual([`disconnect ${transport}`])
      expect(sock.peer).toBeUndefined()
      expect(sock.closed).toBe(false)
      await gone
      if (transport === 'ipc') expect(fs.existsSync(fileOf(url))).toBe(false)
      await expect(socket().dial(url)).rejects.toMatchObject({
        code: 'ECONNREFUSED'
      })
      sock.removeAllListeners()
      await peer.close()
    }
  })

  test('closing a dialer closes its connection', async () => {
    const listening = socket()
    const { url } = await listening.listen(freeUrl(transport))
    const sock = socket(EAGER)
    for (let round = 0; round < 20; round++) {
      const dialer = await sock.dial(url)
      await exchange(listening, sock)
      const notes = record(sock)
      const gone = once(listening, 'disconnect')
      await dialer.close()
      expect(notes).toEqual([`disconnect ${transport}`])
      expect(sock.peer).toBeUndefined()
      await gone
      sock.removeAllListeners()
    }
    // No dialer of the many is left that would come in between.
    const other = socket()
    await other.dial(url)
    await exchange(other, listening)
    await settle(transport)
    expect(listening.stats().rejects).toBe(0)
  })

  test('an endpoint can be closed any number of times, at any time', async () => {
    const { url } = await socket().listen(freeUrl(transport))
    const sock = socket()
    const listener = await sock.listen(freeUrl(transport))
    const dialer = await sock.dial(url)
    for (const endpoint of [listener, dialer]) {
      await Promise.all([
        endpoint.close(),
        endpoint.close(),
        endpoint[Symbol.asyncDispose]()
      ])
      await endpoint.close()
    }
    // Its number may be another's by now.
    const again = await sock.listen(listener.url)
    const dialed = await sock.dial(url)
    await Promise.all([listener.close(), dialer.close()])
    expect(sock.peer).toBeDefined()
    const closing = sock.close()
    await Promise.all([again.close(), dialed.close()])
    expect(sock.peer).toBeUndefined()
    await closing
    await Promise.all([again.close(), dialed.close()])
  })

  test('a listener that is closed as its peer comes', async () => {
    const sock = socket()
    let url = freeUrl(transport)
    const peer = socket(EAGER)
    for (let round = 0; round < 30; round++) {
      const connected = once(sock, 'connect')
      const listener = await sock.listen(url)
      url = listener.url
      if (round === 0) await peer.dial(url)
      await connected
      await listener.close()
      expect(sock.peer).toBeUndefined()
    }
  })

  test('a listener that is closed lets go of who has not said hello', async () => {
    const sock = socket()
    const listener = await sock.listen(freeUrl(transport))
    const silent = await RawPeer.connect(listener.url)
    expect((await silent.read(8)).length).toBe(8)
    await listener.close()
    await silent.rest()
    const next = await sock.listen(listener.url)
    const raw = await RawPeer.shake(next.url)
    await raw.send('hello')
    expect(String(await sock.recv())).toBe('hello')
  })

  test('a dialer that is closed in its handshake lets go', async () => {
    const silent = await RawListener.open(transport)
    const sock = socket()
    const dialer = await sock.dial(silent.url, { retry: true })
    const raw = await silent.accept()
    expect((await raw.read(8)).length).toBe(8)
    await dialer.close()
    await raw.rest()
    expect(sock.peer).toBeUndefined()
  })

  test('what is queued stays for the next peer, at another endpoint', async () => {
    const sock = socket({ sendBuffer: 20 })
    const listener = await sock.listen(freeUrl(transport))
    await socket({ recvBuffer: 0 }).dial(listener.url)
    const count = await fill(sock, transport, (i) => String(i).padEnd(2 ** 18))
    const waiting = [count, count + 1].map((i) => sock.send(String(i)))
    await listener.close()
    // The one that was on its way is lost, which a driver's own thread may find
    // out a moment later; the kernel has those before it.
    await until(() => sock.stats().messagesLost > 0)
    const { messagesSent, messagesLost, unsentMessages, waitingSends } =
      sock.stats()
    // On Windows it is all that was being written, which may end in the next.
    const most = process.platform === 'win32' ? 2 : 1
    expect(messagesLost).toBeGreaterThan(0)
    expect(messagesLost).toBeLessThanOrEqual(most)
    // Those that wait come in for a second one that is lost, a moment later.
    expect(unsentMessages).toBeGreaterThanOrEqual(21 - messagesLost)
    expect(unsentMessages).toBeLessThanOrEqual(20)
    expect(messagesSent + messagesLost + unsentMessages + waitingSends).toBe(
      count + 2
    )
    const next = socket()
    await sock.dial((await next.listen(freeUrl(transport))).url)
    for (let i = messagesSent + messagesLost; i < count + 2; i++) {
      expect(Number(await next.recv())).toBe(i)
    }
    await Promise.all(waiting)
  })

  test('what was received before can still be received', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    await dialing.sendMany(['one', 'two'])
    await until(() => listening.stats().unreadMessages === 2)
    await dialing.close()
    await listening.listen(freeUrl(transport)).then((other) => other.close())
    expect(String(await listening.recv())).toBe('one')
    expect(String(await listening.recv())).toBe('two')
    await socket().dial(url)
  })

  test('a socket without an endpoint takes a new one', async () => {
    const sock = socket()
    const first = await sock.listen(freeUrl(transport))
    await first.close()
    await sock.send('kept')
    const waiting = sock.recv()
    const { url } = await sock.listen(first.url)
    const peer = socket()
    await peer.dial(url)
    expect(String(await peer.recv())).toBe('kept')
    await peer.send('served')
    expect(String(await waiting)).toBe('served')
  })

  test('listenOrDial listens, or else dials', async () => {
    const url = await unusedUrl(transport)
    const [one, other] = [socket(), socket()]
    const listener = await one.listenOrDial(url)
    expect(listener).toBeInstanceOf(Listener)
    expect(listener).not.toBeInstanceOf(Dialer)
    expect(listener).toMatchObject({ type: 'listener', url })
    const dialer = await other.listenOrDial(url)
    expect(dialer).toBeInstanceOf(Dialer)
    expect(dialer).toMatchObject({ type: 'dialer', url })
    const { listenError } = dialer as Dialer
    expect(listenError).toBeInstanceOf(NngError)
    expect(listenError).toMatchObject({
      code: 'EADDRINUSE',
      syscall: 'listen',
      address: url
    })
    await exchange(one, other)

    // The roles can change.
    await listener.close()
    await dialer.close()
    expect((await other.listenOrDial(url)).type).toBe('listener')
    expect((await one.listenOrDial(url)).type).toBe('dialer')
    await exchange(one, other)
  })

  test('a dialer of dial() has no listenError', async () => {
    const { url } = await socket().listen(freeUrl(transport))
    const dialer = await socket().dial(url)
    expect(dialer.listenError).toBeUndefined()
  })
})

test('a listener that cannot take its path again leaves the socket well', async () => {
  const sock = socket()
  const listener = await sock.listen(freeUrl('ipc'))
  await listener.close()
  fs.writeFileSync(fileOf(listener.url), 'a file')
  await expect(sock.listen(listener.url)).rejects.toMatchObject({
    code: 'EADDRINUSE'
  })
  expect(fs.readFileSync(fileOf(listener.url), 'utf8')).toBe('a file')
  fs.rmSync(fileOf(listener.url))
  const { url } = await sock.listen(listener.url)
  const peer = socket()
  await peer.dial(url)
  await exchange(peer, sock)
})
