// What an error was made of: itself, its cause, the cause of that, and so on, as far as it can be read.

import { isMooringsError, type MooringsError } from './base.js'
import { TransactionAbortedError } from './transaction.js'

/** Deeper than anybody wraps; what is below was wrapped in itself. */
const DEEPEST = 16

/** The outermost first. Of whatever it is given: getters may throw, and causes go round in circles. */
export function* causesOf(error: unknown): Generator<object> {
  const seen = new Set<object>()
  let one: unknown = error
  while (typeof one === 'object' && one !== null && !seen.has(one) && seen.size < DEEPEST) {
    seen.add(one)
    yield one
    try {
      one = 'cause' in one ? one.cause : undefined
    } catch {
      return
    }
  }
}

/** The outermost of ours, however it is wrapped; of a transaction that was aborted what it was aborted for, if that is ours. */
export function mooringsErrorIn(error: unknown): MooringsError | undefined {
  let ours: MooringsError | undefined
  for (const one of causesOf(error)) {
    if (!isMooringsError(one)) continue
    ours = one
    if (!(one instanceof TransactionAbortedError)) break
  }
  return ours
}
