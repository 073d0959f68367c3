import { connectedPair, transports } from './support/transports'

describe.each(transports)('an exchange over %s', (transport) => {
  test('messages arrive whole, in order, both ways', async () => {
    const { listening, dialing } = await connectedPair(transport)
    await listening.send('one')
    await listening.send(Buffer.from([0, 1, 2]))
    await dialing.send('')
    expect(String(await dialing.recv())).toBe('one')
    expect([...(await dialing.recv())]).toEqual([0, 1, 2])
    expect((await listening.recv()).length).toBe(0)
  })
})
