import { inspect } from 'node:util'
import { PairSocket } from '../lib'
import { connectedPair, freeUrl, socket } from './support/transports'

test('a socket is shown with its state, peer, endpoints and counts', async () => {
  const { listening, dialing, url } = await connectedPair('tcp')
  await dialing.send('x')
  await listening.recv()
  const shown = inspect(listening, { breakLength: Infinity, compact: 10 })
  expect(shown).toMatch(/^PairSocket \{ state: 'connected', peer: \{ /)
  expect(shown).toContain(`endpoints: [ { type: 'listener', url: '${url}' } ]`)
  expect(shown).toMatch(/counts: \{ .*messagesReceived: 1,/)
  expect(shown).not.toContain('_events')
  expect(inspect(dialing)).toContain("type: 'dialer'")
})

test('every state has its word', async () => {
  const sock = socket()
  const state = () => /state: '(\w+)'/.exec(inspect(sock))?.[1]
  expect(state()).toBe('idle')
  await sock.listen(freeUrl('tcp'))
  expect(state()).toBe('waiting')
  const closed = sock.close()
  expect(state()).toBe('closing')
  await closed
  expect(state()).toBe('closed')
})

test('depth, style, and what a class adds are respected', () => {
  class Link extends PairSocket {
    label = 'mine'
  }
  const link = new Link()
  expect(inspect(link)).toMatch(/^Link \{\n {2}label: 'mine',\n {2}state: /)
  expect(inspect({ a: { link } }, { depth: 1 })).toContain('[Link]')
  expect(inspect({ a: { link } }, { depth: 2 })).toContain('counts: [Object]')
  expect(inspect({ link }, { depth: null })).toContain('unreadMessages: 0')
  expect(inspect(link, { colors: true })).toContain("\u001b[32m'idle'")
  link.constructor = null as never
  expect(inspect(link)).toMatch(/^PairSocket \{/)
})

test('the prototype and what inherits from it can be shown', () => {
  // Of a prototype, util.inspect does not ask.
  expect(() => inspect(PairSocket.prototype)).not.toThrow()
  const { prototype } = PairSocket
  expect(prototype[inspect.custom](2, { stylize: String }, inspect)).toBe(
    'PairSocket {}'
  )
  expect(inspect(Object.create(PairSocket.prototype))).toBe('PairSocket {}')
})
