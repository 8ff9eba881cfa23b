// Attempts of one transaction: each on a connection and in a transaction of its own, none before the one before it is over.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementError } from '../errors.js'
import type { TransactionContext } from '../scope.js'
import { deadlock, serialization } from '../testing/failures.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { counts, empty, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { expectNothingHeld, retrying, retryingAndRested, Script, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

const one = { max: 1, overflow: 0 } as const

describe('each attempt', () => {
  it('begins anew: BEGIN with the same settings, and the whole body', async () => {
    const setup = retrying({ pool: one })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body, { isolationLevel: 'serializable' }))
    await untilRest(setup)
    expect(result.value).toBe('done')
    const begin = 'begin isolation level serializable'
    expect(setup.driver.connection(1).sent).toEqual([begin, 'write', 'rollback', begin, 'write', 'commit'])
  })

  it('is told its number, and given a handle of its own', async () => {
    const setup = retrying()
    const handles = new Set<TransactionScope<FakeConnection>>()
    const contexts = new Set<TransactionContext>()
    const result = watch(
      setup.pool.transaction((tx, context) => {
        handles.add(tx)
        contexts.add(context)
        if (context.attempt < 3) throw deadlock()
        return context.attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(3)
    expect(handles.size).toBe(3)
    expect(contexts.size).toBe(3)
  })

  it('has another connection when its own was lost', async () => {
    const setup = await retryingAndRested()
    const script = new Script('lose', 'lose')
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs.map(({ id }) => id)).toEqual([1, 2, 3])
    expectNothingHeld(setup)
  })

  it('holds nothing in the pause before it: whoever waits is served', async () => {
    const setup = retrying({ pool: one })
    const result = watch(setup.pool.transaction(new Script(deadlock()).body))
    await settled()
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 1 })
    const lease = await takeOne(setup.pool)
    await setup.clock.advance(10)
    expect(result.state).toBe('pending')
    expect(counts(setup.pool)).toMatchObject({ leased: 1, waiting: 1 })
    lease.release()
    await untilRest(setup)
    expect(result.value).toBe('done')
  })

  it('comes after the roll-back of the one before it has been answered', async () => {
    const setup = retrying()
    const script = new Script(deadlock())
    setup.driver.always('rollback', 'held')
    watch(setup.pool.transaction(script.body))
    await setup.clock.advance(1_000)
    expect(script.runs).toHaveLength(1)
    setup.driver.connection(1).held('rollback').ok()
    await setup.clock.advance(10)
    expect(script.runs).toHaveLength(2)
  })

  it('comes although the roll-back of the one before it failed: its connection is gone, and what it did with it', async () => {
    const setup = retrying()
    const error = deadlock()
    const script = new Script(error)
    setup.driver.always('rollback', new StatementError('no such luck'))
    const result = watch(setup.pool.transaction(script.body))
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs.map(({ id }) => id)).toEqual([1, 2])
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    expect(error).toHaveProperty('rollbackError.message', 'no such luck')
    expect(setup.pool.stats().transactions.rollbacks).toEqual({ cancelled: 0, destroyed: 1 })
  })

  it('leaves nothing behind in the pool, however it ends', async () => {
    for (const fates of [
      [],
      [deadlock()],
      ['lose'],
      [new Error('no')],
      [deadlock(), 'lose', serialization()],
    ] as const) {
      const setup = await retryingAndRested({ pool: { max: 2 } })
      watch(setup.pool.transaction(new Script(...fates).body))
      await untilRest(setup)
      expectNothingHeld(setup)
      await setup.pool.close()
      await expectNothingLeft(setup)
    }
  })
})

describe('a connection that is lost', () => {
  it('at BEGIN is a reason to try again', async () => {
    const setup = await retryingAndRested()
    setup.driver.connection(1).next('begin', 'held')
    const script = new Script()
    const result = watch(setup.pool.transaction(script.body))
    await turns()
    setup.driver.connection(1).lose()
    await untilRest(setup)
    expect(result.value).toBe('done')
    expect(script.runs).toEqual([{ attempt: 2, id: 2 }])
    expectNothingHeld(setup)
  })

  it('unnoticed by the body is found at COMMIT, which is not sent, and the body run again', async () => {
    const setup = await retryingAndRested()
    const result = watch(
      setup.pool.transaction(({ connection }, { attempt }) => {
        if (attempt === 1) connection.lose()
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expect(setup.driver.connection(1).sent).toEqual(['begin'])
  })

  it('is the reason, whatever the body makes of it', async () => {
    for (const made of [new Error('could not place the order'), 'a string', undefined]) {
      const setup = await retryingAndRested()
      const result = watch(
        setup.pool.transaction(({ connection }, { attempt }) => {
          if (attempt > 1) return 'done'
          connection.lose()
          throw made
        }),
      )
      await untilRest(setup)
      expect(result.value).toBe('done')
    }
  })

  it('for having been idle for too long is no reason: the body would take as long again', async () => {
    const setup = await retryingAndRested()
    const result = watch(
      setup.pool.transaction(async ({ connection }) => {
        connection.lose(new ConnectionLostError('terminating connection due to idle timeout', { code: '25P03' }))
      }),
    )
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'ConnectionLostError', code: '25P03' })
  })
})
