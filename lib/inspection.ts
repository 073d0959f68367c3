import type { InspectOptionsStylized, inspect as Inspect } from 'node:util'

/** The method that `util.inspect` and `console.log` call. */
export const inspectCustom: typeof Inspect.custom = Symbol.for(
  'nodejs.util.inspect.custom'
) as never

/** What that method is given. */
export type InspectArguments = [
  depth: number | null,
  options: InspectOptionsStylized,
  inspect: typeof Inspect
]

/** Of its class, which may be a user's, and whatever that makes of it. */
function classOf(object: object, otherwise: string): string {
  try {
    const { name } = object.constructor
    return typeof name === 'string' && name !== '' ? name : otherwise
  } catch {
    return otherwise
  }
}

/** An object as `util.inspect` would write it if it had these properties. */
export function show(
  object: object,
  otherwise: string,
  properties: () => object,
  [depth, options, inspect]: InspectArguments
): string {
  const name = classOf(object, otherwise)
  if (depth !== null && depth < 0)
    return options.stylize(`[${name}]`, 'special')
  return `${name} ${inspect(properties(), { ...options, depth })}`
}

/** What a user's class has added to an emitter. */
export function ownProperties(emitter: object): object {
  return Object.fromEntries(
    Object.entries(emitter).filter(
      ([name]) => !name.startsWith('_') && name !== 'domain'
    )
  )
}
