import { once } from 'node:events'
import * as fs from 'node:fs'
import * as net from 'node:net'

/** Leaves the socket file of a listener that is no more. */
export async function leaveDeadListener(file: string): Promise<void> {
  const server = net.createServer().listen(`${file}.dead`)
  await once(server, 'listening')
  fs.linkSync(`${file}.dead`, file)
  // Removes the name that it knows, and its socket is closed then and there.
  server.close()
  await once(server, 'close')
}
