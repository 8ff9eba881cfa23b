// The question what became of a COMMIT: asked until it is answered, within its limit, and as long as there is a pool.

import { describe, expect, it } from '@jest/globals'
import { CommitOutcomeUnknownError, PoolClosedError } from '../errors.js'
import { committing, ticket } from '../testing/committing.js'
import { eventsOf } from '../testing/events.js'
import { lostConnection } from '../testing/failures.js'
import { refusal } from '../testing/fake-driver.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { expectNothingHeld, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'

describe('a question that cannot be answered', () => {
  it('is asked again, on and on, until it is', async () => {
    const setup = await committing()
    setup.driver.outcomes.push(lostConnection(), new Error('too busy'), lostConnection(), 'committed')
    setup.driver.connection(1).lose(lostConnection())
    await untilRest(setup)
    expect(setup.result.value).toBe(1)
    expect(setup.driver.asked).toEqual(['4711', '4711', '4711', '4711'])
    expect(setup.pool.stats().transactions.resolved).toEqual({ committed: 1, rolledBack: 0, unknown: 0 })
    expectNothingHeld(setup)
  })

  it('is asked in no hot loop', async () => {
    const setup = await committing(ticket, { transaction: { outcomeTimeoutMs: 10_000 } })
    setup.driver.outcomes.push(...Array.from({ length: 1_000 }, lostConnection))
    setup.driver.connection(1).lose(lostConnection())
    for (let tenth = 0; tenth < 10; tenth++) {
      await turns()
      expect(setup.driver.asked).toHaveLength(tenth + 1)
      await setup.clock.advance(99)
      await turns()
      expect(setup.driver.asked).toHaveLength(tenth + 1)
      await setup.clock.advance(1)
    }
    await untilRest(setup)
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
  })

  it('ends after outcomeTimeoutMs, also while no connection is to be had', async () => {
    for (const connects of [refusal(), 'deaf'] as const) {
      const setup = await committing(ticket, { transaction: { outcomeTimeoutMs: 3_000 } })
      setup.driver.connects = connects
      setup.driver.connection(1).lose(lostConnection())
      await setup.clock.advance(2_800)
      expect(setup.result.state).toBe('pending')
      await setup.clock.advance(200)
      await turns()
      expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
      await setup.clock.advance(60_000)
      expectNothingHeld(setup)
    }
  })

  it('ends after outcomeTimeoutMs while it is under way, with the connection it was asked on', async () => {
    const setup = await committing(ticket, { transaction: { outcomeTimeoutMs: 3_000 } })
    const signals: AbortSignal[] = []
    setup.driver.outcomeOf = (_ticket, _connection, signal) => {
      signals.push(signal)
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(3_000)
    await turns()
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(setup.driver.connection(2).ended).toBe('destroyed')
    expectNothingHeld(setup)
  })

  it('ends after outcomeTimeoutMs also in a pool that is suspended, where the time of those who wait stands still', async () => {
    const setup = await committing(ticket, { transaction: { outcomeTimeoutMs: 3_000 } })
    setup.pool.suspend()
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(2_999)
    expect(setup.result.state).toBe('pending')
    await setup.clock.advance(1)
    await turns()
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
    setup.pool.resume()
    await turns()
    expectNothingHeld(setup)
  })

  it('waits for a connection as others do, and goes on when there is one', async () => {
    const setup = await committing()
    setup.driver.outcomes.push('committed')
    setup.driver.connects = 'deaf'
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(5_000)
    expect(setup.result.state).toBe('pending')
    setup.driver.attempt(2).succeed()
    await turns()
    expect(setup.result.value).toBe(1)
  })
})

describe('a pool that is closed meanwhile', () => {
  it('leaves it unknown at once, where a connection is waited for', async () => {
    const setup = await committing()
    setup.driver.connects = 'deaf'
    setup.driver.connection(1).lose(lostConnection())
    await turns()
    const events = await eventsOf('moorings:commit:resolved', async () => {
      void setup.pool.close()
      await turns()
    })
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(events).toMatchObject([{ transactionId: '4711', outcome: 'unknown', error: { name: 'PoolClosedError' } }])
    await setup.clock.advance(60_000)
    await expectNothingLeft(setup)
  })

  it('leaves it unknown also between two questions', async () => {
    const setup = await committing()
    setup.driver.outcomes.push(lostConnection())
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(50)
    expect(setup.driver.asked).toHaveLength(1)
    const closed = watch(setup.pool.close())
    await turns()
    expect(closed.state).toBe('resolved')
    await setup.clock.advance(60_000)
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
  })

  it('had taken away the connection of the COMMIT: nobody is left to be asked', async () => {
    const setup = await committing()
    void setup.pool.close({ timeoutMs: 100 })
    await setup.clock.advance(100)
    await turns()
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(setup.result.error).toMatchObject({ cause: { name: PoolClosedError.name } })
    await expectNothingLeft(setup)
  })
})
