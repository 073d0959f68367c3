// A dialer whose system gets no answer at all: it does not wait as long as that.

import { setTimeout as sleep } from 'node:timers/promises'
import { Network, whyNoNetwork } from '../support/network'

// The system alone would go on for two minutes, with pauses of up to one.
const testHosts = whyNoNetwork === undefined ? test : test.skip
testHosts(
  'an address that does not answer is dialed anew after ten seconds' +
    (whyNoNetwork === undefined ? '' : ` (${whyNoNetwork})`),
  async () => {
    const listen = async (network: Network, url: string) => {
      const run = network.run(
        'right',
        async ({ lib, say }, url) => {
          await new lib.PairSocket().listen(url)
          say('ready')
        },
        url
      )
      await run.line('ready')
      return run
    }
    const dial = (network: Network, url: string, retry: boolean) =>
      network.run(
        'left',
        async ({ lib, say }, url, retry) => {
          const sock = new lib.PairSocket()
          let connects = 0
          sock.on('connect', () => say(`connect ${++connects}`))
          await sock.dial(url, { retry })
        },
        url,
        retry
      )
    /** Waits for the next dial of the left host, which is not answered. */
    const expectDial = async (network: Network, count: number) => {
      const start = performance.now()
      const waited = () => performance.now() - start
      while (network.dials('left') < count && waited() < 30_000) {
        await sleep(200)
      }
      expect(network.dials('left')).toBe(count)
      expect(waited()).toBeGreaterThan(5000)
      network.find('left')
    }

    const fromTheBeginning = async () => {
      const network = await Network.create()
      const url = network.url('right', 5000)
      await listen(network, url)
      network.swallow('left')
      const dialing = dial(network, url, true)
      await expectDial(network, 2)
      await dialing.line('connect 1')
    }
    const whenDialingAgain = async () => {
      const network = await Network.create()
      const url = network.url('right', 5000)
      const listening = await listen(network, url)
      const dialing = dial(network, url, false)
      await dialing.line('connect 1')
      network.swallow('left')
      // Its host says so to the dialer.
      listening.kill('SIGKILL')
      await listen(network, url)
      await expectDial(network, 3)
      await dialing.line('connect 2')
    }
    await Promise.all([fromTheBeginning(), whenDialingAgain()])
  },
  60_000
)
