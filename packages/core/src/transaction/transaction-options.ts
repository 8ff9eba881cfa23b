// What may be said for a single transaction, held against what it may be, and completed by what the pool was told.

import { z } from 'zod'
import type { TransactionSettings } from '../driver.js'
import { InvalidOptionsError } from '../errors.js'
import { checkBy, describeGiven, strictOptions } from '../option-problems.js'
import { flag, milliseconds, word } from '../option-schemas.js'
import type { Resilience } from '../options.js'
import { completeRetry, type ResolvedRetry, type RetryOptions, retrySchema, usualRetry } from './retry-options.js'

export type { Jitter, RetryNotice, RetryOptions } from './retry-options.js'

/**
 * What a transaction makes of the one it is called in, if any.
 *
 * - `required`: is part of it; else a new one
 * - `requiresNew`: a new one of its own, on another connection
 * - `nested`: a savepoint in it; else a new one
 * - `supports`: is part of it; else none: each statement by itself
 * - `mandatory`: is part of it; else a PropagationError
 * - `never`: a PropagationError; else none
 * - `notSupported`: none, outside of it; the same if there is none
 */
export type Propagation = 'required' | 'requiresNew' | 'nested' | 'supports' | 'mandatory' | 'never' | 'notSupported'

/** Those with which there is a transaction whenever the body is run. */
export type TransactionalPropagation = Exclude<Propagation, 'supports' | 'never' | 'notSupported'>

/**
 * What may be said for a single transaction. What is not holds as `resilience.transaction` has it. Every duration is in
 * whole milliseconds, at most 2 147 483 647.
 *
 * With a propagation that may mean that there is no transaction: `TransactionOptions<Propagation>`.
 *
 * @example
 * await withTransaction(db, body, { isolationLevel: 'serializable', timeoutMs: 5_000, signal })
 * await withTransaction(db, report, { accessMode: 'read only', retry: false, settings: { 'app.tenant': 7 } })
 */
export interface TransactionOptions<P extends Propagation = TransactionalPropagation> extends TransactionSettings {
  /**
   * How it is run again when it failed for a reason that may pass; `false`: not at all, and the caller gets the error as it
   * is. What is not written is as in `resilience.transaction.retry`. A nested one is never retried by itself: the outermost is.
   */
  retry?: RetryOptions | false | undefined
  /**
   * Whether the server is asked what became of it when the answer to its COMMIT is lost. Default
   * `resilience.transaction.exactlyOnce`, which is true.
   */
  exactlyOnce?: boolean | undefined
  /**
   * How long it may take, in milliseconds: all attempts and the pauses between them, and the wait for a connection. Then
   * what runs is stopped and undone, and the caller gets a TransactionTimeoutError. 0 = no limit. Default
   * `resilience.transaction.timeoutMs`, which is 0.
   */
  timeoutMs?: number | undefined
  /** Ends it, as `timeoutMs` does, with a TransactionCancelledError. */
  signal?: AbortSignal | undefined
  /** Default `nested`. See {@link Propagation}. */
  propagation?: P | undefined
  /**
   * Whether its end must be the end: a PropagationError when it is called inside another transaction, whose roll-back would
   * undo it. Default false.
   */
  durable?: boolean | undefined
  /** How long each attempt waits for a connection, in milliseconds. Default `resilience.pool.acquireTimeoutMs`. */
  acquireTimeoutMs?: number | undefined
}

/** The same with every default filled in; frozen. */
export interface ResolvedTransaction {
  /** What goes with BEGIN. */
  readonly settings: Readonly<TransactionSettings>
  readonly retry: ResolvedRetry | false
  readonly exactlyOnce: boolean
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
  readonly propagation: Propagation
  readonly durable: boolean
  readonly acquireTimeoutMs: number | undefined
}

interface Known {
  readonly untouched: ResolvedTransaction
  readonly schema: ReturnType<typeof schemaOf>
}

