export {
  afterCommit,
  afterRollback,
  type BreakerHealth,
  type BreakerOptions,
  type BreakerStats,
  breakerHealth,
  breakers,
  type ConstraintsCheck,
  currentTransaction,
  type DeadlockReport,
  type Guarded,
  type GuardOptions,
  guard,
  idempotent,
  type OptionsFromEnv,
  optionsFromEnv,
  outsideTransaction,
  type PoolStats,
  type Propagation,
  type ReadYourWrites,
  type ReadYourWritesOptions,
  type RegisteredBreaker,
  type ResilienceOptions,
  type RetryOptions,
  type SessionContext,
  type SessionOptions,
  type SessionStats,
  type StatementStats,
  type TransactionContext,
  type TransactionOptions,
  type Violated,
  type ViolationStats,
  violationIn,
  withReadYourWrites,
} from '@moorings/core'
export * from '@moorings/core/errors'
export type { AdvisoryLockKey, AdvisoryLockOptions } from '@moorings/postgres'
export { beginTest, type Test } from './begin-test.js'
export type { TypeParsers } from './codec.js'
export {
  type OwnPoolConfig,
  ResilientPostgresDialect,
  type ResilientPostgresDialectConfig,
  type SharedPoolConfig,
} from './dialect.js'
export {
  isCheckViolation,
  isConstraintViolation,
  isExclusionViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isUniqueViolation,
  type ViolationGuard,
} from './guards.js'
export { checkConstraints, deadlockReport, violationStats } from './insight.js'
export { withAdvisoryLock } from './with-advisory-lock.js'
export { withReplica } from './with-replica.js'
export { withSession } from './with-session.js'
export { type TransactionHost, withTransaction } from './with-transaction.js'
