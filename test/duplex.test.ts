import { once } from 'node:events'
import * as fs from 'node:fs'
import * as path from 'node:path'
import { Duplex, PassThrough, Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn } from 'node:timers/promises'
import { createGunzip, createGzip } from 'node:zlib'
import type { PairSocket } from '../lib'
import { settle } from './support/full'
import { random } from './support/random'
import { tempFolder } from './support/tempFolder'
import { connectedPair, socket, transports } from './support/transports'
import { until } from './support/until'

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i))
}

/** Closes the socket after so many messages, which ends its stream. */
function upTo(count: number, close: () => unknown): Transform {
  return new Transform({
    objectMode: true,
    transform(message: Buffer, _encoding, callback) {
      if (--count === 0) close()
      callback(null, message)
    }
  })
}

describe.each(transports)('a duplex over %s', (transport) => {
  test('gives each message as a chunk, and sends each chunk as one', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const [one, other] = [listening.duplex(), dialing.duplex()]
    expect(one).toBeInstanceOf(Duplex)
    expect([one.readableObjectMode, one.writableObjectMode]).toEqual([
      true,
      true
    ])
    const chunks = ['text', '', Buffer.from('bytes'), new Uint8Array([1, 2])]
    for (const chunk of chunks) one.write(chunk)
    const got: Buffer[] = []
    for await (const message of other) {
      got.push(message as Buffer)
      if (got.length === chunks.length) break
    }
    expect(got).toEqual(chunks.map((chunk) => Buffer.from(chunk as string)))
    // Leaving the loop destroys a stream, and that closes the socket.
    await until(() => dialing.closed)
  })

  test('carries a file through transforms, both ways', async () => {
    const folder = tempFolder()
    const [from, to] = ['from', 'to'].map((name) => path.join(folder, name))
    const next = random(7)
    const bytes = Buffer.from(
      Array.from({ length: 300_000 }, () => Math.floor(next() * 32))
    )
    fs.writeFileSync(from!, bytes)
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 1, sendBuffer: 1 },
      dialing: { recvBuffer: 1, sendBuffer: 1 }
    })
    const echo = listening.duplex()
    const echoed = pipeline(echo, echo)
    const stream = dialing.duplex()
    const sent = pipeline(fs.createReadStream(from!), createGzip(), stream, {
      end: false
    })
    const received = pipeline(stream, createGunzip(), fs.createWriteStream(to!))
    await sent
    // All of it is on its way back; then nothing more will come.
    await until(() => {
      const { messagesSent, messagesReceived, unsentMessages, unreadMessages } =
        dialing.stats()
      return (
        stream.writableLength + unsentMessages + unreadMessages === 0 &&
        messagesSent === messagesReceived
      )
    })
    await turn()
    await dialing.close()
    await received
    await listening.close()
    await echoed
    expect(fs.readFileSync(to!).equals(bytes)).toBe(true)
  })

  test('a reader that does not read stops the writer', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 2 },
      dialing: { sendBuffer: 2 }
    })
    const size = 256 * 1024
    let made = 0
    const source = new Readable({
      objectMode: true,
      highWaterMark: 1,
      read() {
        this.push(made < 200 ? Buffer.alloc(size, made++) : null)
      }
    })
    const out = dialing.duplex()
    const sending = pipeline(source, out)
    const into = listening.duplex()
    // Until the kernel takes no more, and for a while longer.
    for (let before = -1; before !== made;) {
      before = made
      for (let i = 0; i < 3; i++) await settle(transport)
    }
    expect(made).toBeLessThan(100)
    const { unsentBytes, waitingSends } = dialing.stats()
    expect(unsentBytes).toBeLessThanOrEqual(3 * size)
    expect(waitingSends).toBeLessThanOrEqual(1)
    expect(into.readableLength).toBe(0)

    let count = 0
    await pipeline(
      into,
      upTo(200, () => listening.close()),
      new Writable({
        objectMode: true,
        write(message: Buffer, _encoding, callback) {
          expect(message.equals(Buffer.alloc(size, count++))).toBe(true)
          // What was made but not read is what the buffers hold.
          expect(listening.stats().unreadMessages).toBeLessThanOrEqual(2)
          setImmediate(callback)
        }
      })
    )
    expect(count).toBe(200)
    await sending
  })

  test('write() says when to wait, and drain when to go on', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const stream = dialing.duplex()
    expect(stream.write('one')).toBe(false)
    await once(stream, 'drain')
    expect(stream.write('two')).toBe(false)
    expect(String(await listening.recv())).toBe('one')
    expect(String(await listening.recv())).toBe('two')
  })

  test('ending it sends everything and leaves the socket open', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const stream = dialing.duplex()
    for (const text of numbers(50)) stream.write(text)
    stream.end('the end')
    await once(stream, 'finish')
    expect(dialing.stats()).toMatchObject({
      messagesSent: 51,
      unsentMessages: 0
    })
    expect(dialing.closed).toBe(false)
    // It still reads, and the socket still sends.
    await listening.send('back')
    const [message] = (await once(stream, 'data')) as [Buffer]
    expect(String(message)).toBe('back')
    await dialing.send('by the socket')
    for (const text of [...numbers(50), 'the end', 'by the socket']) {
      expect(String(await listening.recv())).toBe(text)
    }
  })

  test('closing the socket ends the readable side', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const stream = listening.duplex()
    const got: string[] = []
    stream.on('data', (message: Buffer) => got.push(String(message)))
    const ended = once(stream, 'end')
    await dialing.send('one')
    await until(() => got.length === 1)
    await listening.close()
    await ended
    expect(got).toEqual(['one'])
    expect(stream.readableEnded).toBe(true)
    expect(stream.errored).toBeNull()
  })

  test('a peer that goes does not end it: the next one goes on', async () => {
    const { listening, dialing, url } = await connectedPair(transport)
    const stream = listening.duplex()
    const got: string[] = []
    stream.on('data', (message: Buffer) => got.push(String(message)))
    await dialing.send('one')
    await dialing.close()
    const next = socket()
    await next.dial(url)
    await next.send('two')
    await until(() => got.length === 2)
    expect(got).toEqual(['one', 'two'])
  })

  test('destroying it closes the socket, and loses nothing', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const stream = dialing.duplex()
    for (const text of numbers(20)) {
      if (!stream.write(text)) await once(stream, 'drain')
    }
    const closed = once(stream, 'close')
    stream.destroy()
    expect(dialing.closed).toBe(true)
    for (const text of numbers(20)) {
      expect(String(await listening.recv())).toBe(text)
    }
    await closed
    expect(stream.errored).toBeNull()
  })

  test('destroyed with an error it closes at once, and says so', async () => {
    const { dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 }
    })
    const stream = dialing.duplex()
    stream.resume()
    const failed = once(stream, 'error')
    const error = new Error('enough')
    stream.destroy(error)
    expect(await failed).toEqual([error])
    await until(() => stream.closed)
    expect(dialing.closed).toBe(true)
    await expect(dialing.recv()).rejects.toMatchObject({ code: 'ECLOSED' })
  })

  test('a failing transform closes both streams of a pipeline', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const stream = listening.duplex()
    const error = new Error('in the middle')
    const piping = pipeline(
      stream,
      new Transform({
        objectMode: true,
        transform: (_message, _encoding, callback) => callback(error)
      }),
      new Writable({ objectMode: true, write: (_c, _e, done) => done() })
    )
    await dialing.send('x')
    await expect(piping).rejects.toBe(error)
    expect(listening.closed).toBe(true)
    await until(() => stream.closed)
  })

  test('a message that is none is an error of the stream', async () => {
    const { dialing } = await connectedPair(transport)
    for (const [chunk, code] of [
      [5, 'ERR_INVALID_ARG_TYPE'],
      [{}, 'ERR_INVALID_ARG_TYPE']
    ] as const) {
      const stream = dialing.duplex()
      const failed = once(stream, 'error')
      stream.write(chunk)
      expect((await failed)[0]).toMatchObject({ code })
    }
  })

  test('ended after the socket, it fails if something was not sent', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 0 }
    })
    const stream = dialing.duplex()
    stream.resume()
    const large = Buffer.alloc(2 ** 20)
    for (let i = 0; i < 20; i++) {
      if (!stream.write(large)) await once(stream, 'drain')
    }
    const { unsent } = await dialing.close({ timeout: 0 })
    expect(unsent).toBeGreaterThan(0)
    const failed = once(stream, 'error')
    stream.end()
    expect((await failed)[0]).toMatchObject({
      code: 'ECLOSED',
      syscall: 'drain'
    })
    expect(listening.closed).toBe(false)
  })

  test('a pipeline from one socket to another ends with either', async () => {
    for (const closed of [0, 1] as const) {
      const front = await connectedPair(transport)
      const back = await connectedPair(transport)
      const ends = [front.listening, back.dialing] as const
      const [into, out] = ends.map((sock) => sock.duplex())
      const piping = pipeline(
        into!,
        new PassThrough({ objectMode: true }),
        out!
      )
      for (const text of numbers(10)) await front.dialing.send(text)
      for (const text of numbers(10)) {
        expect(String(await back.listening.recv())).toBe(text)
      }
      await ends[closed].close()
      if (closed === 0) {
        await piping
        expect(back.dialing.closed).toBe(false)
      } else {
        // Nobody has read that stream: it is noticed when it is written to.
        await front.dialing.send('too late')
        await expect(piping).rejects.toMatchObject({
          code: 'ECLOSED',
          syscall: 'send'
        })
        expect(front.listening.closed).toBe(true)
      }
    }
  })
})

