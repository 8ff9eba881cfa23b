// The options of `resilience`: what may be set, what it means, and what holds when it is not set. Whatever is wrong is
// reported all at once; an option that would do nothing is not accepted.

import { z } from 'zod'
import { type BreakerOptions, breakerOptions, type ResolvedBreakerOptions } from './breaker/breaker-options.js'
import {
  completeErrorOptions,
  type ErrorOptions,
  errorOptions,
  type ResolvedErrorOptions,
} from './constraints/errors-options.js'
import { InvalidOptionsError } from './errors.js'
import { type HookOptions, hookOptions } from './hooks.js'
import { type Logger, loggerOption } from './logger.js'
import { type Checked, checkBy, strictOptions } from './option-problems.js'
import { flag, fraction, milliseconds, numberIn, wholeNumber, word } from './option-schemas.js'
import type { QueueOrder } from './pool/line.js'
import { type ResolvedSessionDefaults, type SessionDefaults, sessionDefaults } from './session/session-defaults.js'
import {
  completeTransactionDefaults,
  type ResolvedTransactionDefaults,
  type TransactionDefaults,
  transactionDefaults,
} from './transaction/transaction-defaults.js'

/** How many connections the pool keeps, and how long it waits for what. */
export interface PoolOptions {
  /**
   * Connections the pool keeps open even when nobody needs them, so that the next caller finds one. Filled after first
   * use, replaced when one is lost. Default 2, or `max` where that is less; must not exceed `max`.
   */
  min?: number | undefined
  /**
   * Connections the pool keeps idle beside those that are lent, so that a burst finds some, as far as `max` allows.
   * Default 0. With `min` it is the larger need that counts.
   */
  minIdle?: number | undefined
  /**
   * Connections the pool may have open for steady use. Default 10. With `overflow` it bounds what this process takes of
   * the server's `max_connections`; every process has a pool of its own.
   */
  max?: number | undefined
  /**
   * Connections beyond `max` for a burst, closed as soon as they are given back and nobody waits. Default 5; 0 makes
   * `max` the hard limit.
   */
  overflow?: number | undefined
  /**
   * How long a caller waits for a connection, in milliseconds, making one and validating one included. Then it gets an
   * AcquireTimeoutError. Default 30 000. Each connect in that time is limited by `connectTimeoutMs` as well.
   */
  acquireTimeoutMs?: number | undefined
  /**
   * Callers that may wait at one time; one more gets a QueueFullError at once. Default 10 000; 0 lets nobody wait.
   */
  maxWaiters?: number | undefined
  /**
   * Which of those that wait is served next. `fifo`: always the one that came first. `adaptive`: the one that came first, and
   * under overload the one that came last. Overload is when callers time out, or give up by their signal, while they are
   * first in line; in order of arrival everybody served then would be about to do the same. Whoever has too little of its
   * limit left for a lease of the usual length is then served only if nobody else waits, and is told so by its own timeout,
   * not earlier. For this to work the pool must know how long a caller waits: set `acquireTimeoutMs`, or the limits of
   * transactions, to what your callers do. Default `adaptive`. See docs/overload.md.
   */
  queue?: QueueOrder | undefined
  /**
   * How long one attempt to connect may take, in milliseconds: name resolution, TCP, TLS, authentication and the check
   * of the server's role. Default 10 000. Keep it below `acquireTimeoutMs`, or a waiting caller sees a single attempt.
   */
  connectTimeoutMs?: number | undefined
  /**
   * How long a connection may lie idle before it is closed, in milliseconds; never below `min`. Default 600 000
   * (ten minutes), 0 = never. Keep it shorter than what the firewalls and poolers on the way allow.
   */
  idleTimeoutMs?: number | undefined
  /**
   * How old a connection may become, in milliseconds; it is replaced between two uses, never during one.
   * Default 3 600 000 (one hour), 0 = for ever. Lets connections follow a DNS change and frees the server's memory.
   */
  maxLifetimeMs?: number | undefined
  /**
   * How often a connection may be lent before it is replaced. Default 0 = any number of times. For servers or
   * extensions that leak memory into a session.
   */
  maxUses?: number | undefined
  /**
   * By how much of itself `maxLifetimeMs` is shortened at random for each connection, so that those made together do not
   * all end together. From 0 to 1; default 0.1: between 90 and 100 per cent.
   */
  lifetimeJitter?: number | undefined
  /**
   * A connection that has rested for so long, in milliseconds, is asked for a sign of life in the background: dead ones
   * are replaced before anybody needs them, and firewalls see traffic. Default 120 000 (two minutes), 0 = never.
   */
  keepaliveMs?: number | undefined
  /**
   * A connection idle for longer than this, in milliseconds, is asked for a sign of life before it is handed out.
   * Default 1 000; 0 asks every time.
   */
  validateAfterIdleMs?: number | undefined
  /**
   * How long that sign of life may take, in milliseconds, before the connection counts as dead and another is tried.
   * Default 2 000. It is spent of the time that a caller waits: a quarter of that at most, or 250 where that is more.
   */
  validationTimeoutMs?: number | undefined
  /**
   * How long `close()` waits for leases to be given back, in milliseconds; what is left then is destroyed, and what
   * runs on it rejects. Default 10 000; 0 does not wait.
   */
  closeTimeoutMs?: number | undefined
  /**
   * A lease held for longer than this, in milliseconds, is reported once as a leak, with the stack of its taking, and
   * once more should it come back. Default 300 000 (five minutes), 0 = never. What an ORM takes for a single statement
   * has no stack: it cannot be forgotten.
   */
  leakAfterMs?: number | undefined
  /**
   * Whether a leaked lease loses its connection, so that the pool gets its slot back: whatever runs on it is rejected
   * and undone by the server. Default false.
   */
  reclaimLeaks?: boolean | undefined
  /**
   * How the number of connections kept warm, at first `min`, follows the load; `false` leaves it at `min`. See
   * {@link ScalingOptions}.
   */
  scaling?: ScalingOptions | false | undefined
  /**
   * `lazy` opens nothing before the first use; `eager` begins to fill the pool when it is made. Default `lazy`. To wait
   * for it, or to hear of a failure, call `start()`.
   */
  start?: 'lazy' | 'eager' | undefined
  /**
   * SQL run on each new connection before anybody gets it, and again after a borrower's own changes to the session were
   * undone. Several statements may be separated by semicolons. When it fails, the connection is not used.
   */
  onConnect?: string | undefined
  /**
   * Whether the process may end while connections lie idle, as a script that does not close its pool should.
   * Default false.
   */
  allowExitOnIdle?: boolean | undefined
}

