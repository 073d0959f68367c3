interface Watch {
  readonly calls: Set<() => void>
  readonly listener: () => void
}

const watches = new WeakMap<AbortSignal, Watch>()

/**
 * Calls back once when the signal is aborted. However many calls wait for a
 * signal, it has one listener of ours: Node warns of a leak from eleven on.
 */
export function onAbort(signal: AbortSignal, call: () => void): void {
  let watch = watches.get(signal)
  if (watch === undefined) {
    const calls = new Set<() => void>()
    watch = { calls, listener: () => calls.forEach((call) => call()) }
    watches.set(signal, watch)
    signal.addEventListener('abort', watch.listener)
  }
  watch.calls.add(call)
}

/** It need not be called back any more. */
export function offAbort(signal: AbortSignal, call: () => void): void {
  const watch = watches.get(signal)
  if (!watch?.calls.delete(call)) return
  if (watch.calls.size > 0) return
  watches.delete(signal)
  signal.removeEventListener('abort', watch.listener)
}

/** What a call rejects with whose signal is aborted. */
export function reasonOf(signal: AbortSignal): Error {
  const { reason } = signal as { readonly reason?: unknown }
  // What was given, null too. A signal that is not Node's may have none.
  if (reason !== undefined) return reason as Error
  return new DOMException('This operation was aborted', 'AbortError')
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal)
}
