// What makes another attempt: also where the body made something else of it, and where the whole server is to be left.

import { describe, expect, it } from '@jest/globals'
import { deadlock, readOnly, serialization } from '../testing/failures.js'
import { settled } from '../testing/fake-clock.js'
import { ask, takeOne } from '../testing/fixture.js'
import { expectNothingHeld, retrying, retryingAndRested, Script, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 } as const

describe('a body', () => {
  it('that swallows a conflict is run again: COMMIT is answered by ROLLBACK', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction(async (tx, { attempt }) => {
        const { connection } = tx
        if (attempt === 1) connection.next('statement', deadlock())
        await connection.statement().catch((error: unknown) => tx.noteError(error))
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('that swallows a conflict and throws something else is run again', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction((tx, { attempt }) => {
        if (attempt > 1) return attempt
        tx.noteError(serialization())
        throw new Error('could not place the order')
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('that dealt with a conflict in a savepoint is not', async () => {
    const setup = retrying()
    const thrown = new Error('out of stock')
    const result = watch(
      setup.pool.transaction(async (tx) => {
        const nested = tx.savepoint(() => {
          tx.noteError(deadlock())
          throw new Error('not this way')
        })
        await nested.catch(() => {})
        throw thrown
      }),
    )
    await untilRest(setup)
    expect(result.error).toBe(thrown)
  })

  it('that wraps a conflict is run again, also from inside of nested ones, and as a whole', async () => {
    const setup = retrying({ pool: one })
    let inner = 0
    const result = watch(
      setup.pool.transaction((_, { attempt }) =>
        setup.pool.transaction(() =>
          setup.pool.transaction(() => {
            inner++
            if (attempt === 1) throw new Error('could not place the order', { cause: deadlock() })
            return attempt
          }),
        ),
      ),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(inner).toBe(2)
    const nested = ['begin', 'savepoint s0', 'savepoint s1']
    const sent = [...nested, 'rollback to s1', 'rollback to s0', 'rollback', ...nested]
    expect(setup.driver.connection(1).sent).toEqual([...sent, 'release s1', 'release s0', 'commit'])
  })

  it('refused at COMMIT for a conflict is run again', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction(({ connection }, { attempt }) => {
        if (attempt === 1) connection.next('commit', serialization())
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(setup.pool.stats().transactions).toMatchObject({ committed: 1, rolledBack: 1 })
  })
})

describe('a server turned read-only', () => {
  it('is left: its other connections are retired before the next attempt', async () => {
    const setup = await retryingAndRested()
    const others = await Promise.all((await ask(setup.pool, 3)).map(({ value }) => value))
    for (const lease of others) lease.release()
    const script = new Script(readOnly())
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    const [first, second] = script.runs
    expect(first?.id).toBeLessThanOrEqual(3)
    expect(second?.id).toBe(4)
    expect(setup.driver.open.map(({ id }) => id)).toEqual([4])
  })

  it('is left also when the application had swallowed that', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction((tx, { attempt }) => {
        if (attempt === 1) {
          tx.noteError(readOnly())
          throw new Error('could not place the order')
        }
        return tx.connection.id
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
  })

  it('is left even when the transaction is not run again', async () => {
    const setup = retrying()
    watch(setup.pool.transaction(new Script(readOnly()).body, { retry: false }))
    await untilRest(setup)
    expect(setup.driver.open).toEqual([])
  })
})

describe('a connection that cannot be had', () => {
  it('for another attempt ends the transaction with that', async () => {
    const setup = retrying({ pool: { ...one, acquireTimeoutMs: 100 } })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body))
    await settled()
    const lease = await takeOne(setup.pool)
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'AcquireTimeoutError', waitedMs: 100 })
    lease.release()
    expectNothingHeld(setup)
  })

  it('within its own acquireTimeoutMs is waited for no longer', async () => {
    const setup = retrying({ pool: one })
    await takeOne(setup.pool)
    const result = watch(setup.pool.transaction(() => {}, { acquireTimeoutMs: 50 }))
    await setup.clock.advance(49.9)
    expect(result.state).toBe('pending')
    await setup.clock.advance(0.1)
    expect(result.error).toMatchObject({ name: 'AcquireTimeoutError', waitedMs: 50 })
  })
})
