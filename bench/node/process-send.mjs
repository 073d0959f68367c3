// process.send() between a process and its child, with each serialization:
//
//   advanced  the structured clone algorithm: Buffers arrive as Buffers
//   json      text of as many characters; a Buffer would become an array of numbers
//
// It has a channel of its own, which only a parent can open: the listener starts the dialer.

import { spawn } from 'node:child_process'
import { WithCallback } from './with-callback.mjs'

export function listen(url, style, [program, ...args]) {
  const dialer = spawn(program, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    serialization: style
  })
  dialer.on('exit', (code, signal) => {
    if (code === 0) return
    throw new Error(`the dialer ended with ${signal ?? `code ${code}`}`)
  })
  return { url, connected: new styles[style](new Channel(dialer)) }
}

export function dial(url, style) {
  process.on('disconnect', () => process.exit())
  return new styles[style](new Channel(process))
}

class Channel {
  onmessage = () => {}
  #process
  #room = true
  #sent

  constructor(process) {
    this.#process = process
    process.on('message', (message) => this.onmessage(message))
  }

  // When Node says that too much is waiting, the next message has a callback, and its sender waits for that.
  send(message) {
    if (this.#room) {
      this.#room = this.#process.send(message)
      return true
    }
    this.#room = true
    this.#sent = new Promise((resolve) => this.#process.send(message, resolve))
    return false
  }

  drained() {
    return this.#sent
  }
}

class Text extends WithCallback {
  send(message) {
    return super.send(asText(message))
  }

  sendAll(payload, count) {
    return super.sendAll(asText(payload), count)
  }

  recvAll(tally) {
    return super.recvAll({ add: (text) => tally.addText(text) })
  }

  pingPong(payload, times) {
    return super.pingPong(asText(payload), times)
  }
}

function asText(bytes) {
  return bytes.toString('latin1')
}

const styles = { advanced: WithCallback, json: Text }
