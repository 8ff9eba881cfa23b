// What a random sequence is played on: the pool's options, what its hooks say, and whether the database is well.

import fc from 'fast-check'
import type { PoolOptions } from '../options.js'

export interface Scenario {
  readonly pool: PoolOptions & Size & { readonly maxWaiters: number; readonly acquireTimeoutMs: number }
  /** The database answers everything at once, and no hook interferes: what the pool does next is determined. */
  readonly calm: boolean
  /** What each hook does, in turn; one with nothing to do is not there. */
  readonly hooks: {
    readonly beforeConnect: readonly ('give' | 'throw' | 'hang')[]
    readonly afterConnect: readonly ('pass' | 'throw' | 'hang')[]
    readonly beforeAcquire: readonly ('use' | 'replace' | 'fail, keep' | 'fail, destroy' | 'throw' | 'hang')[]
    readonly afterRelease: readonly ('keep' | 'destroy' | 'leave a transaction open' | 'throw' | 'hang')[]
    readonly beforeClose: readonly ('pass' | 'throw' | 'hang')[]
  }
  readonly healthEveryMs: number
  /** Whether all becomes well before the pool is closed. */
  readonly recovers: boolean
  /** For the pool's own dice. */
  readonly seed: number
}

export interface Size {
  readonly min: number
  readonly minIdle: number
  readonly max: number
  readonly overflow: number
}

export const hookTimeoutMs = 80
export const healthTimeoutMs = 200
/** What `health()` waits for a connection of that. */
export const healthWaitMs = 160
export const closeTimeoutMs = 100

/** Small, so that limits are met, and what is plain comes first: that is what a failure shrinks to. */
export const sizes: fc.Arbitrary<Size> = fc
  .record({
    max: fc.constantFrom(1, 1, 2, 3, 4),
    min: fc.integer({ min: 0, max: 4 }),
    minIdle: fc.integer({ min: 0, max: 2 }),
    overflow: fc.constantFrom(0, 0, 1, 2),
  })
  .map(({ max, min, minIdle, overflow }) => ({ max, min: Math.min(min, max), minIdle, overflow }))

const options = fc
  .record({
    size: sizes,
    maxWaiters: fc.constantFrom(6, 2, 0),
    queue: fc.constantFrom<PoolOptions['queue'][]>('fifo', 'adaptive', 'adaptive'),
    validateAfterIdleMs: fc.constantFrom(1_000, 50, 0),
    idleTimeoutMs: fc.constantFrom(0, 600),
    maxLifetimeMs: fc.constantFrom(0, 2_000),
    maxUses: fc.constantFrom(0, 3),
    keepaliveMs: fc.constantFrom(0, 500),
    leaks: fc.constantFrom(
      { leakAfterMs: 0, reclaimLeaks: false },
      { leakAfterMs: 700, reclaimLeaks: false },
      { leakAfterMs: 700, reclaimLeaks: true },
    ),
    scaling: fc.constantFrom<PoolOptions['scaling'][]>(false, { everyMs: 1_000 }),
    start: fc.constantFrom<PoolOptions['start'][]>('lazy', 'lazy', 'eager'),
    allowExitOnIdle: fc.boolean(),
  })
  .map(({ size, leaks, ...others }) => ({
    ...size,
    ...others,
    ...leaks,
    acquireTimeoutMs: 400,
    connectTimeoutMs: 150,
    validationTimeoutMs: 60,
    lifetimeJitter: 0.1,
    closeTimeoutMs,
  }))

function script<T>(...acts: T[]): fc.Arbitrary<T[]> {
  // Most pools have none of a certain hook.
  return fc.oneof({ weight: 3, arbitrary: fc.constant<T[]>([]) }, fc.array(fc.constantFrom(...acts), { maxLength: 4 }))
}

const hooks: fc.Arbitrary<Scenario['hooks']> = fc.record({
  beforeConnect: script('give', 'throw', 'hang'),
  afterConnect: script('pass', 'pass', 'throw', 'hang'),
  beforeAcquire: script('use', 'use', 'use', 'replace', 'fail, keep', 'fail, destroy', 'throw', 'hang'),
  afterRelease: script('keep', 'keep', 'destroy', 'leave a transaction open', 'throw', 'hang'),
  beforeClose: script('pass', 'throw', 'hang'),
})

const none: Scenario['hooks'] = {
  beforeConnect: [],
  afterConnect: [],
  beforeAcquire: [],
  afterRelease: [],
  beforeClose: [],
}

export const scenarios: fc.Arbitrary<Scenario> = fc
  .record({
    pool: options,
    calm: fc.boolean(),
    hooks,
    healthEveryMs: fc.constantFrom(0, 900),
    recovers: fc.boolean(),
    seed: fc.nat(),
  })
  .map(({ hooks: scripts, pool, ...scenario }) => {
    const hooks = scenario.calm ? none : scripts
    // For whom the hook refuses a connection cannot be told from outside, unless it is always the first in line.
    const queue = hooks.beforeAcquire.length > 0 ? 'fifo' : pool.queue
    return { ...scenario, hooks, pool: { ...pool, queue } }
  })
