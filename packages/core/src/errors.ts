// Every failure that leaves Moorings is a MooringsError. `kind` says which group it belongs to, `name` which class,
// `code` is the SQLSTATE where the server gave one, and `cause` is the driver's own error.

/** The group an error belongs to: what a caller would switch on to decide whom to tell. */
export type ErrorKind = 'acquire' | 'connection' | 'statement' | 'transaction' | 'session' | 'constraint' | 'config'

/**
 * What may be done about an error.
 *
 * - `transaction`: run the whole transaction again (deadlock, serialization failure, stale plan, server turned read-only)
 * - `reconnect`: the connection is gone, and the transaction on it with it; on a new one the work may succeed
 * - `never`: the same call fails again
 * - `unknown`: whether the work was done cannot be told from here
 */
export type RetryAdvice = 'transaction' | 'reconnect' | 'never' | 'unknown'

export interface MooringsErrorOptions {
  code?: string | undefined
  cause?: unknown
  retry?: RetryAdvice
}

// Symbol.for: an error made by another copy of this package carries the same brand.
const lineage: unique symbol = Symbol.for('moorings.error.lineage') as never
const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

function lineageOf(value: unknown): readonly string[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    const names = lineage in value ? value[lineage] : undefined
    return Array.isArray(names) ? names : undefined
  } catch {
    // A getter or a proxy of somebody else's: none of ours.
    return undefined
  }
}

/**
 * Base of every error Moorings throws.
 *
 * `instanceof` works across two installed copies of the package: classes are recognised by a brand, not by identity.
 * Neither `message`, `toJSON()` nor `util.inspect` shows a parameter's value; `cause` does hold the driver's own error.
 *
 * @example
 * try {
 *   await db.insert(users).values(user)
 * } catch (error) {
 *   if (error instanceof MooringsError && error.code === '23505') reply.status(409)
 *   else throw error
 * }
 */
export class MooringsError extends Error {
  readonly kind: ErrorKind
  /** SQLSTATE of the server's error, a socket's code (`ECONNREFUSED`), or the driver's own (`UNDEFINED_VALUE`). */
  readonly code: string | undefined
  readonly retry: RetryAdvice

  static {
    named(this, 'MooringsError')
  }

  constructor(kind: ErrorKind, message: string, options: MooringsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.code = options.code
    this.retry = options.retry ?? 'never'
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    const own = Object.hasOwn(this.prototype, 'name') ? this.prototype.name : undefined
    if (own === undefined) return Function.prototype[Symbol.hasInstance].call(this, value)
    return lineageOf(value)?.includes(own) === true
  }

  /** What is safe to log or send: no stack, no parameter values, the cause only by name and code. */
  toJSON(): Record<string, unknown> {
    const json: Record<string, unknown> = { name: this.name, message: this.message }
    for (const [key, value] of Object.entries(this)) if (value !== undefined && key !== 'cause') json[key] = value
    const cause = describeCause(this.cause)
    if (cause !== undefined) json.cause = cause
    return json
  }

  /** The driver's own error often holds the row that failed; printing ours must not print that. */
  [inspectCustom](_depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    const { name: _name, message: _message, ...fields } = this.toJSON()
    return `${this.stack ?? `${this.name}: ${this.message}`} ${inspect(fields, options)}`
  }
}

function named(errorClass: { readonly prototype: MooringsError }, name: string): void {
  const { prototype } = errorClass
  Object.defineProperty(prototype, 'name', { value: name, configurable: true, writable: true })
  const inherited = lineageOf(Object.getPrototypeOf(prototype)) ?? []
  Object.defineProperty(prototype, lineage, { value: Object.freeze([...inherited, name]) })
}

function describeCause(cause: unknown): { name: string; code?: string } | undefined {
  if (typeof cause !== 'object' || cause === null) return undefined
  const name = 'name' in cause && typeof cause.name === 'string' ? cause.name : 'Error'
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
  return code === undefined ? { name } : { name, code }
}

/** Whether a value is one of ours, also from another copy of the package. */
export function isMooringsError(value: unknown): value is MooringsError {
  return value instanceof MooringsError
}

// --- acquire: no connection could be had ---

/** What the pool looked like when an acquire gave up. */
export interface PoolCounts {
  idle: number
  leased: number
  connecting: number
  waiting: number
  max: number
  overflow: number
}

/** Somebody who holds a connection. */
export interface LeaseHolder {
  /** The connection's. */
  readonly id: number
  readonly heldMs: number
  /** Where it was taken, `file:line:column`; undefined for an ORM's single statement, which takes no note of it. */
  readonly takenAt: string | undefined
}