/** By the defaults of a pool, which never change. */
const known = new WeakMap<Resilience['transaction'], Known>()

/**
 * Checks the options of one transaction, and completes them. With none written it costs next to nothing.
 *
 * @throws InvalidOptionsError with every problem there is
 */
export function resolveTransactionOptions(
  given: unknown,
  defaults: Resilience['transaction'],
  path = 'options',
): ResolvedTransaction {
  const { untouched, schema } = knownOf(defaults)
  if (given === undefined || isEmpty(given)) return untouched
  if (typeof given !== 'object' || given === null) {
    throw new InvalidOptionsError([{ path, given: describeGiven(given), allowed: 'an object' }])
  }
  const checked = checkBy(schema, given, path)
  if (checked.ok) return complete(checked.value, defaults)
  throw new InvalidOptionsError(checked.problems)
}

function isEmpty(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || Object.getPrototypeOf(given) !== Object.prototype) return false
  for (const _ in given) return false
  return true
}

function knownOf(defaults: Resilience['transaction']): Known {
  let found = known.get(defaults)
  if (found === undefined) {
    const schema = schemaOf(defaults)
    found = { schema, untouched: complete(schema.parse({}), defaults) }
    known.set(defaults, found)
  }
  return found
}

const roleName = 'the name of a role'
const text = 'a string without a zero byte, a finite number, or a boolean'
/** As PostgreSQL would have them (valid_custom_variable_name), but no letters beyond ASCII. */
const settingName = /^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)*$/

const settings = {
  isolationLevel: word(['read uncommitted', 'read committed', 'repeatable read', 'serializable']).optional(),
  accessMode: word(['read only', 'read write']).optional(),
  deferrable: flag().optional(),
  statementTimeoutMs: milliseconds(0).optional(),
  lockTimeoutMs: milliseconds(0).optional(),
  idleTimeoutMs: milliseconds(0).optional(),
  role: z
    .string({ error: roleName })
    .regex(/^[^\0]+$/, { error: roleName })
    .optional(),
  settings: z
    .record(
      z.string().regex(settingName),
      z.union([z.string().regex(/^[^\0]*$/, { error: text }), z.number(), z.boolean()], { error: text }),
      {
        error: ({ code }) =>
          code === 'invalid_key'
            ? 'only names of letters, digits, _ and $, joined by dots, as "app.tenant"'
            : 'an object of settings, as { "app.tenant": 7 }',
      },
    )
    .optional(),
} satisfies Record<keyof TransactionSettings, z.ZodType>

function schemaOf(defaults: Resilience['transaction']) {
  return strictOptions({
    ...settings,
    retry: retrySchema(defaults.retry || usualRetry).optional(),
    exactlyOnce: flag().default(defaults.exactlyOnce),
    timeoutMs: milliseconds(0).default(defaults.timeoutMs),
    signal: z.custom<AbortSignal>(isSignal, { error: 'an AbortSignal' }).optional(),
    propagation: word(['required', 'requiresNew', 'nested', 'supports', 'mandatory', 'never', 'notSupported']).default(
      'nested',
    ),
    durable: flag().default(false),
    acquireTimeoutMs: milliseconds(1).optional(),
  } satisfies Record<keyof TransactionOptions, z.ZodType>)
}

function complete(
  checked: z.output<ReturnType<typeof schemaOf>>,
  defaults: Resilience['transaction'],
): ResolvedTransaction {
  const { retry, exactlyOnce, timeoutMs, signal, propagation, durable, acquireTimeoutMs, ...settings } = checked
  if (settings.settings !== undefined) Object.freeze(settings.settings)
  return Object.freeze({
    settings: Object.freeze(settings),
    retry: retry === undefined ? defaults.retry : completeRetry(retry, defaults.retry || usualRetry),
    exactlyOnce,
    timeoutMs,
    signal,
    propagation,
    durable,
    acquireTimeoutMs,
  })
}

/** By what it can do: in a test's realm of its own it is not an instance of the global class. */
export function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value
}
