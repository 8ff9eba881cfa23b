// Work that is begun where it is asked for. Queries of Drizzle and of postgres.js are lazy: what a body returns may be sent
// only when it is waited for, and whoever waits may be outside of what the body was to be inside of.

import { InvalidOptionsError } from './errors.js'
import { describeGiven } from './option-problems.js'

/** @throws InvalidOptionsError: whoever has forgotten the `() =>` in front is told so at once */
export function assertFunction(given: unknown, path: string): void {
  if (typeof given === 'function') return
  throw new InvalidOptionsError([{ path, given: describeGiven(given), allowed: 'a function' }])
}

/** Calls it, and begins what it returns, in the current call chain. What it throws is a rejection as well. */
export function begun<T>(work: () => PromiseLike<T> | T): Promise<T> {
  return new Promise((resolve, reject) => {
    const value = work()
    if (isLazy(value)) value.then(resolve, reject)
    else resolve(value)
  })
}

export function isLazy<T>(value: PromiseLike<T> | T): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
