export { type OptionsFromEnv, optionsFromEnv, type PoolStats, type ResilienceOptions } from '@moorings/core'
export * from '@moorings/core/errors'
export { withResilience } from './resilience.js'
export type { TransactionOf } from './types.js'
