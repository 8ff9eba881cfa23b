// `resilience.breaker`, and the same for a guard: when a breaker opens, and how it finds out that it may close again.

import type { z } from 'zod'
import { InvalidOptionsError } from '../errors.js'
import { checkBy, strictOptions } from '../option-problems.js'
import { milliseconds, wholeNumber } from '../option-schemas.js'

/** When a breaker opens and closes. */
export interface BreakerOptions {
  /** Calls that must have ended within `rollingWindowMs` before their failures say anything. Default 5. */
  volumeThreshold?: number | undefined
  /**
   * It opens when *more* than this share of them failed, in per cent: at 50, three of five and not five of ten. From 0,
   * where one failure is enough, to 99. Default 50.
   */
  errorThresholdPercentage?: number | undefined
  /**
   * While it is open, one call is let through as a probe in so many milliseconds: after it opened, and after the last
   * probe was begun. Default 500. Thirty seconds are common elsewhere, and would keep callers out for half a minute after
   * the other side is back; two probes a second and process cost it next to nothing.
   */
  resetTimeoutMs?: number | undefined
  /** For how long an outcome counts, in milliseconds, to a tenth of itself. Default 10 000. */
  rollingWindowMs?: number | undefined
  /**
   * A probe that has not ended by then, in milliseconds, counts as failed, so that one that hangs does not keep others
   * from being made. Its caller still gets what comes of it, and a success closes the breaker all the same. Default 500:
   * a black hole is noticed to be over within a second.
   */
  probeTimeoutMs?: number | undefined
}

/** The same with every default filled in; frozen. */
export type ResolvedBreakerOptions = {
  readonly [Name in keyof BreakerOptions]-?: NonNullable<BreakerOptions[Name]>
}

const percentage = 'an integer >= 0 and <= 99 (per cent): it opens above that'

export const breakerOptions = strictOptions({
  volumeThreshold: wholeNumber(1).default(5),
  errorThresholdPercentage: wholeNumber(0, percentage).max(99, { error: percentage }).default(50),
  resetTimeoutMs: milliseconds(1).default(500),
  rollingWindowMs: milliseconds(1).default(10_000),
  probeTimeoutMs: milliseconds(1).default(500),
} satisfies Record<keyof BreakerOptions, z.ZodType>)

/** @throws InvalidOptionsError with every problem there is */
export function resolveBreaker(input: unknown, path: string): ResolvedBreakerOptions {
  const checked = checkBy(breakerOptions, input, path)
  if (checked.ok) return Object.freeze(checked.value)
  throw new InvalidOptionsError(checked.problems)
}
