/**
 * Sets and maps that exist only once there is something in them: most of the
 * many that a socket has stay empty, and an idle socket shall cost little.
 * Until then everybody shares one that nothing is added to.
 */

const emptySet = new Set<never>()
const emptyMap = new Map<never, never>()

export function noSet<T>(): Set<T> {
  return emptySet
}

export function noMap<K, V>(): Map<K, V> {
  return emptyMap
}

/** The set with the item in it: the same one, or a new one instead of none. */
export function withItem<T>(set: Set<T>, item: T): Set<T> {
  return set === emptySet ? new Set([item]) : set.add(item)
}

/** The map with the entry in it; as above. */
export function withEntry<K, V>(map: Map<K, V>, key: K, value: V): Map<K, V> {
  return map === (emptyMap as Map<K, V>)
    ? new Map([[key, value]])
    : map.set(key, value)
}

/** The set without the item, and none of its own if that was the last. */
export function withoutItem<T>(set: Set<T>, item: T): Set<T> {
  set.delete(item)
  return set.size === 0 ? emptySet : set
}

/** The map without the entry; as above. */
export function withoutKey<K, V>(map: Map<K, V>, key: K): Map<K, V> {
  map.delete(key)
  return map.size === 0 ? emptyMap : map
}
