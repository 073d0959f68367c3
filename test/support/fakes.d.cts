export function exercise(
  lib: Pick<typeof import('../../lib'), 'PairSocket'>,
  url: string
): Promise<void>
export function standStill(
  ...sources: Pick<typeof globalThis, 'setImmediate' | 'setTimeout'>[]
): Promise<boolean>
export const ways: Record<string, () => void>
