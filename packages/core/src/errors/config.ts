// Options that cannot be used.

import { MooringsError, named } from './base.js'

/** One thing wrong with the options. `given` never holds a secret. */
export interface OptionProblem {
  /** Where, as one would write it: `resilience.pool.max`. */
  path: string
  /** What was given, shortened; `(hidden)` where it may be a secret. */
  given: string
  /** What is allowed there. */
  allowed: string
}

/** The options are wrong. All problems are listed at once, and nothing was started. */
export class InvalidOptionsError extends MooringsError {
  readonly problems: readonly OptionProblem[]
  static {
    named(this, 'InvalidOptionsError')
  }
  constructor(problems: readonly OptionProblem[]) {
    super(
      'config',
      `Invalid options:\n${problems.map((p) => `  ${p.path}: given ${p.given}; allowed: ${p.allowed}`).join('\n')}`,
    )
    this.problems = problems
  }
}
