// A socket that closes is gone for everybody else from then on: whoever is
// connected to it for a moment, while its close goes on, loses what it sends.

import { once } from 'node:events'
import { freeUrl, socket, transports } from './support/transports'

// The shortest back-off, so that a redial falls into the close if it can.
const EAGER = { reconnectMin: 1, reconnectMax: 1 }
const ROUNDS = 40
const SOON = { timeout: 5000 }

describe.each(transports)('while a socket closes, over %s', (transport) => {
  test('its dialer does not dial again', async () => {
    const staying = socket()
    const { url } = await staying.listen(freeUrl(transport))
    for (let round = 0; round < ROUNDS; round++) {
      const closing = socket(EAGER)
      const connected = once(staying, 'connect')
      await closing.dial(url)
      await connected
      const disconnected = once(staying, 'disconnect')
      const closed = closing.close()
      await disconnected
      await staying.send(`for the next one ${round}`)
      await closed

      const next = socket()
      await next.dial(url)
      expect(String(await next.recv(SOON))).toBe(`for the next one ${round}`)
      const gone = once(staying, 'disconnect')
      await next.close()
      await gone
    }
  })

  test('its listener takes nobody', async () => {
    const staying = socket(EAGER)
    let closing = socket()
    const { url } = await closing.listen(freeUrl(transport))
    await staying.dial(url)
    for (let round = 0; round < ROUNDS; round++) {
      const disconnected = once(staying, 'disconnect')
      const closed = closing.close()
      await disconnected
      await staying.send(`for the next one ${round}`)
      await closed

      closing = socket()
      const connected = once(staying, 'connect')
      await closing.listen(url)
      await connected
      expect(String(await closing.recv(SOON))).toBe(`for the next one ${round}`)
    }
  })
})
