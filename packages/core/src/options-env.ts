// Options from environment variables, by names that are in use with other pools. Durations are in seconds there; what
// is not set stays at its default.

import { InvalidOptionsError, type OptionProblem } from './errors.js'
import { describeGiven } from './option-problems.js'
import type { PoolOptions, ResilienceOptions, StatementOptions } from './options.js'
import type { SessionDefaults } from './session/session-defaults.js'
import { type RetryOptions, usualRetry } from './transaction/retry-options.js'

/** As an application hands it on: to `drizzle()`, to a dialect of Kysely, or in two parts to `createPool()`. */
export interface OptionsFromEnv {
  /** `DATABASE_URL`, as it is: whoever connects checks it. */
  readonly connection: string
  readonly resilience: ResilienceOptions
}

interface Parts {
  readonly pool: PoolOptions
  readonly statement: StatementOptions
  readonly session: SessionDefaults
  readonly transaction: { readonly retry: RetryOptions }
}

interface Variable {
  readonly allowed: string
  /** Undefined for what is not allowed. */
  readonly read: (text: string) => number | undefined
  readonly set: (parts: Parts, value: number) => unknown
}

/** As whole milliseconds they fit into a timer. */
const [leastSeconds, mostSeconds] = [0.001, 2_147_483]

function integer(least: number): Omit<Variable, 'set'> {
  return {
    allowed: `an integer >= ${least}`,
    read: (text) => {
      const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
      return Number.isSafeInteger(value) && value >= least ? value : undefined
    },
  }
}

/** `none` is how the variable says that there is to be no limit, for which our options have 0. */
function seconds(none?: { readonly text: string; readonly said: string }): Omit<Variable, 'set'> {
  const range = `seconds from ${leastSeconds} to ${mostSeconds}`
  return {
    allowed: none === undefined ? range : `${range}, or ${none.text} for ${none.said}`,
    read: (text) => {
      if (text === none?.text) return 0
      const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
      return value >= leastSeconds && value <= mostSeconds ? Math.round(value * 1_000) : undefined
    },
  }
}

const variables: Readonly<Record<string, Variable>> = {
  DB_POOL_SIZE: { ...integer(1), set: ({ pool }, value) => (pool.max = value) },
  DB_MAX_OVERFLOW: { ...integer(0), set: ({ pool }, value) => (pool.overflow = value) },
  DB_POOL_TIMEOUT: { ...seconds(), set: ({ pool }, value) => (pool.acquireTimeoutMs = value) },
  DB_POOL_RECYCLE: {
    ...seconds({ text: '-1', said: 'never' }),
    set: ({ pool }, value) => (pool.maxLifetimeMs = value),
  },
  DB_CONNECT_TIMEOUT: { ...seconds(), set: ({ pool }, value) => (pool.connectTimeoutMs = value) },
  DB_COMMAND_TIMEOUT: {
    ...seconds({ text: '0', said: 'no limit' }),
    set: ({ statement }, value) => (statement.timeoutMs = value),
  },
  DB_MAX_RETRIES: { ...integer(0), set: ({ transaction }, value) => (transaction.retry.maxRetries = value) },
  DB_DEADLOCK_RETRY_COUNT: {
    ...integer(0),
    set: ({ transaction }, value) => (transaction.retry.maxConflictRetries = value),
  },
  DB_RETRY_BASE_DELAY: { ...seconds(), set: ({ transaction }, value) => (transaction.retry.initialDelayMs = value) },
  DB_RETRY_MAX_DELAY: { ...seconds(), set: ({ transaction }, value) => (transaction.retry.maxDelayMs = value) },
  DB_SESSION_TIMEOUT: {
    ...seconds({ text: '0', said: 'no limit' }),
    set: ({ session }, value) => (session.maxDurationMs = value),
  },
}

/**
 * Reads the connection and the options of `resilience` from environment variables. One that is empty counts as not set;
 * what is not set stays at its default. Seconds may have a fraction.
 *
 * - `DATABASE_URL`: where to connect; the only one that must be set
 * - `DB_POOL_SIZE`: `pool.max`
 * - `DB_MAX_OVERFLOW`: `pool.overflow`
 * - `DB_POOL_TIMEOUT`: `pool.acquireTimeoutMs`, in seconds
 * - `DB_POOL_RECYCLE`: `pool.maxLifetimeMs`, in seconds; -1 for never
 * - `DB_CONNECT_TIMEOUT`: `pool.connectTimeoutMs`, in seconds
 * - `DB_COMMAND_TIMEOUT`: `statement.timeoutMs`, in seconds; 0 for no limit
 * - `DB_MAX_RETRIES`: `transaction.retry.maxRetries`; 0 for none
 * - `DB_DEADLOCK_RETRY_COUNT`: `transaction.retry.maxConflictRetries`; 0 for none
 * - `DB_RETRY_BASE_DELAY`: `transaction.retry.initialDelayMs`, in seconds; at most `DB_RETRY_MAX_DELAY`
 * - `DB_RETRY_MAX_DELAY`: `transaction.retry.maxDelayMs`, in seconds
 * - `DB_SESSION_TIMEOUT`: `session.maxDurationMs`, in seconds; 0 for no limit
 *
 * @param env default `process.env`
 * @throws InvalidOptionsError naming every variable that is wrong; it never shows the URL
 * @example
 * const db = drizzle({ ...optionsFromEnv(), schema })
 * const kysely = new Kysely<Database>({ dialect: new ResilientPostgresDialect(optionsFromEnv()) })
 *
 * const { connection, resilience } = optionsFromEnv()
 * const pool = createPool(connection, { resilience: { ...resilience, logger } })
 */
export function optionsFromEnv(env: Readonly<Record<string, string | undefined>> = process.env): OptionsFromEnv {
  const problems: OptionProblem[] = []
  const parts: Parts = { pool: {}, statement: {}, transaction: { retry: {} }, session: {} }
  const written = (name: string) => env[name]?.trim() || undefined

  const connection = written('DATABASE_URL')
  if (connection === undefined)
    problems.push({ path: 'DATABASE_URL', given: 'nothing', allowed: 'a URL to connect to' })
  for (const [name, { allowed, read, set }] of Object.entries(variables)) {
    const text = written(name)
    if (text === undefined) continue
    const value = read(text)
    if (value === undefined) problems.push({ path: name, given: describeGiven(text), allowed })
    else set(parts, value)
  }
  const { initialDelayMs = 0, maxDelayMs = usualRetry.maxDelayMs } = parts.transaction.retry
  const longestIsWrong = problems.some(({ path }) => path === 'DB_RETRY_MAX_DELAY')
  if (initialDelayMs > maxDelayMs && !longestIsWrong) {
    const allowed = `at most DB_RETRY_MAX_DELAY (${maxDelayMs / 1_000} seconds)`
    problems.push({ path: 'DB_RETRY_BASE_DELAY', given: describeGiven(written('DB_RETRY_BASE_DELAY')), allowed })
  }
  if (connection === undefined || problems.length > 0) throw new InvalidOptionsError(problems)
  return { connection, resilience: parts }
}
