// What an HTTP API answers when one of our errors reaches it: problem details, with the status that a client can act upon.
// Nothing in them is the database's own: no statement, no value, no name of a constraint, a table or a host.

import {
  AcquireAbortedError,
  AcquireTimeoutError,
  CircuitOpenError,
  HookError,
  PoolClosedError,
  PoolSuspendedError,
  QueueFullError,
  SelfDeadlockError,
} from '../errors/acquire.js'
import type { MooringsError } from '../errors/base.js'
import { isViolation, mooringsErrorIn, mooringsErrorsIn } from '../errors/causes.js'
import { ConnectError, ConnectionLostError, ReadOnlyEndpointError } from '../errors/connection.js'
import { type ConstraintViolationError, ForeignKeyViolationError } from '../errors/constraint.js'
import { GuardTimeoutError } from '../errors/guard.js'
import { SessionBusyError, SessionExpiredError } from '../errors/session.js'
import { LockTimeoutError, StatementCancelledError, StatementTimeoutError } from '../errors/statement.js'
import {
  CommitOutcomeUnknownError,
  DeadlockError,
  RetriesExhaustedError,
  SerializationError,
  TransactionCancelledError,
  TransactionTimeoutError,
} from '../errors/transaction.js'
import { type PathStep, pointerTo } from './pointers.js'
import { messageFor, pathsOf } from './to-issues.js'
import { kindOf } from './violation-stats.js'

/** All that there are: a literal, as frameworks with typed responses (Hono) take it. */
export type ProblemStatus = 409 | 422 | 500 | 503 | 504

/** Problem details for HTTP APIs: `application/problem+json`, [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457). */
export interface Problem {
  /** `about:blank`, or what `typeBase` was given for. */
  readonly type: string
  /** What the status is called. */
  readonly title: string
  /** Of the HTTP response. */
  readonly status: ProblemStatus
  /** The application's own message for the constraint, or a sentence that gives nothing away. */
  readonly detail: string
  readonly instance?: string
  /** The application's own code for the constraint, or what it is: `unique-violation`, `overloaded`, `timeout`, … */
  readonly code: string
  /** Where in the request it is wrong: `pointer` is a JSON pointer as a URI fragment, `#/email`. */
  readonly errors?: readonly { readonly detail: string; readonly pointer: string }[]
  /** For the header `Retry-After`: the same request may succeed after so many seconds, and nothing was done by this one. */
  readonly retryAfterS?: number
}

export interface ProblemOptions {
  /** Names this one occurrence: a URI reference, as of the request or of the entry in a log. */
  readonly instance?: string | undefined
  /** What `type` is made of, with the code behind it: `https://shop.example/problems/`. Default: `type` is `about:blank`. */
  readonly typeBase?: string | undefined
  /** Instead of ours, which are 1 after a conflict, 2 under overload, and 5 where the database cannot be reached. */
  readonly retryAfterS?: number | undefined
}

/** What an error comes to. */
interface Verdict {
  readonly status: ProblemStatus
  readonly code: string
  readonly detail: string
  readonly retryAfterS?: number
}

