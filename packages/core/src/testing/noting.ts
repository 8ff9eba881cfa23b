// What transactions note for after their end, written down when it is done.

import type { TransactionContext } from '../scope.js'

export const no = () => Promise.reject(new Error('no'))

/** Notes both, under a name. */
export function noting(told: string[]): (context: TransactionContext, name: string) => void {
  return (context, name) => {
    context.afterCommit(() => told.push(`${name} committed`))
    context.afterRollback(() => told.push(`${name} rolled back`))
  }
}
