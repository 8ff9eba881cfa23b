export { type Backoff, backoffDelay, connectBackoff } from './backoff.js'
export { Breaker, type BreakerSetup, type BreakerState, type BreakerStats } from './breaker/breaker.js'
export type { BreakerOptions, ResolvedBreakerOptions } from './breaker/breaker-options.js'
export { type BreakerHealth, breakerHealth, breakers, type RegisteredBreaker } from './breaker/breakers.js'
export type { Counts } from './breaker/counts.js'
export { type Guarded, type GuardOptions, guard } from './breaker/guard.js'
export { addCallerFrames } from './caller-frames.js'
export { type Clock, systemClock, type Timer } from './clock.js'
export type { Completion, Constraints } from './constraints/constraints.js'
export type {
  ConstraintWords,
  ErrorOptions,
  ResolvedErrorOptions,
  ViolationKind,
} from './constraints/errors-options.js'
export type { ConstraintFacts, TableSite } from './constraints/facts.js'
export {
  isCheckViolation,
  isConstraintViolation,
  isExclusionViolation,
  isForeignKeyViolation,
  isNotNullViolation,
  isUniqueViolation,
  matches,
  type Violated,
  type ViolationClass,
  type ViolationGuard,
  type ViolationSite,
  type ViolationTarget,
  violationIn,
} from './constraints/matching.js'
export type { ConstraintsCheck } from './constraints/said.js'
export type { ConstraintViolations, ViolationStats } from './constraints/violation-stats.js'
export { type Deadline, Deadlines } from './deadlines.js'
export type { AdviceKind, DeadlockAdvice, UnindexedForeignKey } from './deadlocks/advice.js'
export type { Deadlock, DeadlockSide, LockedObject } from './deadlocks/deadlock.js'
export { DeadlockLog } from './deadlocks/deadlock-log.js'
export { type DeadlockPair, type DeadlockReport, deadlockReport, type Relations } from './deadlocks/deadlock-report.js'
export { fingerprint } from './deadlocks/fingerprint.js'
export type {
  CommitOutcome,
  CommitTicket,
  Connection,
  ConnectRequest,
  Credentials,
  Driver,
  Endpoint,
  ErrorSite,
  ExecuteOptions,
  LogPosition,
  NamedConstraint,
  Result,
  Role,
  SessionState,
  Statement,
  Target,
  TransactionSettings,
  TransactionStatus,
  ViolationDetail,
  WorkAsking,
  WorkReport,
  WorkState,
} from './driver.js'
export { lendFields } from './errors/lend-fields.js'
export * from './errors.js'
export {
  type BreakerKind,
  type BreakerOwner,
  type CloseReason,
  type EventDetails,
  type EventName,
  type HealthStatus,
  type HookName,
  type LostState,
  type PoolEvents,
  type PoolIdentity,
  publish,
} from './events.js'
export { followCallChains, type Place, placeHere } from './frames.js'
export type { AcquireVerdict, HookContext, HookOptions } from './hooks.js'
export type { Logger } from './logger.js'
export {
  type Checked,
  checkBy,
  describeGiven,
  nearestName,
  pathTo,
  problemsIn,
  problemsOf,
  strictOptions,
  unknownOption,
} from './option-problems.js'
export {
  checkResilience,
  type HealthOptions,
  type PoolOptions,
  type Resilience,
  type ResilienceOptions,
  resolveResilience,
  type ScalingOptions,
  type StatementOptions,
} from './options.js'
export { type OptionsFromEnv, optionsFromEnv } from './options-env.js'
export type { Percentiles } from './pool/histogram.js'
export { Lease } from './pool/lease.js'
export { Pool } from './pool/pool.js'
export type {
  AcquireOptions,
  ConnectionSelector,
  ConnectionStats,
  EndpointStats,
  LivenessStats,
  PoolHealth,
  PoolSetup,
  PoolSize,
  PoolState,
  PoolStats,
  StartOptions,
  SuspendOptions,
} from './pool/setup.js'
export type { Taking } from './pool/stacks.js'
export { redact } from './redact.js'
export { type ManagedPool, type PoolFactories, PoolRegistry, type RegistryHealth } from './registry.js'
export {
  noteWrite,
  type ReadYourWrites,
  type ReadYourWritesOptions,
  readsItsWrites,
  withReadYourWrites,
} from './replicas/read-your-writes.js'
export type { ReplicaState } from './replicas/replica.js'
export { type ReplicaStats, Replicas, type ReplicasStats } from './replicas/replicas.js'
export { type ReplicasOptions, type ResolvedReplicasOptions, replicasOptions } from './replicas/replicas-options.js'
export {
  type Ambient,
  afterCommit,
  afterRollback,
  currentTransaction,
  outsideTransaction,
  Scopes,
  type Stretch,
  type TransactionContext,
} from './scope.js'
export type { SessionBody } from './session/run-session.js'
export { Session, type SessionContext } from './session/session.js'
export type { SessionDefaults } from './session/session-defaults.js'
export type { SessionOptions } from './session/session-options.js'
export type { SessionStats } from './session/session-stats.js'
export type { Source } from './session/source.js'
export { type Shareable, type SharedRequest, sharedPool } from './shared.js'
export type { StatementStats } from './statement/accounts.js'
export { idempotent, saidIdempotent } from './statement/idempotent.js'
export { Resends } from './statement/resends.js'
export type { TransactionStats } from './transaction/accounts.js'
export type { AfterEnd } from './transaction/after.js'
export { TestTransaction } from './transaction/test-transaction.js'
export type { Circumstances, Inside, ScopeBody } from './transaction/transact.js'
export {
  Transaction,
  type TransactionMark,
  type TransactionParts,
  type TransactionScope,
  type TransactionState,
} from './transaction/transaction.js'
export type { RootUse, TransactionDefaults } from './transaction/transaction-defaults.js'
export type {
  Jitter,
  Propagation,
  RetryNotice,
  RetryOptions,
  TransactionOptions,
} from './transaction/transaction-options.js'
