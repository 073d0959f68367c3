import { freePort } from '../support/freePort'
import { Starters, type Outcome } from '../support/starters'
import { freeUrl, transports, type Transport } from '../support/transports'

const ROUNDS = 200
const FRESH_ROUNDS = 5

let starters: Starters | undefined

afterEach(() => starters?.kill())

async function urlFor(transport: Transport): Promise<string> {
  return transport === 'ipc'
    ? freeUrl(transport)
    : `tcp://127.0.0.1:${await freePort()}`
}

function expectMet([a, b]: Outcome[]): void {
  expect([a!.type, b!.type].sort()).toEqual(['dialer', 'listener'])
  expect(a!.received).toBe(`from ${b!.pid}`)
  expect(b!.received).toBe(`from ${a!.pid}`)
}

describe.each(transports)(
  'two processes that listenOrDial at once over %s',
  (transport) => {
    test('always meet as one listener and one dialer', async () => {
      starters = await Starters.start(2)
      for (let round = 0; round < ROUNDS; round++) {
        expectMet(await starters.run('meet', { url: await urlFor(transport) }))
        await starters.run('close')
      }
    })

    test('meet from their start on', async () => {
      for (let round = 0; round < FRESH_ROUNDS; round++) {
        const url = await urlFor(transport)
        const [started, outcomes] = Starters.startWith(2, 'meet', { url })
        starters = started
        expectMet(await outcomes)
        await starters.run('close')
        await starters.kill()
      }
    })
  }
)