/**
 * The share of connections in use, averaged over `everyMs`, decides how many are kept warm: above `up` their number
 * grows by `step`, below `down` it shrinks by `step`, once every `everyMs`, within `min` and `max`.
 */
export interface ScalingOptions {
  /** From 0 to 1. Default 0.8. */
  up?: number | undefined
  /** From 0 to 1, and below `up`. Default 0.5. */
  down?: number | undefined
  /** The part by which it grows or shrinks, at least one connection. Default 0.2. */
  step?: number | undefined
  /** In milliseconds. Default 60 000. */
  everyMs?: number | undefined
}

/** How `pool.health()` and the background check ask. */
export interface HealthOptions {
  /** How often the pool checks itself in the background, in milliseconds. Default 30 000, 0 = never. */
  everyMs?: number | undefined
  /** How long the database may take to answer a check, in milliseconds. Default 5 000. */
  timeoutMs?: number | undefined
}

/** What holds for every statement. */
export interface StatementOptions {
  /**
   * How long a statement may take, in milliseconds: then the caller gets a StatementTimeoutError and the server is told
   * to stop. Default 0 = no limit. One that a statement brings itself goes before it.
   */
  timeoutMs?: number | undefined
  /**
   * How long to wait for the server to confirm a cancelled statement, in milliseconds, before its connection is
   * destroyed. Default 1 000. Nobody but the connection waits for it: the caller has had its error.
   */
  cancelTimeoutMs?: number | undefined
  /**
   * A statement that has not been answered for so long, in milliseconds, is asked about, and again from time to time: on
   * another connection, whether the server still works on it. Default 10 000; 0 = never. What it works on is left alone,
   * however long that takes. If it does not, or three times in a row nothing is heard of it, the connection is lost, and
   * whoever waits gets a ConnectionLostError. The connection to ask by is one beside `max`, for some milliseconds.
   */
  livenessAfterMs?: number | undefined
  /**
   * How often a statement outside of a transaction is sent again when its connection is lost, each time on another one:
   * where it surely was not carried out, where `idempotentReads` or `idempotent()` say that it may be carried out twice, and
   * never otherwise. Default 2: one for the connection, another for when what takes its place falls in the same fail-over.
   * 0 = never. The waits for connections share one `acquireTimeoutMs`, all tries share `timeoutMs`, and each takes from
   * the budget that retried transactions take from.
   */
  maxResends?: number | undefined
  /**
   * Whether a statement that reads, as far as its text tells, is also sent again when its connection was lost while it was
   * under way. Default false, because no text tells what a function, a view or an operator does: one that writes may have
   * written, and would write again. A statement is a read if it is a single one that begins with SELECT, VALUES, TABLE, SHOW
   * or WITH, and none of INSERT, UPDATE (nor FOR UPDATE), DELETE, MERGE, INTO, CALL, COPY is anywhere in it, nor a call of
   * the server's own functions that are known to leave something behind (`nextval`, `pg_notify`, `pg_advisory_lock`, …).
   */
  idempotentReads?: boolean | undefined
  /**
   * `auto`, the default: what comes again is prepared on each connection, without anybody having asked for it, which spares
   * the server its parsing and mostly its planning, and the way there a round trip. `never`: only what is asked for, as
   * with a tagged template of the client's.
   *
   * It is left alone in a session in which names may mean something else than in others (another `search_path` or role, a
   * temporary table), and behind a pooler. A plan that a change of the schema made useless is made anew without anybody
   * hearing of it; inside a transaction it fails that transaction, which is run again as after a deadlock.
   */
  prepare?: 'auto' | 'never' | undefined
  /**
   * How many statements a connection may keep prepared by itself. Default 256; 0 = none. When others come to be asked for
   * than those, the connection is replaced between two uses.
   */
  maxPrepared?: number | undefined
}

