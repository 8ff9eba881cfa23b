// An error that stands for a violation without being one has the fields of one, as guards say of it.

import type { ConstraintViolationError } from './constraint.js'

/**
 * Gives the error all fields of the violation that it has none of its own for. Not enumerable: in a log they stand with the
 * violation itself. What is learnt of that later is there as well.
 */
export function lendFields(error: object, violation: ConstraintViolationError): void {
  for (const key of [...Object.keys(violation), 'values']) {
    if (key in error) continue
    Object.defineProperty(error, key, { get: () => Reflect.get(violation, key), configurable: true })
  }
}