/**
 * No connection within `acquireTimeoutMs`. `pool` holds the counts, `holders` who has held a connection for longest (the
 * three first of them), `cause` the last failure to connect, if any.
 */
export class AcquireTimeoutError extends MooringsError {
  readonly waitedMs: number
  readonly pool: PoolCounts
  readonly holders: readonly LeaseHolder[]
  static {
    named(this, 'AcquireTimeoutError')
  }
  constructor(waitedMs: number, pool: PoolCounts, holders: readonly LeaseHolder[] = [], cause?: unknown) {
    super(
      'acquire',
      `No connection within ${Math.round(waitedMs)} ms (${describeCounts(pool)})${describeHolders(holders)}${
        cause instanceof Error ? `; the last connect failed: ${cause.message}` : ''
      }`,
      { cause, retry: 'reconnect' },
    )
    this.waitedMs = waitedMs
    this.pool = pool
    this.holders = holders
  }
}

function describeHolders(holders: readonly LeaseHolder[]): string {
  const [longest] = holders
  if (longest === undefined) return ''
  const taken = longest.takenAt === undefined ? '' : `, taken at ${longest.takenAt}`
  return `; the longest held for ${Math.round(longest.heldMs)} ms${taken}`
}

/**
 * A caller that holds a connection of this pool waits for another, all others are held by callers that do the same,
 * and none of them has sent anything for a second. Usually the root `db` was used inside a transaction.
 */
export class SelfDeadlockError extends MooringsError {
  readonly pool: PoolCounts
  readonly holders: readonly LeaseHolder[]
  static {
    named(this, 'SelfDeadlockError')
  }
  constructor(pool: PoolCounts, holders: readonly LeaseHolder[]) {
    super(
      'acquire',
      `This caller holds a connection and waits for another one, while every connection of the pool is held by callers that wait like it (${describeCounts(pool)})${describeHolders(holders)}. Inside a transaction, use the transaction's own handle; or raise resilience.pool.max`,
    )
    this.pool = pool
    this.holders = holders
  }
}

/** The pool is suspended (`pool.suspend()`), and has been for longer than callers are to wait for it. */
export class PoolSuspendedError extends MooringsError {
  static {
    named(this, 'PoolSuspendedError')
  }
  constructor(suspendedMs: number) {
    super('acquire', `The pool was suspended ${Math.round(suspendedMs)} ms ago and was not resumed`, {
      retry: 'reconnect',
    })
  }
}

/** A hook of the application's own threw, rejected, or took too long; `cause` is what it threw. */
export class HookError extends MooringsError {
  readonly hook: string
  static {
    named(this, 'HookError')
  }
  constructor(hook: string, message: string, options: MooringsErrorOptions = {}) {
    super('acquire', `The ${hook} hook ${message}`, options)
    this.hook = hook
  }
}

/** The pool is closing or closed. */
export class PoolClosedError extends MooringsError {
  static {
    named(this, 'PoolClosedError')
  }
  constructor(message = 'The pool is closed: no connection can be taken from it') {
    super('acquire', message)
  }
}

/** As many callers wait as `maxWaiters` allows: refused at once rather than queued without hope. */
export class QueueFullError extends MooringsError {
  readonly pool: PoolCounts
  static {
    named(this, 'QueueFullError')
  }
  constructor(maxWaiters: number, pool: PoolCounts) {
    super('acquire', `${maxWaiters} callers already wait for a connection (maxWaiters); ${describeCounts(pool)}`, {
      retry: 'reconnect',
    })
    this.pool = pool
  }
}

function describeCounts(pool: PoolCounts): string {
  return `${pool.leased} leased, ${pool.idle} idle, ${pool.connecting} connecting, ${pool.waiting} waiting; max ${pool.max}, overflow ${pool.overflow}`
}

/** The caller's AbortSignal fired while it waited; `cause` is the signal's reason. */
export class AcquireAbortedError extends MooringsError {
  static {
    named(this, 'AcquireAbortedError')
  }
  constructor(cause: unknown) {
    super('acquire', 'The wait for a connection was aborted by its signal', { cause })
  }
}

// --- connection: it could not be made, or it is gone ---

/** A connection could not be made. With several endpoints, `cause` is an AggregateError of one failure each. */
export class ConnectError extends MooringsError {
  readonly endpoint: string | undefined
  static {
    named(this, 'ConnectError')
  }
  constructor(message: string, options: MooringsErrorOptions & { endpoint?: string } = {}) {
    super('connection', message, { retry: 'reconnect', ...options })
    this.endpoint = options.endpoint
  }
}

