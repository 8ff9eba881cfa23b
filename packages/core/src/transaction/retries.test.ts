// Which failures are run again, how often, after which pauses, and what the caller gets in the end.

import { describe, expect, it } from '@jest/globals'
import { DeadlockError, RetriesExhaustedError, StatementError } from '../errors.js'
import { deadlock, lockTimeout, lostConnection, readOnly, serialization, stalePlan } from '../testing/failures.js'
import { expectNothingHeld, type Fate, retrying, retryingAndRested, Script, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { RetryOptions } from './transaction-options.js'

const noRetries = { conflict: 0, lost: 0, stale: 0 }

describe('a transaction that failed', () => {
  it.each<[string, Fate, keyof typeof noRetries]>([
    ['as a deadlock’s victim', deadlock(), 'conflict'],
    ['to serialize', serialization(), 'conflict'],
    ['with its connection', 'lose', 'lost'],
    ['on a server turned read-only', readOnly(), 'lost'],
    ['on a stale plan', stalePlan(), 'stale'],
  ])('%s is run again, and counted by its reason', async (_, fate, reason) => {
    const setup = await retryingAndRested()
    const script = new Script(fate)
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs.map(({ attempt }) => attempt)).toEqual([1, 2])
    expect(setup.pool.stats().transactions).toMatchObject({
      ...{ committed: 1, rolledBack: 1, unknown: 0, exhausted: 0, overBudget: 0 },
      retries: { ...noRetries, [reason]: 1 },
    })
    expectNothingHeld(setup)
  })

  it('for any other reason is not, and its error reaches the caller as it is', async () => {
    const errors = [new StatementError('syntax error', { code: '42601' }), lockTimeout(), new Error('out of stock')]
    for (const error of errors) {
      const setup = retrying()
      const script = new Script(error)
      const result = watch(setup.pool.transaction(script.body))
      await untilRest(setup)
      expect(result.error).toBe(error)
      expect(script.runs).toHaveLength(1)
      expect(setup.pool.stats().transactions).toMatchObject({ rolledBack: 1, retries: noRetries, exhausted: 0 })
    }
  })

  it('for want of a lock is run again when asked for', async () => {
    const setup = retrying({ retry: { retryLockTimeouts: true } })
    const result = watch(setup.pool.transaction(new Script(lockTimeout()).body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(setup.pool.stats().transactions.retries).toEqual({ ...noRetries, conflict: 1 })
  })

  it('is not run again with `retry: false`, and its error reaches the caller as it is', async () => {
    const setup = retrying()
    const error = deadlock()
    const script = new Script(error)
    const result = watch(setup.pool.transaction(script.body, { retry: false }))
    await untilRest(setup)
    expect(result.error).toBe(error)
    expect(script.runs).toHaveLength(1)
  })

  it('is not blamed on the server when it had asked for read only itself', async () => {
    const setup = retrying()
    const error = readOnly()
    const result = watch(setup.pool.transaction(new Script(error).body, { accessMode: 'read only' }))
    await untilRest(setup)
    expect(result.error).toBe(error)
    // Nothing was retired for it either.
    expect(setup.driver.open).toHaveLength(1)
  })

  it('later for a reason that does not pass gives the caller that error, however it began', async () => {
    const setup = retrying()
    const refused = new StatementError('duplicate key', { code: '23505' })
    const result = watch(setup.pool.transaction(new Script(deadlock(), refused).body))
    await untilRest(setup)
    expect(result.error).toBe(refused)
  })
})

describe('how often', () => {
  const twice: RetryOptions = { maxRetries: 2, maxConflictRetries: 3 }

  it.each<[string, () => Fate, number]>([
    ['conflicts', deadlock, 4],
    ['lost connections', () => 'lose', 3],
    ['stale plans', stalePlan, 3],
  ])('%s are retried has a limit of its own', async (_, fate, runs) => {
    const setup = await retryingAndRested({ retry: twice })
    const script = new Script(...Array.from({ length: 10 }, fate))
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.error).toBeInstanceOf(RetriesExhaustedError)
    expect(script.runs).toHaveLength(runs)
    expect(setup.pool.stats().transactions.exhausted).toBe(1)
    expectNothingHeld(setup)
  })

  it('one kind was retried takes nothing from the other', async () => {
    const setup = await retryingAndRested({ retry: twice })
    const fates: Fate[] = [deadlock(), 'lose', serialization(), stalePlan(), deadlock()]
    const script = new Script(...fates)
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(setup.pool.stats().transactions.retries).toEqual({ conflict: 3, lost: 1, stale: 1 })
  })

  it('lost connections and stale plans are retried is counted together', async () => {
    const setup = await retryingAndRested({ retry: twice })
    const last = stalePlan()
    const result = watch(setup.pool.transaction(new Script('lose', stalePlan(), last).body))
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'RetriesExhaustedError', cause: last, attempts: 3 })
  })

  it('0 means never: the caller gets the error as it is', async () => {
    for (const error of [deadlock(), stalePlan()]) {
      const setup = retrying({ retry: { maxRetries: 0, maxConflictRetries: 0 } })
      const result = watch(setup.pool.transaction(new Script(error).body))
      await untilRest(setup)
      expect(result.error).toBe(error)
      expect(setup.pool.stats().transactions.exhausted).toBe(0)
    }
  })
})

