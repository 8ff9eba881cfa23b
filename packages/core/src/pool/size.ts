// The part of the options that a living pool can change.

import { InvalidOptionsError, type OptionProblem } from '../errors.js'
import { describeGiven, problemsIn, unknownOption } from '../option-problems.js'
import { checkResilience } from '../options.js'

const names = ['min', 'minIdle', 'max', 'overflow'] as const

export type Size = Readonly<Record<(typeof names)[number], number>>

/**
 * The size of now with what is to change in it, by the rules of the options.
 *
 * @throws InvalidOptionsError with every problem there is
 */
export function changed({ min, minIdle, max, overflow }: Size, change: unknown): Size {
  if (typeof change !== 'object' || change === null) {
    throw new InvalidOptionsError([
      { path: 'size', given: describeGiven(change), allowed: '{ min, minIdle, max, overflow }' },
    ])
  }
  const given = Object.entries(change).filter(([, value]) => value !== undefined)
  const problems: OptionProblem[] = given
    .filter(([name]) => !names.some((known) => known === name))
    .map(([name, value]) => unknownOption('size', name, value, names))
  const known = given.filter(([name]) => names.some((one) => one === name))
  const checked = checkResilience({ pool: { min, minIdle, max, overflow, ...Object.fromEntries(known) } }, 'size')
  problems.push(...problemsIn(checked).map((problem) => ({ ...problem, path: problem.path.replace('.pool.', '.') })))
  if (!checked.ok || problems.length > 0) throw new InvalidOptionsError(problems)
  const { pool } = checked.value
  return { min: pool.min, minIdle: pool.minIdle, max: pool.max, overflow: pool.overflow }
}
