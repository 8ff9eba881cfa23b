// What is wrong with options that a test expects to be refused.

import { InvalidOptionsError, type OptionProblem } from '../errors.js'
import { resolveResilience } from '../options.js'

export function problemsWith(input: unknown, path?: string): readonly OptionProblem[] {
  return problemsOfRefusal(() => resolveResilience(input, path))
}

/** For whatever else checks options. */
export function problemsOfRefusal(refused: () => unknown): readonly OptionProblem[] {
  try {
    refused()
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems
    throw error
  }
  throw new Error('these options were accepted')
}
