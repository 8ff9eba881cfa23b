// Every failure that leaves Moorings is a MooringsError. `kind` says which group it belongs to, `name` which class,
// `code` is the SQLSTATE where the server gave one, and `cause` is the driver's own error. A file for each group.

export { suggestRecovery } from './constraints/recovery.js'
export { type Issue, toIssues } from './constraints/to-issues.js'
export {
  type IssueLike,
  type IssueProblemOptions,
  issuesToProblem,
  type Problem,
  type ProblemOptions,
  type ProblemStatus,
  toProblem,
} from './constraints/to-problem.js'
export * from './errors/acquire.js'
export {
  type ErrorKind,
  isMooringsError,
  MooringsError,
  type MooringsErrorOptions,
  type RetryAdvice,
} from './errors/base.js'
export * from './errors/config.js'
export * from './errors/connection.js'
export * from './errors/constraint.js'
export { errorFromJSON } from './errors/from-json.js'
export * from './errors/guard.js'
export * from './errors/session.js'
export * from './errors/statement.js'
export * from './errors/transaction.js'
