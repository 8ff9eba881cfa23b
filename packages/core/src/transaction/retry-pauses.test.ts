// The pauses before retries, how long they may go on, and what all transactions of a pool may spend on them.

import { describe, expect, it } from '@jest/globals'
import { RetriesExhaustedError } from '../errors.js'
import { deadlock, stalePlan } from '../testing/failures.js'
import { type Fate, retrying, retryingAndRested, Script, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { RetryNotice, RetryOptions } from './transaction-options.js'

describe('the pause before a retry', () => {
  async function pauses(retry: RetryOptions, fates: Fate[], rolls: number[] = []): Promise<number[]> {
    const seen: number[] = []
    const onRetry = ({ delayMs }: RetryNotice) => seen.push(delayMs)
    let begun = false
    const random = () => (begun ? (rolls.shift() ?? 0) : 0)
    const { pool, clock, ...setup } = await retryingAndRested({ retry: { ...retry, onRetry }, random })
    begun = true
    const startedAt = clock.now()
    let endedAt = Number.NaN
    const done = pool.transaction(new Script(...fates).body).then(() => {
      endedAt = clock.now()
    })
    await untilRest({ pool, clock, ...setup })
    await done
    // They were kept, too; a timer takes a millisecond at least.
    expect(endedAt - startedAt).toBe(seen.reduce((sum, delayMs) => sum + Math.max(1, delayMs), 0))
    return seen
  }

  const four = () => Array.from({ length: 4 }, () => deadlock())

  it('grows by its factor up to its limit', async () => {
    const retry = { initialDelayMs: 7, factor: 3, maxDelayMs: 100 }
    await expect(pauses(retry, four())).resolves.toEqual([7, 21, 63, 100])
  })

  it.each<[RetryOptions, number[]]>([
    [{ jitter: 'full', initialDelayMs: 100 }, [0, 50, 200, 799]],
    [{ jitter: 'equal', initialDelayMs: 100 }, [50, 125, 300, 800]],
    // Each follows the one before it.
    [{ jitter: 'decorrelated', initialDelayMs: 10 }, [10, 15, 28, 84]],
  ])('is drawn by the pool’s dice (%j)', async (retry, expected) => {
    await expect(pauses(retry, four(), [0, 0.25, 0.5, 0.999])).resolves.toEqual(expected)
  })

  it('grows for each kind of failure by itself', async () => {
    const fates: Fate[] = [deadlock(), stalePlan(), deadlock(), stalePlan()]
    await expect(pauses({}, fates)).resolves.toEqual([10, 10, 20, 20])
  })

  it('may be none', async () => {
    await expect(pauses({ initialDelayMs: 0 }, four())).resolves.toEqual([0, 0, 0, 0])
  })
})

describe('maxElapsedMs', () => {
  it('begins no retry later than that, counted from the beginning of the first attempt', async () => {
    for (const [maxElapsedMs, runs] of [
      [30, 3],
      [29, 2],
    ] as const) {
      const setup = retrying({ retry: { maxElapsedMs } })
      const script = new Script(deadlock(), deadlock(), deadlock())
      const result = watch(setup.pool.transaction(script.body))
      await untilRest(setup)
      expect(result.error).toBeInstanceOf(RetriesExhaustedError)
      expect(String(result.error)).toContain('no time left')
      expect(script.runs).toHaveLength(runs)
    }
  })

  it('counts what the attempts took, too', async () => {
    const setup = retrying({ retry: { maxElapsedMs: 1_000 } })
    const error = deadlock()
    const result = watch(
      setup.pool.transaction(async () => {
        await new Promise<void>((resolve) => setup.clock.setTimer(resolve, 995))
        throw error
      }),
    )
    await setup.clock.advance(2_000)
    // After a single attempt there is nothing to sum up.
    expect(result.error).toBe(error)
  })
})

describe('the budget', () => {
  const always = { length: 50 }

  it('bounds what is run again after lost connections, over all transactions of a pool', async () => {
    const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 }, retry: { maxRetries: 1_000 } })
    const script = new Script(...Array.from(always, (): Fate => 'lose'))
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup, 500)
    expect(result.error).toMatchObject({ name: 'RetriesExhaustedError', attempts: 21 })
    expect(String(result.error)).toContain('too much is being run again')
    expect(setup.pool.stats().transactions).toMatchObject({ overBudget: 1, exhausted: 1, retries: { lost: 20 } })
    // The next one has put in a fifth of what a retry takes.
    const next = watch(setup.pool.transaction(new Script('lose').body))
    await untilRest(setup)
    expect(next.error).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    expect(setup.pool.stats().transactions.overBudget).toBe(2)
  })

  it('is filled again by transactions, however they end', async () => {
    const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 }, retry: { maxRetries: 1_000 } })
    const { pool } = setup
    watch(pool.transaction(new Script(...Array.from(always, (): Fate => 'lose')).body))
    await untilRest(setup, 500)
    for (let n = 0; n < 4; n++) watch(pool.transaction(new Script(new Error('no')).body))
    await untilRest(setup)
    // The fifth part is its own.
    const result = watch(pool.transaction(new Script('lose').body))
    await untilRest(setup)
    expect(result.value).toBe('done')
  })

  it('is larger in a larger pool: what one fail-over breaks may all be run again', async () => {
    const { pool } = retrying({ pool: { max: 30, overflow: 10 } })
    expect(pool.retryBudget.tokens).toBe(80)
  })

  it('does not bound conflicts and stale plans, and is not touched by them', async () => {
    const setup = retrying({ retry: { maxRetries: 100, maxConflictRetries: 100, initialDelayMs: 1, factor: 1 } })
    const fates = Array.from(always, (_, n) => (n % 2 === 0 ? deadlock() : stalePlan()))
    const result = watch(setup.pool.transaction(new Script(...fates).body))
    await untilRest(setup, 500)
    expect(result.value).toBe('done')
    expect(setup.pool.retryBudget.tokens).toBe(30)
  })
})