/** The server refused the credentials (28000, 28P01), or none could be had. Retrying the same ones cannot help. */
export class AuthenticationError extends ConnectError {
  static {
    named(this, 'AuthenticationError')
  }
  constructor(message: string, options: MooringsErrorOptions & { endpoint?: string } = {}) {
    super(message, { ...options, retry: 'never' })
  }
}

/** The connection went away. `code` keeps the server's own reason (57P01, 25P03, …) when it gave one. */
export class ConnectionLostError extends MooringsError {
  /**
   * False when the statement it is about surely was not carried out: the server was not asked to. Undefined when it may
   * have been.
   */
  readonly sent: false | undefined
  static {
    named(this, 'ConnectionLostError')
  }
  constructor(message: string, { sent, ...options }: MooringsErrorOptions & { sent?: false | undefined } = {}) {
    super('connection', message, { retry: 'reconnect', ...options })
    this.sent = sent
  }
}

/** A lease was used after it had been given back. */
export class LeaseReleasedError extends MooringsError {
  static {
    named(this, 'LeaseReleasedError')
  }
  constructor() {
    super('connection', 'This lease was released: its connection may belong to somebody else by now')
  }
}

/** The endpoint accepts no writes (25006): it is a standby, or was demoted. */
export class ReadOnlyEndpointError extends MooringsError {
  static {
    named(this, 'ReadOnlyEndpointError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super('connection', message, { retry: 'transaction', ...options })
  }
}

// --- statement ---

/** A statement was refused for a reason with no class of its own: syntax, privileges, a bad or undefined value. */
export class StatementError extends MooringsError {
  /** False when it surely was not sent: the state of the connection does not allow it. Undefined when the server refused it. */
  readonly sent: false | undefined
  static {
    named(this, 'StatementError')
  }
  constructor(message: string, { sent, ...options }: MooringsErrorOptions & { sent?: false | undefined } = {}) {
    super('statement', message, options)
    this.sent = sent
  }
}

/** A statement took longer than our limit. The server's own `statement_timeout` shows as StatementCancelledError. */
export class StatementTimeoutError extends StatementError {
  static {
    named(this, 'StatementTimeoutError')
  }
}

/** A statement was cancelled: by an AbortSignal, `query.cancel()`, or somebody on the server (57014). */
export class StatementCancelledError extends StatementError {
  static {
    named(this, 'StatementCancelledError')
  }
}

/** A lock was not had within `lock_timeout`, or at once with NOWAIT (55P03). */
export class LockTimeoutError extends StatementError {
  static {
    named(this, 'LockTimeoutError')
  }
}

// --- transaction ---

/** What has happened to a transaction as a whole; the base of those that follow. */
export class TransactionError extends MooringsError {
  static {
    named(this, 'TransactionError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super('transaction', message, options)
  }
}

/** The server chose this transaction as a deadlock's victim (40P01). */
export class DeadlockError extends TransactionError {
  static {
    named(this, 'DeadlockError')
  }
}

/** Concurrent transactions could not be put in any order (40001). */
export class SerializationError extends TransactionError {
  static {
    named(this, 'SerializationError')
  }
}

/** A transaction's handle was used after it had ended. Nothing was sent. */
export class TransactionEndedError extends TransactionError {
  static {
    named(this, 'TransactionEndedError')
  }
}

/**
 * A transaction was used while a nested one is open inside of it. Nothing was sent: it would have landed in the nested
 * one, and gone with it. Use the nested one's handle, or wait for its end.
 */
export class NestedTransactionOpenError extends TransactionError {
  static {
    named(this, 'NestedTransactionOpenError')
  }
}

/** A transaction was wanted where there must be none, none where there must be one, or a durable one inside another. */
export class PropagationError extends TransactionError {
  static {
    named(this, 'PropagationError')
  }
}

/** The root database was used inside `db.transaction()`, which `rootUse: 'error'` forbids. Nothing was sent. */
export class RootUseError extends TransactionError {
  static {
    named(this, 'RootUseError')
  }
}

/** A transaction took longer than its `timeoutMs`, over all attempts. It was rolled back. */
export class TransactionTimeoutError extends TransactionError {
  static {
    named(this, 'TransactionTimeoutError')
  }
}

/** A transaction was ended by its `signal`. It was rolled back. `cause` is the signal's reason. */
export class TransactionCancelledError extends TransactionError {
  static {
    named(this, 'TransactionCancelledError')
  }
}

/**
 * A transaction was run again as often as it may be, and failed each time. Nothing of it was applied. `cause` is what the
 * last attempt failed with, and `code` its code.
 */
export class RetriesExhaustedError extends TransactionError {
  /** How often it was run. */
  readonly attempts: number
  /** What each of them failed with. Not enumerable: `cause` is the last of them. */
  declare readonly errors: readonly unknown[]
  static {
    named(this, 'RetriesExhaustedError')
  }
  constructor(errors: readonly unknown[], why: string) {
    const last = errors.at(-1)
    const said = isMooringsError(last) ? `: ${last.message}` : ''
    super(`The transaction failed ${errors.length} times, ${why}${said}`, {
      code: codeIn(last),
      cause: last,
    })
    this.attempts = errors.length
    Object.defineProperty(this, 'errors', { value: Object.freeze([...errors]), enumerable: false })
  }
}

function codeIn(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** COMMIT was answered by ROLLBACK: a statement had failed earlier. `cause` is that first error, if it passed through us. */
export class TransactionAbortedError extends TransactionError {
  static {
    named(this, 'TransactionAbortedError')
  }
}

/** The connection was lost while COMMIT was under way: it may or may not have happened. */
export class CommitOutcomeUnknownError extends TransactionError {
  static {
    named(this, 'CommitOutcomeUnknownError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super(message, { ...options, retry: 'unknown' })
  }
}

// --- session ---

/** What has happened to a session as a whole; the base of those that follow. */
export class SessionError extends MooringsError {
  static {
    named(this, 'SessionError')
  }
  constructor(message: string, options: MooringsErrorOptions = {}) {
    super('session', message, options)
  }
}

/** A session was used after it had ended: its body has returned, or its `signal` has fired. Nothing was sent. */
export class SessionEndedError extends SessionError {
  static {
    named(this, 'SessionEndedError')
  }
}

/**
 * A session took longer than its `maxDurationMs`. What ran on it was stopped, an open transaction was rolled back, and its
 * connection is gone. Whatever uses it after that gets this error as well.
 */
export class SessionExpiredError extends SessionEndedError {
  static {
    named(this, 'SessionExpiredError')
  }
}

/**
 * A session's one connection was not free in time: a transaction in it went on for longer than `acquireTimeoutMs`, or for
 * one, statements did. Usually the session is used beside a transaction in it, from where it does not join that.
 */
export class SessionBusyError extends SessionError {
  static {
    named(this, 'SessionBusyError')
  }
}

// --- constraint ---

/** Where a constraint was violated, in the database's own names. */
export interface ConstraintSite {
  constraint?: string | undefined
  schema?: string | undefined
  table?: string | undefined
  columns?: readonly string[] | undefined
}

/** A row broke a constraint. The subclasses say which kind. */
export class ConstraintViolationError extends MooringsError {
  readonly constraint: string | undefined
  readonly schema: string | undefined
  readonly table: string | undefined
  /** Column names where they are known for certain; undefined where they are not. */
  readonly columns: readonly string[] | undefined
  static {
    named(this, 'ConstraintViolationError')
  }
  constructor(message: string, site: ConstraintSite, options: MooringsErrorOptions = {}) {
    super('constraint', message, options)
    this.constraint = site.constraint
    this.schema = site.schema
    this.table = site.table
    this.columns = site.columns
  }
}

/** 23505. */
export class UniqueViolationError extends ConstraintViolationError {
  static {
    named(this, 'UniqueViolationError')
  }
}

/** 23503, and 23001 (PostgreSQL 18's code for ON DELETE RESTRICT). */
export class ForeignKeyViolationError extends ConstraintViolationError {
  static {
    named(this, 'ForeignKeyViolationError')
  }
}

/** 23502. */
export class NotNullViolationError extends ConstraintViolationError {
  static {
    named(this, 'NotNullViolationError')
  }
}

/** 23514. */
export class CheckViolationError extends ConstraintViolationError {
  static {
    named(this, 'CheckViolationError')
  }
}

/** 23P01. */
export class ExclusionViolationError extends ConstraintViolationError {
  static {
    named(this, 'ExclusionViolationError')
  }
}

// --- config ---

/** One thing wrong with the options. `given` never holds a secret. */
export interface OptionProblem {
  /** Where, as one would write it: `resilience.pool.max`. */
  path: string
  /** What was given, shortened; `(hidden)` where it may be a secret. */
  given: string
  /** What is allowed there. */
  allowed: string
}

/** The options are wrong. All problems are listed at once, and nothing was started. */
export class InvalidOptionsError extends MooringsError {
  readonly problems: readonly OptionProblem[]
  static {
    named(this, 'InvalidOptionsError')
  }
  constructor(problems: readonly OptionProblem[]) {
    super(
      'config',
      `Invalid options:\n${problems.map((p) => `  ${p.path}: given ${p.given}; allowed: ${p.allowed}`).join('\n')}`,
    )
    this.problems = problems
  }
}
