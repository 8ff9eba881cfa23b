// What may be said for a single session, held against what it may be, and completed by what the pool was told.

import { z } from 'zod'
import { InvalidOptionsError } from '../errors.js'
import { checkBy, strictOptions } from '../option-problems.js'
import { milliseconds } from '../option-schemas.js'
import { isSignal } from '../transaction/transaction-options.js'
import type { ResolvedSessionDefaults, SessionDefaults } from './session-defaults.js'

/**
 * What may be said for a single session. What is not holds as `resilience.session` has it.
 *
 * @example
 * await withSession(db, importAll, { name: 'nightly import', maxDurationMs: 4 * 3_600_000 })
 */
export interface SessionOptions extends Omit<SessionDefaults, 'behindPooler'> {
  /** Whose it is, for events and `stats().sessions`. */
  name?: string | undefined
  /** Ends it, as `maxDurationMs` does, with a SessionEndedError. */
  signal?: AbortSignal | undefined
  /**
   * How long a piece of work waits for the session's connection, in milliseconds: for the pool, and for other work in the
   * session. Default `resilience.pool.acquireTimeoutMs`.
   */
  acquireTimeoutMs?: number | undefined
}

/** The same with every default filled in. */
export interface ResolvedSession extends Omit<ResolvedSessionDefaults, 'behindPooler'> {
  readonly name: string | undefined
  readonly signal: AbortSignal | undefined
  readonly acquireTimeoutMs: number | undefined
}

/** The limits of a session that were written. */
export function writtenLimits(given: SessionOptions): string[] {
  return limits.filter((name) => given[name] !== undefined)
}

const limits = ['maxDurationMs', 'idleTimeoutMs', 'warnAfterMs'] as const

const text = 'a name, as a string'

const schema = strictOptions({
  maxDurationMs: milliseconds(0).optional(),
  idleTimeoutMs: milliseconds(0).optional(),
  warnAfterMs: milliseconds(0).optional(),
  name: z.string({ error: text }).min(1, { error: text }).optional(),
  signal: z.custom<AbortSignal>(isSignal, { error: 'an AbortSignal' }).optional(),
  acquireTimeoutMs: milliseconds(1).optional(),
} satisfies Record<keyof SessionOptions, z.ZodType>)

/**
 * Checks the options of one session.
 *
 * @throws InvalidOptionsError with every problem there is
 */
export function checkSessionOptions(given: unknown = {}, path = 'options'): SessionOptions {
  const checked = checkBy(schema, given, path)
  if (checked.ok) return checked.value
  throw new InvalidOptionsError(checked.problems)
}

export function completeSession(given: SessionOptions, defaults: ResolvedSessionDefaults): ResolvedSession {
  const { maxDurationMs, idleTimeoutMs, warnAfterMs, name, signal, acquireTimeoutMs } = given
  return {
    maxDurationMs: maxDurationMs ?? defaults.maxDurationMs,
    idleTimeoutMs: idleTimeoutMs ?? defaults.idleTimeoutMs,
    warnAfterMs: warnAfterMs ?? defaults.warnAfterMs,
    name,
    signal,
    acquireTimeoutMs,
  }
}