/** As https://www.iana.org/assignments/http-status-codes calls them: with `about:blank` the title is to be that. */
const titles: Readonly<Record<ProblemStatus, string>> = {
  409: 'Conflict',
  422: 'Unprocessable Content',
  500: 'Internal Server Error',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

const internal: Verdict = { status: 500, code: 'internal-error', detail: 'The request could not be carried out' }
const timeout: Verdict = { status: 504, code: 'timeout', detail: 'The request took too long and was given up' }
const conflict: Verdict = {
  status: 503,
  code: 'conflict',
  detail: 'The request was in the way of another one; nothing of it was done',
  retryAfterS: 1,
}
const overloaded: Verdict = {
  status: 503,
  code: 'overloaded',
  detail: 'Too many requests are being carried out',
  retryAfterS: 2,
}
const unavailable: Verdict = {
  status: 503,
  code: 'unavailable',
  detail: 'The database cannot be reached',
  retryAfterS: 5,
}
/** As a violated check: this request will not do, however often it is sent. The server does not say which value it was. */
const unfit: Verdict = { status: 422, code: 'invalid-value', detail: 'A value in the request cannot be taken' }
/** Whoever is told when to come again comes again: not where the first time may have been enough. */
const interrupted: Verdict = {
  status: 503,
  code: 'interrupted',
  detail: 'The connection to the database was lost; the request may have been carried out',
}
/** Neither 503 nor 504, which proxies and clients answer by sending the same once more. */
const unknown: Verdict = {
  status: 500,
  code: 'outcome-unknown',
  detail: 'Whether the request was carried out is not known: look before sending it again',
}

/**
 * A text that is too long, or not in the form of its type; a number or a time out of range; characters that cannot be
 * stored; a page of less than no rows. Not all of class 22: division by zero or a bad pattern are more likely the program's own.
 */
const unfitValue = /^22(?:001|003|007|008|009|018|01W|01X|021|030|032|P02|P05)$/

type ErrorClass = abstract new (...args: never) => MooringsError

/** The first that fits counts. What is in none of these is a fault of the application's or the server's: 500. */
const verdicts: readonly (readonly [ErrorClass, Verdict | ((error: MooringsError) => Verdict)])[] = [
  [CommitOutcomeUnknownError, unknown],
  [RetriesExhaustedError, ({ cause }) => (mooringsErrorIn(cause)?.kind === 'connection' ? unavailable : conflict)],
  [DeadlockError, conflict],
  [SerializationError, conflict],
  [LockTimeoutError, conflict],
  [StatementTimeoutError, timeout],
  // Also by the server's `statement_timeout`, which shows as nothing else.
  [StatementCancelledError, timeout],
  [TransactionTimeoutError, timeout],
  [TransactionCancelledError, timeout],
  [SessionExpiredError, timeout],
  [GuardTimeoutError, timeout],
  [AcquireAbortedError, timeout],
  [AcquireTimeoutError, overloaded],
  [QueueFullError, overloaded],
  [SelfDeadlockError, overloaded],
  [SessionBusyError, overloaded],
  // Another instance of the application may serve it, or the next.
  [PoolClosedError, unavailable],
  [PoolSuspendedError, unavailable],
  [ReadOnlyEndpointError, unavailable],
  [CircuitOpenError, refused],
  [ConnectionLostError, (error) => (wasNotSent(error) ? unavailable : interrupted)],
  [ConnectError, unlessHopeless],
  [HookError, unlessHopeless],
]

/**
 * One of our errors, or what one has caused, as problem details for a response. Of several in an AggregateError the one
 * that tells most of what the request has come to: a violation only where there is nothing else.
 *
 * @returns undefined for what has nothing to do with Moorings
 * @example
 * app.onError((error, c) => {
 *   const problem = toProblem(error, { instance: c.req.path })
 *   // Here it ends: nobody hears of what is not reported.
 *   if (problem === undefined || problem.status === 500) report(error)
 *   if (problem === undefined) return c.text('Internal Server Error', 500)
 *   const { retryAfterS, ...details } = problem
 *   if (retryAfterS !== undefined) c.header('Retry-After', String(retryAfterS))
 *   return c.json(details, details.status, { 'Content-Type': 'application/problem+json' })
 * })
 */
export function toProblem(error: unknown, options: ProblemOptions = {}): Problem | undefined {
  const all = [...mooringsErrorsIn(error)]
  // Of several: what may have been done goes before what was not, and that before what the request itself is to blame for.
  const ours = all.find(({ retry }) => retry === 'unknown') ?? all.find((one) => !isViolation(one)) ?? all[0]
  if (ours === undefined) return undefined
  const violation = isViolation(ours) ? ours : undefined
  const verdict = violation === undefined ? verdictOf(ours) : refusal(violation)
  return problemOf(verdict, violation === undefined ? [] : all.filter(isViolation).flatMap(fieldsOf), options)
}

/** As Standard Schema has them; those of `toIssues`, Zod, Valibot and ArkType are such. */
export interface IssueLike {
  readonly message: string
  readonly path?: readonly PathStep[] | undefined
}

export interface IssueProblemOptions extends ProblemOptions {
  /** Default `invalid-input`. */
  readonly code?: string | undefined
  /** Default: a sentence that some of it cannot be taken. */
  readonly detail?: string | undefined
}

/**
 * Issues as problem details, with status 422, so that what a validator refuses looks like what the database refuses.
 *
 * @example
 * const parsed = newUser.safeParse(body)
 * if (!parsed.success) return c.json(issuesToProblem(parsed.error.issues, { instance: c.req.path }), 422)
 */
export function issuesToProblem(issues: readonly IssueLike[], options: IssueProblemOptions = {}): Problem {
  const { code = 'invalid-input', detail = 'Some of the request cannot be taken' } = options
  const errors = issues.map(({ message, path = [] }) => ({ detail: message, pointer: pointerTo(path) }))
  return problemOf({ status: 422, code, detail }, errors, options)
}

function problemOf(verdict: Verdict, errors: NonNullable<Problem['errors']>, options: ProblemOptions): Problem {
  const { status, code, detail } = verdict
  const { instance, typeBase } = options
  const retryAfterS = verdict.retryAfterS === undefined ? undefined : (options.retryAfterS ?? verdict.retryAfterS)
  return {
    type: typeBase === undefined ? 'about:blank' : `${typeBase}${encodeURIComponent(code)}`,
    title: titles[status],
    status,
    detail,
    ...(instance === undefined ? {} : { instance }),
    code,
    ...(errors.length === 0 ? {} : { errors }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  }
}

function verdictOf(error: MooringsError): Verdict {
  for (const [errorClass, verdict] of verdicts) {
    if (error instanceof errorClass) return typeof verdict === 'function' ? verdict(error) : verdict
  }
  const { code = '' } = error
  if (unfitValue.test(code)) return unfit
  // Disk full, out of memory, too many connections.
  return /^53...$/.test(code) ? unavailable : internal
}

function refusal(violation: ConstraintViolationError): Verdict {
  const kind = kindOf(violation)
  const code = violation.userCode ?? (kind === 'other' ? 'constraint-violation' : `${kind}-violation`)
  return { status: isConflict(violation) ? 409 : 422, code, detail: messageFor(violation) }
}

/** Rather with what is there already than with itself. */
function isConflict(violation: ConstraintViolationError): boolean {
  if (violation instanceof ForeignKeyViolationError) return violation.direction !== 'missing-parent'
  const kind = kindOf(violation)
  return kind === 'unique' || kind === 'exclusion'
}

function fieldsOf(violation: ConstraintViolationError): { detail: string; pointer: string }[] {
  const detail = messageFor(violation)
  return pathsOf(violation).map((path) => ({ detail, pointer: pointerTo(path) }))
}

function wasNotSent(error: MooringsError): boolean {
  return error instanceof ConnectionLostError && error.sent === false
}

/** It is known when there will be an answer. It need not be the database that is down. */
function refused(error: MooringsError): Verdict {
  const retryInMs = error instanceof CircuitOpenError ? error.retryInMs : undefined
  const detail = 'What the request needs cannot be reached'
  return {
    ...unavailable,
    detail,
    ...(retryInMs !== undefined && { retryAfterS: Math.max(1, Math.ceil(retryInMs / 1_000)) }),
  }
}

function unlessHopeless(error: MooringsError): Verdict {
  return error.retry === 'never' ? internal : unavailable
}
