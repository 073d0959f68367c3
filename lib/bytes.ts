import { isAnyArrayBuffer } from 'node:util/types'
import { argumentError } from './errors'

// A caller's object can say anything of itself: a subclass has a length of its
// own, a getter calls us again, a prototype is borrowed. So the object is never
// asked. These ask the engine: they run none of the caller's code, and fail
// with what is not of their kind.
function getter(prototype: object, name: PropertyKey): unknown {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get
}
type Getter<T> = (this: unknown) => T

const { isView } = ArrayBuffer
const TypedArray = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
// The name of its class; of anything but a typed array, undefined.
const className = getter(TypedArray, Symbol.toStringTag) as Getter<
  string | undefined
>
const typedArray = {
  length: getter(TypedArray, 'length') as Getter<number>,
  buffer: getter(TypedArray, 'buffer') as Getter<ArrayBufferLike>,
  byteOffset: getter(TypedArray, 'byteOffset') as Getter<number>,
  byteLength: getter(TypedArray, 'byteLength') as Getter<number>
}
const dataView = {
  buffer: getter(DataView.prototype, 'buffer') as Getter<ArrayBufferLike>,
  byteOffset: getter(DataView.prototype, 'byteOffset') as Getter<number>,
  byteLength: getter(DataView.prototype, 'byteLength') as Getter<number>
}
const { length } = typedArray
const { keys } = TypedArray

/**
 * What can be sent: text (as UTF-8), the bytes of a buffer, or those that a
 * view shows.
 */
export type MessageData = string | ArrayBufferView | ArrayBufferLike

/** Text, or a true Uint8Array: nothing else has this type. */
export type Bytes = string | Uint8Array

/** Whether it is bytes as it is. */
export function isBytes(data: unknown): data is Bytes {
  return typeof data === 'string' || className.call(data) === 'Uint8Array'
}

/** The very object if it is text or a Uint8Array, else a view of its bytes. */
export function toBytes(data: unknown): Bytes {
  return isBytes(data) ? data : view(data)
}

/**
 * The size in bytes; of text, in characters. Fails if the memory is gone: the
 * length is 0 then, as that of an empty message.
 */
export function sizeOf(bytes: Bytes): number {
  if (typeof bytes === 'string') return bytes.length
  // An element is the array's own, and none of a prototype's. Once it has seen
  // one, an engine knows the class, and the length without a call.
  if (bytes[0] === undefined) checkMemory(bytes)
  return length.call(bytes)
}

/** Whether it has more than `max` bytes, given what `sizeOf` said. */
export function isLarger(bytes: Bytes, size: number, max: number): boolean {
  // No character takes more than three bytes.
  if (size * 3 <= max) return false
  return (typeof bytes === 'string' ? Buffer.byteLength(bytes) : size) > max
}

/**
 * A copy of an iterable, or undefined if it is none. Text is none: it would be
 * a message for each character. Fails with what it throws.
 */
export function listOf(messages: unknown): unknown[] | undefined {
  if (typeof messages === 'string') return undefined
  const iterable = messages as Iterable<unknown> | null | undefined
  return typeof iterable?.[Symbol.iterator] === 'function'
    ? [...iterable]
    : undefined
}

/**
 * Makes bytes of a list, in place. Returns the sum of what `sizeOf` says, or
 * -1 if one of them has more than `max` bytes.
 */
export function allToBytes(list: unknown[], max: number): number {
  let sum = 0
  let fits = true
  for (let i = 0; i < list.length; i++) {
    const bytes = toBytes(list[i])
    const size = sizeOf(bytes)
    list[i] = bytes
    sum += size
    if (isLarger(bytes, size, max)) fits = false
  }
  return fits ? sum : -1
}

function checkMemory(bytes: Uint8Array): void {
  try {
    keys.call(bytes)
  } catch {
    throw memoryIsGone()
  }
}

function view(data: unknown): Uint8Array {
  try {
    // Without its memory, each of these has something that throws.
    if (className.call(data) !== undefined) {
      keys.call(data as Uint8Array)
      return new Uint8Array(
        typedArray.buffer.call(data),
        typedArray.byteOffset.call(data),
        typedArray.byteLength.call(data)
      )
    }
    if (isView(data)) {
      return new Uint8Array(
        dataView.buffer.call(data),
        dataView.byteOffset.call(data),
        dataView.byteLength.call(data)
      )
    }
    if (isAnyArrayBuffer(data)) return new Uint8Array(data)
  } catch {
    throw memoryIsGone()
  }
  throw argumentError(
    'ERR_INVALID_ARG_TYPE',
    'a message must be a string, an ArrayBuffer or a view of one, not ' +
      (data === null ? 'null' : typeof data)
  )
}

function memoryIsGone(): Error {
  return argumentError(
    'ERR_INVALID_STATE',
    'the memory of a message must not be detached, nor a view be out of its bounds'
  )
}