describe.each(transports)('web streams over %s', (transport) => {
  function web(sock: PairSocket) {
    const { readable, writable } = Duplex.toWeb(sock.duplex())
    return {
      reader: (readable as ReadableStream<Buffer>).getReader(),
      writer: (writable as WritableStream<string | Uint8Array>).getWriter()
    }
  }

  test('carry messages both ways at once', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const streams = [web(listening), web(dialing)]
    await Promise.all(
      streams.flatMap(({ reader, writer }, side) => [
        (async () => {
          for (const text of numbers(300)) {
            await writer.ready
            await writer.write(`${side} ${text}`)
          }
        })(),
        (async () => {
          for (const text of numbers(300)) {
            const { value, done } = await reader.read()
            expect(done).toBe(false)
            expect(String(value)).toBe(`${1 - side} ${text}`)
          }
        })()
      ])
    )
  })

  test('a reader that does not read stops the writer', async () => {
    const { listening, dialing } = await connectedPair(transport, {
      listening: { recvBuffer: 2 },
      dialing: { sendBuffer: 2 }
    })
    const size = 256 * 1024
    const { writer } = web(dialing)
    const { reader } = web(listening)
    let made = 0
    const writing = (async () => {
      while (made < 200) {
        await writer.ready
        void writer.write(Buffer.alloc(size, made++))
      }
      await writer.ready
    })()
    // A write may also just pause, as one that is far ahead of its peer does.
    for (let before = -1; before !== made || !dialing.stats().waitingSends;) {
      before = made
      for (let i = 0; i < 3; i++) await settle(transport)
    }
    expect(made).toBeLessThan(100)
    expect(dialing.stats().waitingSends).toBe(1)
    expect(listening.stats().unreadMessages).toBeLessThanOrEqual(2)
    for (let i = 0; i < 200; i++) {
      const { value } = await reader.read()
      expect(Buffer.alloc(size, i).equals(value!)).toBe(true)
    }
    await writing
  })

  test('closing the writable sends everything and keeps reading', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const { reader, writer } = web(dialing)
    for (const text of numbers(50)) void writer.write(text)
    // Node settles it when the readable side has ended, too.
    const closed = writer.close()
    for (const text of numbers(50)) {
      expect(String(await listening.recv())).toBe(text)
    }
    await listening.send('answer')
    expect(String((await reader.read()).value)).toBe('answer')
    expect(dialing.closed).toBe(false)
    await dialing.close()
    expect(await reader.read()).toEqual({ value: undefined, done: true })
    await closed
  })

  test('closing the socket ends them: the writer is closed after it', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const { reader, writer } = web(listening)
    await writer.write('one')
    expect(String(await dialing.recv())).toBe('one')
    await dialing.send('two')
    expect(String((await reader.read()).value)).toBe('two')
    const read = reader.read()
    await listening.close()
    // Before Node 24, the readable waits for the end of the writable.
    await writer.close()
    expect(await read).toEqual({ value: undefined, done: true })
  })

  test('cancelling the readable closes the socket', async () => {
    const { listening, dialing } = await connectedPair(transport)
    const { reader, writer } = web(listening)
    const failed = expect(writer.closed).rejects.toThrow('enough')
    await reader.cancel(new Error('enough'))
    await failed
    expect(listening.closed).toBe(true)
    await until(() => dialing.peer === undefined)
  })

  test('a message that is none fails the writer', async () => {
    const { dialing } = await connectedPair(transport)
    const { reader, writer } = web(dialing)
    const closed = expect(writer.closed).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE'
    })
    const read = expect(reader.read()).rejects.toMatchObject({
      code: 'ERR_INVALID_ARG_TYPE'
    })
    writer.write(5 as never).catch(() => {})
    await Promise.all([closed, read])
    expect(dialing.closed).toBe(true)
  })
})

test('recvTimeout does not apply to it, sendTimeout does', async () => {
  const sock = socket({ recvTimeout: 1, sendTimeout: 20, sendBuffer: 1 })
  const stream = sock.duplex()
  stream.resume()
  await new Promise<void>((resolve, reject) =>
    stream.write('taken', (error) => (error ? reject(error) : resolve()))
  )
  expect(stream.destroyed).toBe(false)
  const failed = once(stream, 'error')
  stream.write('no room')
  expect((await failed)[0]).toMatchObject({
    code: 'ETIMEDOUT',
    syscall: 'send'
  })
  expect(sock.closed).toBe(true)
})