/**
 * What a user may write. Every duration is in whole milliseconds, at most 2 147 483 647 (a timer's longest).
 *
 * @example
 * const db = drizzle(url, { schema, resilience: { pool: { max: 20, acquireTimeoutMs: 5_000 } } })
 */
export interface ResilienceOptions {
  pool?: PoolOptions | undefined
  statement?: StatementOptions | undefined
  transaction?: TransactionDefaults | undefined
  session?: SessionDefaults | undefined
  errors?: ErrorOptions | undefined
  /** When an endpoint is not connected to for a while; `false`: always connect. See {@link BreakerOptions}. */
  breaker?: BreakerOptions | false | undefined
  health?: HealthOptions | undefined
  hooks?: HookOptions | undefined
  /** Where the pool's events are logged, as structured lines: pino, or anything of its shape. Default: nowhere. */
  logger?: Logger | undefined
}

type Resolved<Options> = { readonly [Name in keyof Options]-?: NonNullable<Options[Name]> }

/** The same with every default filled in; frozen. */
export interface Resilience {
  readonly pool: Resolved<Omit<PoolOptions, 'scaling' | 'onConnect'>> & {
    readonly scaling: Resolved<ScalingOptions> | false
    readonly onConnect: string | undefined
  }
  readonly statement: Resolved<StatementOptions>
  readonly transaction: ResolvedTransactionDefaults
  readonly session: ResolvedSessionDefaults
  readonly errors: ResolvedErrorOptions
  readonly breaker: ResolvedBreakerOptions | false
  readonly health: Resolved<HealthOptions>
  readonly hooks: HookOptions & { readonly timeoutMs: number }
  readonly logger: Logger | undefined
}

const defaultMin = 2

const scaling = strictOptions({
  up: fraction().default(0.8),
  down: fraction().default(0.5),
  step: fraction().default(0.2),
  everyMs: milliseconds(1).default(60_000),
} satisfies Record<keyof ScalingOptions, z.ZodType>).refine(({ up, down }) => down < up, {
  path: ['down'],
  error: ({ input }) => `a number from 0 to 1, and below up (${numberIn(input, 'up')})`,
  when: ({ value }) => numberIn(value, 'up') !== undefined && numberIn(value, 'down') !== undefined,
})

