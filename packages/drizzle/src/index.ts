export {
  afterCommit,
  afterRollback,
  currentTransaction,
  type OptionsFromEnv,
  optionsFromEnv,
  outsideTransaction,
  type PoolStats,
  type Propagation,
  type ResilienceOptions,
  type RetryOptions,
  type TransactionContext,
  type TransactionOptions,
} from '@moorings/core'
export * from '@moorings/core/errors'
export { withResilience } from './resilience.js'
export type { Resilient, TransactionOf } from './types.js'
export { type TransactionHost, withTransaction } from './with-transaction.js'
