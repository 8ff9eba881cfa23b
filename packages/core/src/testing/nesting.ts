// Random transactions in each other, and what befalls them: a program that can be run against a pool, and thought through
// by a model.

import fc from 'fast-check'

/** What befalls one attempt at COMMIT, if it comes that far. `applied` and `dropped`: on the server, unanswered. */
export type Fate = 'answered' | 'conflict' | 'applied' | 'dropped' | 'applied, unknown' | 'dropped, unknown'

const fates = ['answered', 'conflict', 'applied', 'dropped', 'applied, unknown', 'dropped, unknown'] as const

export type Step =
  | { readonly does: 'write' }
  /** A statement that fails: for ever, or as a deadlock's victim in the first attempt. */
  | { readonly does: 'fail'; readonly conflict: boolean; readonly caught: boolean }
  /** The connection goes, in the first attempt. */
  | { readonly does: 'lose' }
  | {
      readonly does: 'nest'
      readonly how: 'nested' | 'required'
      readonly body: Body
      /** What it throws is swallowed by the one around it. */
      readonly caught: boolean
    }
  | { readonly does: 'own'; readonly own: Program; readonly caught: boolean }
  /** Nested ones, all started at once; what they throw is swallowed. */
  | { readonly does: 'beside'; readonly bodies: readonly Body[] }

export interface Body {
  readonly steps: readonly Step[]
  /** `conflicts`: throws what a deadlock's victim is told, in the first attempt. */
  readonly ends: 'returns' | 'throws' | 'conflicts'
}

/** A transaction of its own. */
export interface Program {
  readonly body: Body
  /** One for each attempt; beyond them COMMIT is answered. */
  readonly fates: readonly Fate[]
}

export const { program: programs } = fc.letrec<{ step: Step; body: Body; program: Program }>((tie) => ({
  step: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    { weight: 4, arbitrary: fc.constant<Step>({ does: 'write' }) },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constant('fail' as const), conflict: fc.boolean(), caught: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.constant<Step>({ does: 'lose' }) },
    {
      weight: 4,
      arbitrary: fc.record({
        does: fc.constant('nest' as const),
        how: fc.constantFrom('nested' as const, 'required' as const),
        body: tie('body'),
        caught: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constant('own' as const), own: tie('program'), caught: fc.boolean() }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant('beside' as const),
        bodies: fc.array(tie('body'), { minLength: 2, maxLength: 3 }),
      }),
    },
  ),
  body: fc.record({
    steps: fc.array(tie('step'), { maxLength: 4 }),
    ends: fc.oneof(
      { weight: 5, arbitrary: fc.constant('returns' as const) },
      { weight: 1, arbitrary: fc.constantFrom('throws' as const, 'conflicts' as const) },
    ),
  }),
  program: fc.record({
    body: tie('body'),
    fates: fc.array(
      fc.oneof(
        { weight: 2, arbitrary: fc.constant<Fate>('answered') },
        { weight: 1, arbitrary: fc.constantFrom<Fate>(...fates) },
      ),
      { maxLength: 4 },
    ),
  }),
}))

/** What came, or should have come, of a program. */
export interface Outcome {
  /** Writes that are in the database, by where they are in the program, sorted: each as often as it is there. */
  readonly kept: readonly string[]
  /** What was done after the ends of transactions, in order. */
  readonly afterwards: readonly string[]
  readonly result: 'done' | 'failed' | 'exhausted' | 'unknown'
  readonly counts: Counts
}

export interface Counts {
  committed: number
  rolledBack: number
  unknown: number
  exhausted: number
  conflict: number
  lost: number
}

/** How often each program is run again at most. */
export const most = { conflict: 2, lost: 2 } as const
