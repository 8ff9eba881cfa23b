// Advisory locks of PostgreSQL, held for the length of some work on the connection of a session: it takes them, and with
// it they are gone, whatever becomes of the process.
// https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS

import { createHash } from 'node:crypto'
import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  describeGiven,
  InvalidOptionsError,
  LockTimeoutError,
  type OptionProblem,
  SessionEndedError,
  type SessionOptions,
  type Source,
} from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import type { PostgresPool } from './pool.js'

/**
 * Which lock: a number as the server has them, from -2^63 to 2^63 - 1, or a name. Of a name it is the first 64 bits of its
 * SHA-256 (UTF-8), the same in every process and release; in SQL
 * `('x' || left(encode(sha256(convert_to(name, 'UTF8')), 'hex'), 16))::bit(64)::bigint`.
 */
export type AdvisoryLockKey = bigint | number | string

export interface AdvisoryLockOptions extends SessionOptions {
  /** Whether others may hold it at the same time that want it shared as well. Default false. */
  shared?: boolean | undefined
  /** How long to wait for it, in milliseconds: then LockTimeoutError. Default 0 = as long as the session may take. */
  timeoutMs?: number | undefined
  /** False: not at all; if it is not to be had at once, LockTimeoutError. Default true. */
  wait?: boolean | undefined
}

/** The options, held against what they may be. */
export interface AdvisoryLock {
  readonly key: bigint
  /** For messages. */
  readonly said: string
  readonly shared: boolean
  readonly timeoutMs: number
  readonly wait: boolean
  /** Of the session it is held in. */
  readonly session: SessionOptions
}

/** @throws InvalidOptionsError */
export function advisoryLock(key: AdvisoryLockKey, options: AdvisoryLockOptions = {}): AdvisoryLock {
  const { shared = false, timeoutMs = 0, wait = true, ...session } = options
  const problems: OptionProblem[] = []
  const number = keyOf(key)
  if (number === undefined) {
    const allowed = 'a string that is not empty, a safe integer, or a bigint of 64 bits'
    problems.push({ path: 'key', given: describeGiven(key), allowed })
  }
  for (const [name, value] of Object.entries({ shared, wait })) {
    if (typeof value === 'boolean') continue
    problems.push({ path: `options.${name}`, given: describeGiven(value), allowed: 'true or false' })
  }
  if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > longestMs) {
    const allowed = `an integer >= 0 and <= ${longestMs} (milliseconds)`
    problems.push({ path: 'options.timeoutMs', given: describeGiven(timeoutMs), allowed })
  } else if (timeoutMs > 0 && wait === false) {
    problems.push({ path: 'options.timeoutMs', given: String(timeoutMs), allowed: 'nothing beside wait: false' })
  }
  if (number === undefined || problems.length > 0) throw new InvalidOptionsError(problems)
  const said = typeof key === 'string' ? `'${key}' (${number})` : String(number)
  return { key: number, said, shared, timeoutMs, wait, session: { name: `advisory lock ${said}`, ...session } }
}

/**
 * Takes the lock in a session, does the work, and gives it back: to be called where nothing else is around.
 *
 * @throws LockTimeoutError when it was not had in time
 * @throws ConnectionLostError when it was lost before the work was done
 */
export async function holdLock<T>(
  pool: PostgresPool,
  source: Source<PostgresConnection>,
  lock: AdvisoryLock,
  work: () => Promise<T> | T,
): Promise<T> {
  await take(pool, source, lock)
  let result: T
  try {
    result = await work()
  } catch (error) {
    // What it threw says more than that the lock was lost as well.
    await giveBack(source, lock).catch(() => {})
    throw error
  }
  try {
    await giveBack(source, lock)
  } catch (error) {
    if (!(error instanceof ConnectionLostError)) {
      if (error instanceof SessionEndedError) throw error
      // With the session it goes in any case.
      return result
    }
    throw new ConnectionLostError(
      `The advisory lock ${lock.said} was lost with its connection: what was done may not have been done alone`,
      { code: error.code, cause: error, retry: 'never' },
    )
  }
  return result
}

/** In a transaction, as a limit for locks can be set for one only; the lock is the session's, and outlives it. */
async function take(pool: PostgresPool, source: Source<PostgresConnection>, lock: AdvisoryLock): Promise<void> {
  const { wait, timeoutMs, said } = lock
  const text = `select ${call(wait ? 'lock' : 'try_lock', lock)} as had`
  let had: unknown
  try {
    const { rows } = await pool.transaction(
      ({ connection }) => {
        // Before it is known: it may be had although its answer is lost.
        connection.declare('locks')
        return connection.execute({ text }, { timeoutMs: 0 })
      },
      { lockTimeoutMs: timeoutMs, retry: false, exactlyOnce: false },
      { source, inside: 'none' },
    )
    had = rows[0]?.had
  } catch (error) {
    // With the connection the lock is gone, whatever became of COMMIT; and nothing was done yet.
    if (error instanceof CommitOutcomeUnknownError) {
      throw new ConnectionLostError(`The connection was lost before the advisory lock ${said} was had`, {
        code: error.code,
        cause: error,
        retry: 'reconnect',
      })
    }
    if (!(error instanceof LockTimeoutError)) throw error
    const within = timeoutMs > 0 ? `within ${timeoutMs} ms` : 'in time'
    throw new LockTimeoutError(`The advisory lock ${said} was not had ${within}: somebody else holds it`, {
      code: error.code,
      cause: error,
    })
  }
  if (had !== false) return
  throw new LockTimeoutError(`The advisory lock ${said} was not to be had at once: somebody else holds it`, {
    code: '55P03',
  })
}

async function giveBack(source: Source<PostgresConnection>, lock: AdvisoryLock): Promise<void> {
  const lease = await source.acquire({ brief: true })
  try {
    await lease.connection.execute({ text: `select ${call('unlock', lock)}` })
  } finally {
    lease.release()
  }
}

/** By its full name: a search_path may have put another in front. */
function call(what: 'lock' | 'try_lock' | 'unlock', { key, shared }: AdvisoryLock): string {
  const name = what === 'try_lock' ? 'pg_try_advisory_lock' : `pg_advisory_${what}`
  return `pg_catalog.${name}${shared ? '_shared' : ''}('${key}'::bigint)`
}

const longestMs = 2 ** 31 - 1

/** Undefined for what is none. */
function keyOf(key: unknown): bigint | undefined {
  if (typeof key === 'bigint') return BigInt.asIntN(64, key) === key ? key : undefined
  if (typeof key === 'number') return Number.isSafeInteger(key) ? BigInt(key) : undefined
  if (typeof key !== 'string' || key === '') return undefined
  return createHash('sha256').update(key, 'utf8').digest().readBigInt64BE(0)
}
