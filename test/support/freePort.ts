import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import * as net from 'node:net'

/**
 * A port that nobody uses, below those that systems hand out by themselves:
 * it stays free until somebody asks for it by number.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_768)
    const server = net.createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch {
      continue
    }
    server.close()
    await once(server, 'close')
    return port
  }
}
