import { setTimeout as sleep } from 'node:timers/promises'
import { Dialer, NngError, PairSocket } from '../index'
import type { ExchangeOptions, NodeNumber } from './arguments'
import { log } from './log'

/** What keeps the exchange from going on, as the log says it. */
class Failure extends Error {}

/** Why it failed, without what the log says already: the call and the URL. */
function reason(error: unknown): string {
  if (!(error instanceof NngError)) return String(error)
  const { code, syscall, address } = error
  const why = error.message
    .replace(`${syscall} ${code}: `, '')
    .replace(` '${address}'`, '')
  return `${why} (${code})`
}

/** A peer may send anything: control characters must not reach a terminal. */
function printable(message: Buffer): string {
  return message
    .toString()
    .replace(
      /\p{Cc}/gu,
      (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`
    )
}

/**
 * Runs one node: meets the other one at the URL, and sends and receives
 * messages in rounds. What happens is logged; the result says whether it all
 * went well.
 *
 * @param end ends the exchange early: it rejects with the signal's reason
 */
export async function exchange(
  node: NodeNumber,
  url: string,
  options: ExchangeOptions,
  end: AbortSignal
): Promise<boolean> {
  end.throwIfAborted()
  const sock = new PairSocket({ recvTimeout: options.timeout })
  end.addEventListener('abort', () => void sock.close({ timeout: 0 }))
  // A failure ends what runs beside it.
  const failed = new AbortController()
  const signal = AbortSignal.any([end, failed.signal])

  async function send(i: number): Promise<void> {
    const message = `message ${i} from node ${node}.`
    log(`Node ${node} sends ${message}`)
    await sock.send(message, { signal }).catch((error: unknown) => {
      throw new Failure(`failed sending a message: ${reason(error)}`)
    })
  }

  async function receive(): Promise<void> {
    const message = await sock.recv({ signal }).catch((error: unknown) => {
      throw new Failure(`failed receiving a message: ${reason(error)}`)
    })
    log(`Node ${node} received ${printable(message)}`)
  }

  const pause = () => sleep(options.interval, undefined, { signal })

  async function inTurn(): Promise<void> {
    for (let i = 0; i < options.count; i++) {
      await send(i)
      await receive()
      await pause()
    }
  }

  async function sendAll(): Promise<void> {
    for (let i = 0; i < options.count; i++) {
      await send(i)
      await pause()
    }
  }

  async function receiveAll(): Promise<void> {
    for (let i = 0; i < options.count; i++) await receive()
  }

  try {
    await meet(node, sock, url, options.timeout, signal)
    await Promise.all(
      options.concurrent ? [sendAll(), receiveAll()] : [inTurn()]
    )
    log(`Node ${node}: Done.`)
    return true
  } catch (error) {
    failed.abort(error)
    end.throwIfAborted()
    if (!(error instanceof Failure)) throw error
    log(`Node ${node} ${error.message}`)
    return false
  } finally {
    // A peer that does not read must not hold this node up for ever.
    await sock.close({ timeout: options.timeout })
  }
}

/** Listens at the URL, or else dials it. */
async function meet(
  node: NodeNumber,
  sock: PairSocket,
  url: string,
  timeout: number,
  signal: AbortSignal
): Promise<void> {
  const cannotListen = (error: unknown) =>
    log(
      `Node ${node} cannot listen on socket '${url}': ${reason(error)}\n` +
        'Trying to dial instead'
    )
  try {
    const endpoint = await sock.listenOrDial(url, { signal, timeout })
    if (endpoint instanceof Dialer) cannotListen(endpoint.listenError)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof NngError)) throw error
    cannotListen(error.cause)
    throw new Failure(
      `can neither listen nor dial on socket '${url}': ${reason(error)}`
    )
  }
}
