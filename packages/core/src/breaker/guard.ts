// An application's own calls behind a breaker, as the pool's are.

import { z } from 'zod'
import { systemClock } from '../clock.js'
import { Deadlines } from '../deadlines.js'
import { GuardTimeoutError, InvalidOptionsError } from '../errors.js'
import type { BreakerKind } from '../events.js'
import { checkBy, describeGiven, strictOptions } from '../option-problems.js'
import { callback, milliseconds, word } from '../option-schemas.js'
import { Breaker } from './breaker.js'
import { type BreakerOptions, breakerOptions } from './breaker-options.js'
import { type Counts, countsOf } from './counts.js'

/** Options for {@link guard}. */
export interface GuardOptions extends BreakerOptions {
  /** What it is called in errors, events, `breakers()` and `breakerHealth()`. */
  readonly name: string
  /** `database` for what goes to a database, else `external`. Decides which errors count, where `counts` does not. */
  readonly kind: BreakerKind
  /**
   * How long a call may take, in milliseconds: then its signal fires and it rejects with a GuardTimeoutError, which counts
   * as a failure. Default: no limit. It is also what `probeTimeoutMs` is by default.
   */
  readonly timeoutMs?: number | undefined
  /**
   * Which errors are failures of the other side (true), which are answers (false), and which say nothing (undefined).
   * Default: all are failures, but an AbortError says nothing; and with the kind `database`, of Moorings' own errors only
   * lost connections and time limits are.
   */
  readonly counts?: Counts | undefined
}

/** A function behind a breaker. */
export interface Guarded<This, Args extends unknown[], Result> {
  (this: This, ...args: Args): Promise<Result>
  /** For `forceOpen()`, `stats()`, `shutdown()`… */
  readonly breaker: Breaker
}

const guardOptions = strictOptions({
  ...breakerOptions.shape,
  name: z.string({ error: 'a name' }).regex(/\S/, { error: 'a name' }),
  kind: word(['database', 'external']),
  timeoutMs: milliseconds(1).optional(),
  counts: callback<Counts>().optional(),
} satisfies Record<keyof GuardOptions, z.ZodType>)

/**
 * Puts a function behind a breaker of its own: once too many of its calls have failed, they are refused at once with a
 * CircuitOpenError, until a probe finds the other side back. Arguments, `this` and result stay as they are, but that the
 * result is always a promise. Guard a function once, where it is defined, and not with every call.
 *
 * With `timeoutMs` the function is given an AbortSignal *before* its other arguments, where arguments left out cannot
 * move it. A function that does not heed it runs on, and what comes of it is nobody's any more.
 *
 * @throws InvalidOptionsError
 * @example
 * const rates = guard(
 *   async (signal, currency: string) => (await fetch(`https://rates.example/${currency}`, { signal })).json(),
 *   { name: 'rates', kind: 'external', timeoutMs: 2_000 },
 * )
 * await rates('CHF')
 */
export function guard<This, Args extends unknown[], Result>(
  fn: (this: This, signal: AbortSignal, ...args: Args) => PromiseLike<Result> | Result,
  options: GuardOptions & { readonly timeoutMs: number },
): Guarded<This, Args, Result>
export function guard<This, Args extends unknown[], Result>(
  fn: (this: This, ...args: Args) => PromiseLike<Result> | Result,
  options: GuardOptions & { readonly timeoutMs?: undefined },
): Guarded<This, Args, Result>
export function guard<This, Args extends unknown[], Result>(
  fn: (this: This, ...args: never[]) => PromiseLike<Result> | Result,
  options: GuardOptions,
): Guarded<This, Args, Result> {
  if (typeof fn !== 'function') {
    throw new InvalidOptionsError([{ path: 'fn', given: describeGiven(fn), allowed: 'a function' }])
  }
  const checked = checkBy(guardOptions, options, 'options')
  if (!checked.ok) throw new InvalidOptionsError(checked.problems)
  const { timeoutMs, counts = countsOf[options.kind] } = checked.value
  const { name, kind, volumeThreshold, errorThresholdPercentage, resetTimeoutMs, rollingWindowMs } = checked.value
  const breaker = new Breaker({
    name,
    kind,
    volumeThreshold,
    errorThresholdPercentage,
    resetTimeoutMs,
    rollingWindowMs,
    probeTimeoutMs: options.probeTimeoutMs ?? timeoutMs,
  })
  const limits = new Deadlines(systemClock)
  // What the overloads say of its arguments is not known in here.
  const call = async (self: This, args: readonly unknown[]): Promise<Result> => await Reflect.apply(fn, self, args)
  function guarded(this: This, ...args: Args): Promise<Result> {
    if (timeoutMs === undefined) return breaker.run(() => call(this, args), counts)
    const late = () => new GuardTimeoutError(breaker.name, timeoutMs)
    return breaker.run(
      () => limits.limit(timeoutMs, late, (signal) => call(this, [signal, ...args])),
      (error) => (error instanceof GuardTimeoutError && error.breaker === breaker.name) || counts(error),
    )
  }
  return Object.assign(guarded, { breaker })
}