describe('the error of a transaction that failed as often as it may', () => {
  it('says how often, holds every error in order, and shows the last one', async () => {
    const setup = retrying({ retry: { maxConflictRetries: 2 } })
    const errors = [deadlock('first'), serialization(), deadlock('third')]
    const result = watch(setup.pool.transaction(new Script(...errors).body))
    await untilRest(setup)
    const { error } = result
    expect(error).toBeInstanceOf(RetriesExhaustedError)
    expect(error).not.toBeInstanceOf(DeadlockError)
    expect(error).toMatchObject({
      kind: 'transaction',
      attempts: 3,
      errors,
      cause: errors[2],
      code: '40P01',
      retry: 'never',
    })
    expect(String(error)).toContain('failed 3 times')
    expect(String(error)).toContain('third')
    // Whoever prints or sends it does not find the same errors over and over.
    expect(Object.keys(error ?? {})).not.toContain('errors')
    expect(Object.isFrozen(Reflect.get(error ?? {}, 'errors'))).toBe(true)
  })

  it('holds what each body threw, also where the reason to retry was inside of that', async () => {
    const setup = retrying({ retry: { maxConflictRetries: 1 } })
    const wrapped = [1, 2].map((n) => new Error(`could not place the order (${n})`, { cause: deadlock() }))
    const result = watch(setup.pool.transaction(new Script(...wrapped).body))
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'RetriesExhaustedError', errors: wrapped, cause: wrapped[1] })
  })
})

describe('an error that makes trouble when it is looked at', () => {
  it.each<[string, unknown]>([
    [
      'throws from its cause',
      Object.defineProperty(new Error('hostile'), 'cause', {
        get: () => {
          throw new Error('no')
        },
      }),
    ],
    ['is null', null],
    ['is a string', 'no'],
  ])('because it %s reaches the caller all the same, without a retry', async (_, thrown) => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction(() => {
        throw thrown
      }),
    )
    await untilRest(setup)
    expect(result.state).toBe('rejected')
    expect(Object.is(result.error, thrown)).toBe(true)
    expectNothingHeld(setup)
  })

  it('because it is a proxy whose traps throw reaches the caller all the same', async () => {
    const trap = () => {
      throw new Error('no')
    }
    const thrown = new Proxy({}, { get: trap, has: trap })
    const setup = retrying()
    const result = watch(setup.pool.transaction(() => Promise.reject(thrown)))
    await untilRest(setup)
    expect(result.state).toBe('rejected')
    expect(Object.is(result.error, thrown)).toBe(true)
  })

  it('because it goes round in a circle is found in it all the same', async () => {
    const one = new Error('one')
    one.cause = new Error('other', { cause: one })
    const setup = retrying()
    const result = watch(setup.pool.transaction(new Script(one).body))
    await untilRest(setup)
    expect(result.error).toBe(one)
  })
})

describe('a body that fails with what is not known to have happened', () => {
  it('is not run again, although its connection was lost as well', async () => {
    const setup = await retryingAndRested()
    const unknown = new Error('the payment', {
      cause: new StatementError('not known', { code: '40003', retry: 'unknown' }),
    })
    const result = watch(
      setup.pool.transaction(({ connection }) => {
        connection.lose(lostConnection())
        throw unknown
      }),
    )
    await untilRest(setup)
    expect(result.error).toBe(unknown)
  })
})
