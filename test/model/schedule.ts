import fc, { type Arbitrary } from 'fast-check'
import { FAREWELLS, type Farewell } from './agent'
import { CANCELS, type Cancel } from './model'
import { PEERS, STRANGERS, type PeerKind, type StrangerKind } from './peers'

/** What a schedule does next. A call that has to wait is not waited for. */
export type Step =
  | { do: 'send'; size: number; cancel: Cancel }
  | { do: 'sendMany'; sizes: number[]; cancel: Cancel }
  | { do: 'trySend'; size: number }
  | { do: 'flood'; size: number }
  | { do: 'drain'; cancel: Cancel }
  | { do: 'recv'; cancel: Cancel }
  | { do: 'recvMany'; max: number; cancel: Cancel }
  | { do: 'tryRecv' }
  | { do: 'iterate'; count: number }
  | { do: 'listen'; count: number }
  | { do: 'turns'; count: number }
  | { do: 'no turn' }
  | { do: 'peer comes'; kind: PeerKind; reads: boolean; listens: boolean }
  | { do: 'peer sends'; sizes: number[]; cut: number }
  | { do: 'peer reads'; on: boolean }
  | { do: 'peer leaves'; how: Farewell }
  | { do: 'stranger comes'; kind: StrangerKind }
  | { do: 'reopen' }

/**
 * How it ends: with everything where it belongs; with a close in the middle of
 * it, with time or without; with a close of the peer.
 */
export const ENDS = ['settle', 'close', 'close now', 'peer closes'] as const

export interface Schedule {
  sendBuffer: number
  recvBuffer: number
  peerBuffers: number
  steps: Step[]
  end: (typeof ENDS)[number]
}

const cancel: Arbitrary<Cancel> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Cancel>('never') },
  { weight: 2, arbitrary: fc.constantFrom(...CANCELS) }
)

/** Around those at which something changes in the queues. */
const size = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(10, 11, 100) },
  { weight: 2, arbitrary: fc.constantFrom(4096, 4097, 5000) },
  { weight: 1, arbitrary: fc.constantFrom(16_375, 17_000, 70_000) }
)

const sizes = fc.array(size, { minLength: 1, maxLength: 6 })

/** A message of no bytes comes after one that says whose it is. */
const sizesOfPeer = fc
  .array(
    fc.oneof(
      { weight: 5, arbitrary: size },
      { weight: 1, arbitrary: fc.constant(0) }
    ),
    { maxLength: 6 }
  )
  .map((rest) => [10, ...rest])

/** More than is read ahead. */
const burst = fc
  .constantFrom(4096, 5000, 17_000)
  .map((size) => [10, ...Array.from({ length: 24 }, () => size)])

const step: Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('send' as const), size, cancel })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('sendMany' as const),
      sizes,
      cancel
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('trySend' as const), size })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('flood' as const),
      size: fc.constantFrom(5000, 16_000, 20_000, 200_000)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('drain' as const), cancel })
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('recv' as const), cancel })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('recvMany' as const),
      max: fc.constantFrom(1, 2, 5, 1000),
      cancel
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('tryRecv' as const) })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('iterate' as const),
      count: fc.integer({ min: 1, max: 4 })
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('listen' as const),
      count: fc.constantFrom(1, 3, 1000)
    })
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('turns' as const),
      count: fc.integer({ min: 1, max: 3 })
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('no turn' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('peer comes' as const),
      kind: fc.constantFrom(...PEERS),
      reads: fc.boolean(),
      listens: fc.boolean()
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('peer sends' as const),
      sizes: fc.oneof(
        { weight: 7, arbitrary: sizesOfPeer },
        { weight: 1, arbitrary: burst }
      ),
      cut: fc.nat(100)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('peer reads' as const),
      on: fc.boolean()
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('peer leaves' as const),
      how: fc.constantFrom(...FAREWELLS)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('stranger comes' as const),
      kind: fc.constantFrom(...STRANGERS)
    })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) }
)

/**
 * What steps by chance seldom come to: the kernel takes no more, and then the
 * peer, which has read nothing, dies.
 */
const deathWithAFullKernel: Arbitrary<Step[]> = fc
  .record({
    size: fc.constantFrom(5000, 16_000, 200_000),
    how: fc.constantFrom(...FAREWELLS)
  })
  .map(({ size, how }) => [
    { do: 'peer comes', kind: 'raw', reads: false, listens: false },
    { do: 'flood', size },
    { do: 'turns', count: 1 },
    { do: 'peer leaves', how }
  ])

const steps: Arbitrary<Step[]> = fc
  .array(
    fc.oneof(
      { weight: 40, arbitrary: step.map((one) => [one]) },
      { weight: 1, arbitrary: deathWithAFullKernel }
    ),
    { minLength: 1, maxLength: 40, size: 'max' }
  )
  .map((parts) => parts.flat())

export const schedules: Arbitrary<Schedule> = fc.record({
  sendBuffer: fc.constantFrom(0, 1, 2, 16, 128),
  recvBuffer: fc.constantFrom(0, 1, 2, 16, 128),
  peerBuffers: fc.constantFrom(0, 1, 128),
  steps,
  end: fc.constantFrom(...ENDS)
})

/** As a person reads it. */
export function describeSchedule({ steps, ...rest }: Schedule): string {
  return [JSON.stringify(rest), ...steps.map((s) => JSON.stringify(s))].join(
    '\n  '
  )
}
