import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import type { IpcPeer, PairSocket, Peer, TcpPeer } from '../lib'
import {
  PAIR1_HEADER,
  RawPeer,
  SP_HEADER,
  address,
  frame
} from './support/rawPeer'
import {
  connectedPair,
  freeUrl,
  socket,
  transports
} from './support/transports'
import { until } from './support/until'

/** Notes the events of a socket, and that `peer` is in step with them. */
function record(sock: PairSocket, notes: string[] = []): string[] {
  sock.on('connect', (peer) => {
    expect(sock.peer).toBe(peer)
    notes.push('connect')
  })
  sock.on('disconnect', (peer) => {
    expect(sock.peer).toBeUndefined()
    expect(peer.url).toMatch(/^(tcp|ipc):\/\//)
    notes.push('disconnect')
  })
  sock.on('reject', (_, reason) => notes.push(`reject ${reason}`))
  sock.on('close', () => {
    expect(sock.peer).toBeUndefined()
    notes.push('close')
  })
  return notes
}

/** connect, disconnect, connect, … */
function expectAlternation(notes: string[]): void {
  const ours = notes.filter((note) => /^(dis)?connect$/.test(note))
  expect(ours).toEqual(
    ours.map((_, i) => (i % 2 === 0 ? 'connect' : 'disconnect'))
  )
}

/** Another process that makes `count` connections, one after another. */
async function connectFromAnotherProcess(
  url: string,
  count: number
): Promise<number | undefined> {
  const script = `
    const net = require('node:net')
    const [address, count] = process.argv.slice(1).map((arg) => JSON.parse(arg))
    ;(async () => {
      for (let i = 0; i < +count; i++) {
        const socket = net.connect(address)
        socket.on('error', () => {})
        socket.write(Buffer.from('${SP_HEADER.toString('hex')}', 'hex'))
        await new Promise((resolve) => {
          socket.once('data', resolve)
          socket.once('close', resolve)
        })
        socket.destroy()
      }
    })()`
  const child = spawn(
    process.execPath,
    ['-e', script, JSON.stringify(address(url)), String(count)],
    {
      stdio: ['ignore', 'ignore', 'pipe']
    }
  )
  let complaints = ''
  child.stderr.on('data', (text) => (complaints += String(text)))
  await once(child, 'close')
  expect(complaints).toBe('')
  return child.pid
}

describe.each(transports)('events over %s', (transport) => {
  test('connect, messages, disconnect, close, in this order', async () => {
    for (let round = 0; round < 30; round++) {
      const listening = socket()
      const notes = record(listening)
      const reading = (async () => {
        for await (const message of listening) notes.push(String(message))
      })()
      const { url } = await listening.listen(freeUrl(transport))

      const dialing = socket()
      const dialed = record(dialing)
      await dialing.dial(url)
      expect(dialed).toEqual(['connect'])
      expect(dialing.peer).toBeDefined()
      const gone = once(listening, 'disconnect')
      await dialing.sendMany(['one', 'two', 'three'])
      expect(await dialing.close()).toEqual({ unsent: 0 })
      expect(dialed).toEqual(['connect', 'disconnect', 'close'])

      await gone
      expect(notes).toEqual(['connect', 'one', 'two', 'three', 'disconnect'])
      await listening.close()
      await reading
      expect(notes.slice(5)).toEqual(['close'])
    }
  })

  test('a message never comes before its peer', async () => {
    const sock = socket()
    const { url } = await sock.listen(freeUrl(transport))
    const notes: string[] = []
    sock.on('connect', () => notes.push('connect'))
    for (let round = 0; round < 200; round++) {
      const gone = once(sock, 'disconnect')
      // By a call that waits, or by one that looks.
      const received = (
        round % 2 === 0
          ? sock.recv()
          : until(() => sock.tryRecv() !== undefined)
      ).then(() => notes.push('message'))
      const raw = await RawPeer.connect(url)
      await raw.write(SP_HEADER, frame(transport, 'x'))
      await received
      raw.socket.destroy()
      await gone
      expect(notes.splice(0)).toEqual(['connect', 'message'])
    }
  })

  test('a socket that closes sees its peer go first', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const notes = [record(listening), record(dialing)]
    await Promise.all([listening.close(), dialing.close({ timeout: 0 })])
    expect(notes).toEqual([
      ['disconnect', 'close'],
      ['disconnect', 'close']
    ])
  })

  test('close is emitted once, and nothing after it', async () => {
    const sock = socket()
    const notes = record(sock)
    const { url } = await sock.listen(freeUrl(transport))
    const peers = await Promise.all(
      Array.from({ length: 5 }, () => RawPeer.connect(url))
    )
    const shaking = peers.map((peer) => peer.shake().catch(() => {}))
    await Promise.all([sock.close(), sock.close({ timeout: 0 })])
    await sock.close()
    await Promise.all(shaking)
    expectAlternation(notes)
    expect(notes.filter((note) => note === 'close').length).toBe(1)
    expect(notes.at(-1)).toBe('close')
  })

  test('who the peer is, as both sides see it', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const seen = listening.peer!
    const ours = dialing.peer!
    if (transport === 'tcp') {
      const port = Number(/:(\d+)$/.exec(url)![1])
      expect(ours).toEqual<TcpPeer>({
        transport: 'tcp',
        url,
        address: '127.0.0.1',
        port
      })
      const other = (seen as TcpPeer).port
      expect(other).not.toBe(port)
      expect(seen).toEqual<TcpPeer>({
        transport: 'tcp',
        url: `tcp://127.0.0.1:${other}`,
        address: '127.0.0.1',
        port: other
      })
    } else {
      const expected: IpcPeer = {
        transport: 'ipc',
        url,
        path: url.slice('ipc://'.length),
        pid: process.pid,
        uid: process.getuid?.(),
        gid: process.getgid?.()
      }
      expect(seen).toEqual(expected)
      expect(ours).toEqual(expected)
    }
  })

  test('the peer of a connection from elsewhere', async () => {
    const sock = socket()
    const peers: Peer[] = []
    sock.on('connect', (peer) => peers.push(peer))
    const { url } = await sock.listen(freeUrl(transport))
    const raw = await RawPeer.shake(url)
    await until(() => peers.length === 1)
    if (transport === 'tcp') {
      expect(peers[0]).toMatchObject({ port: raw.socket.localPort })
    }
    await raw.close()
    await until(() => sock.peer === undefined)
    // Events wait for the event loop, what they tell does not change.
    const pid = await connectFromAnotherProcess(url, 1)
    await until(() => peers.length === 2)
    if (transport === 'ipc') expect((peers[1] as IpcPeer).pid).toBe(pid)
    expect(peers[1]).not.toEqual(peers[0])
  })

  test('a second peer is turned away, the first undisturbed', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const notes = record(listening)
    const first = listening.peer
    const rejected = once(listening, 'reject') as Promise<[Peer, string]>
    const second = await RawPeer.shake(url)
    expect((await second.rest()).length).toBe(0)
    const [peer, reason] = await rejected
    expect(reason).toBe('busy')
    expect(peer.transport).toBe(transport)
    if (transport === 'tcp') {
      expect(peer).toMatchObject({ port: second.socket.localPort })
    } else {
      expect(peer).toMatchObject({ pid: process.pid })
    }
    expect(listening.peer).toBe(first)
    expect(listening.stats().rejects).toBe(1)
    await dialing.send('still here')
    expect(String(await listening.recv())).toBe('still here')
    expect(notes).toEqual(['reject busy'])
  })

  test('a peer of another protocol is turned away', async () => {
    const sock = socket()
    const notes = record(sock)
    const rejected = once(sock, 'reject')
    const raw = await RawPeer.connect(
      (await sock.listen(freeUrl(transport))).url
    )
    await raw.write(PAIR1_HEADER)
    await rejected
    expect(notes).toEqual(['reject protocol'])
    expect(sock.peer).toBeUndefined()
  })

  test('hundreds that come and vanish: no two connects in a row', async () => {
    const sock = socket()
    const notes = record(sock)
    const { url } = await sock.listen(freeUrl(transport))
    const visitor = async (i: number) => {
      const raw = await RawPeer.connect(url)
      if (i % 7 === 0) return raw.close()
      await raw.write(SP_HEADER).catch(() => {})
      if (i % 3 === 0) return raw.reset()
      if (i % 3 === 1) await raw.send('hello').catch(() => {})
      await raw.read(SP_HEADER.length)
      await raw.close()
    }
    for (let i = 0; i < 300; i += 3) {
      await Promise.all([visitor(i), visitor(i + 1), visitor(i + 2)])
    }
    // The last one comes when all others have gone.
    let last
    let accepted
    do {
      const arrived = once(sock, 'connect').then(() => true)
      last = await RawPeer.shake(url)
      const turnedAway = last.rest().then(() => false)
      accepted = await Promise.race([arrived, turnedAway])
    } while (!accepted)
    await last.close()
    await until(() => sock.peer === undefined)
    expectAlternation(notes)
    expect(notes.filter((note) => note === 'connect').length).toBeGreaterThan(
      20
    )
    expect(notes.at(-1)).toBe('disconnect')
  })

  test('another process that comes and goes is heard of in step', async () => {
    const sock = socket()
    const notes = record(sock)
    const { url } = await sock.listen(freeUrl(transport))
    await connectFromAnotherProcess(url, 20)
    await until(() => sock.peer === undefined && notes.length >= 20)
    expectAlternation(notes)
  })
})

test('a listener that throws keeps nobody else from being served', () => {
  const script = `
    const { PairSocket } = require('./dist')
    const notes = []
    process.on('uncaughtException', (error) => notes.push(error.message))
    ;(async () => {
      const a = new PairSocket()
      const b = new PairSocket()
      for (const event of ['connect', 'disconnect', 'close']) {
        a.on(event, () => { throw new Error(event) })
      }
      const { url } = await a.listen('tcp://127.0.0.1:0')
      const first = a.recv()
      await b.dial(url)
      await b.send('message')
      notes.push(String(await first))
      await b.close()
      await a.close()
      console.log(notes.join(' '))
    })()`
  const child = spawnSync(process.execPath, ['-e', script], {
    cwd: `${__dirname}/..`,
    timeout: 20_000
  })
  expect(String(child.stderr)).toBe('')
  expect(String(child.stdout)).toBe('connect message disconnect close\n')
})