const pool = strictOptions({
  min: wholeNumber(0).optional(),
  minIdle: wholeNumber(0).default(0),
  max: wholeNumber(1).default(10),
  overflow: wholeNumber(0).default(5),
  acquireTimeoutMs: milliseconds(1).default(30_000),
  maxWaiters: wholeNumber(0).default(10_000),
  queue: word(['adaptive', 'fifo']).default('adaptive'),
  connectTimeoutMs: milliseconds(1).default(10_000),
  idleTimeoutMs: milliseconds(0).default(600_000),
  maxLifetimeMs: milliseconds(0).default(3_600_000),
  maxUses: wholeNumber(0).default(0),
  lifetimeJitter: fraction().default(0.1),
  keepaliveMs: milliseconds(0).default(120_000),
  validateAfterIdleMs: milliseconds(0).default(1_000),
  validationTimeoutMs: milliseconds(1).default(2_000),
  closeTimeoutMs: milliseconds(0).default(10_000),
  leakAfterMs: milliseconds(0).default(300_000),
  reclaimLeaks: flag().default(false),
  scaling: z.union([z.literal(false), scaling], { error: 'false, or { up, down, step, everyMs }' }).prefault({}),
  start: word(['lazy', 'eager']).default('lazy'),
  onConnect: z.string({ error: 'SQL' }).regex(/\S/, { error: 'SQL' }).optional(),
  allowExitOnIdle: flag().default(false),
} satisfies Record<keyof PoolOptions, z.ZodType>)
  .refine(({ min, max }) => !(min !== undefined && min > max), {
    path: ['min'],
    error: ({ input }) => `an integer >= 0 and <= max (${numberIn(input, 'max')})`,
    when: ({ value }) => numberIn(value, 'max') !== undefined,
  })
  .refine(({ reclaimLeaks, leakAfterMs }) => !(reclaimLeaks && leakAfterMs === 0), {
    path: ['reclaimLeaks'],
    error: 'false while leakAfterMs is 0: nothing would be found to take back',
    when: ({ value }) => numberIn(value, 'leakAfterMs') !== undefined,
  })

const statement = strictOptions({
  timeoutMs: milliseconds(0).default(0),
  cancelTimeoutMs: milliseconds(1).default(1_000),
  livenessAfterMs: milliseconds(0).default(10_000),
  maxResends: wholeNumber(0).default(2),
  prepare: word(['auto', 'never']).default('auto'),
  maxPrepared: wholeNumber(0).default(256),
  idempotentReads: flag().default(false),
} satisfies Record<keyof StatementOptions, z.ZodType>)

const health = strictOptions({
  everyMs: milliseconds(0).default(30_000),
  timeoutMs: milliseconds(1).default(5_000),
} satisfies Record<keyof HealthOptions, z.ZodType>)

const breaker = z.union([z.literal(false), breakerOptions], {
  error: `false, or { ${Object.keys(breakerOptions.shape).join(', ')} }`,
})

const resilience = strictOptions({
  pool: pool.prefault({}),
  statement: statement.prefault({}),
  transaction: transactionDefaults.prefault({}),
  session: sessionDefaults.prefault({}),
  errors: errorOptions.prefault({}),
  breaker: breaker.prefault({}),
  health: health.prefault({}),
  hooks: hookOptions.prefault({}),
  logger: loggerOption,
} satisfies Record<keyof ResilienceOptions, z.ZodType>)

/** As `resolveResilience`, but tells the problems instead of throwing them, for an error that reports more than these. */
export function checkResilience(input: unknown, path = 'resilience'): Checked<Resilience> {
  const checked = checkBy(resilience.prefault({}), input, path)
  if (!checked.ok) return checked
  const { pool, statement, transaction, session, errors, breaker, health, hooks, logger } = checked.value
  const min = pool.min ?? Math.min(defaultMin, pool.max)
  const { scaling, onConnect } = pool
  return {
    ok: true,
    value: Object.freeze({
      pool: Object.freeze({ ...pool, min, onConnect, scaling: scaling && Object.freeze(scaling) }),
      statement: Object.freeze(statement),
      transaction: completeTransactionDefaults(transaction),
      session: Object.freeze(session),
      errors: completeErrorOptions(errors),
      breaker: breaker && Object.freeze(breaker),
      health: Object.freeze(health),
      hooks: Object.freeze(hooks),
      logger,
    }),
  }
}

/**
 * Checks what a user wrote and fills in the defaults. `undefined` stands for an option not written.
 *
 * @throws InvalidOptionsError with every problem there is
 */
export function resolveResilience(input: unknown, path = 'resilience'): Resilience {
  const checked = checkResilience(input, path)
  if (checked.ok) return checked.value
  throw new InvalidOptionsError(checked.problems)
}
