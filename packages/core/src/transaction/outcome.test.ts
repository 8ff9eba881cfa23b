// A COMMIT that was not answered: what became of it is looked up, by its ticket, through another connection.

import { describe, expect, it } from '@jest/globals'
import type { CommitTicket } from '../driver.js'
import { CommitOutcomeUnknownError, ConnectionLostError } from '../errors.js'
import { committing, ticket, unanswered } from '../testing/committing.js'
import { eventsOf } from '../testing/events.js'
import { lostConnection } from '../testing/failures.js'
import { settled } from '../testing/fake-clock.js'
import { gate } from '../testing/gate.js'
import { expectNothingHeld, type RetryingParts, retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import type { TransactionOptions } from './transaction-options.js'

describe('a COMMIT whose answer is lost', () => {
  it('and that had been done is a success: the body is not run again', async () => {
    const setup = await committing()
    setup.driver.outcomes.push('committed')
    setup.driver.connection(1).lose(lostConnection())
    await untilRest(setup)
    expect(setup.result.value).toBe(1)
    expect(setup.runs).toEqual([1])
    expect(setup.driver.asked).toEqual(['4711'])
    expect(setup.pool.stats().transactions).toMatchObject({
      ...{ committed: 1, rolledBack: 0, unknown: 0 },
      resolved: { committed: 1, rolledBack: 0, unknown: 0 },
    })
    expectNothingHeld(setup)
  })

  it('and that had not been done is run again, as if lost before COMMIT', async () => {
    const setup = await committing()
    setup.driver.outcomes.push('rolled-back')
    setup.driver.connection(1).lose(lostConnection())
    await untilRest(setup)
    expect(setup.result.value).toBe(2)
    expect(setup.pool.stats().transactions).toMatchObject({
      ...{ committed: 1, rolledBack: 1, unknown: 0 },
      retries: { conflict: 0, lost: 1, stale: 0 },
      resolved: { committed: 0, rolledBack: 1, unknown: 0 },
    })
    expectNothingHeld(setup)
  })

  it('and that had not been done is told as a lost connection where nothing is run again', async () => {
    const setup = await committing(ticket, {}, { retry: false })
    setup.driver.outcomes.push('rolled-back')
    const reason = lostConnection()
    setup.driver.connection(1).lose(reason)
    await untilRest(setup)
    expect(setup.result.error).toBeInstanceOf(ConnectionLostError)
    expect(setup.result.error).toMatchObject({ code: '57P01', retry: 'reconnect', cause: reason })
    expect(String(setup.result.error)).toContain('rolled back')
  })

  it('and of which nobody knows is never run again, and says so, with its name on the server', async () => {
    const setup = await unanswered()
    await untilRest(setup)
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(setup.result.error).toMatchObject({ code: '57P01', retry: 'unknown' })
    expect(String(setup.result.error)).toContain('4711')
    expect(setup.runs).toEqual([1])
    expect(setup.pool.stats().transactions).toMatchObject({
      ...{ committed: 0, rolledBack: 0, unknown: 1, exhausted: 0 },
      resolved: { committed: 0, rolledBack: 0, unknown: 1 },
    })
    expectNothingHeld(setup)
  })

  it('is looked up when its connection was given up rather than lost, and that is gone first', async () => {
    const setup = await committing()
    setup.driver.outcomes.push('committed')
    const connection = setup.driver.connection(1)
    // As a limit of the statement's own: the caller was told, the server has not answered.
    connection.cancelling = true
    connection.held('commit').fail(new Error('no answer within 100 ms'))
    await untilRest(setup)
    expect(setup.result.value).toBe(1)
    expect(connection.ended).toBe('destroyed')
    expectNothingHeld(setup)
  })

  it('had nothing to do when nothing had been written: it is run again without a question', async () => {
    const setup = await unanswered('nothing')
    await untilRest(setup)
    expect(setup.result.value).toBe(2)
    expect(setup.driver.asked).toEqual([])
    expect(setup.pool.stats().transactions.resolved).toEqual({ committed: 0, rolledBack: 0, unknown: 0 })
  })
})

describe('it is not looked up', () => {
  it('when it had not even been sent: it is run again, also where an unanswered one would not be looked up', async () => {
    for (const options of [{}, { exactlyOnce: false }]) {
      const setup = await committing(ticket, {}, options)
      setup.driver.connection(1).lose(new ConnectionLostError('gone before it was sent', { sent: false }))
      await untilRest(setup)
      expect(setup.result.value).toBe(2)
      expect(setup.driver.asked).toEqual([])
      expect(setup.pool.stats().transactions).toMatchObject({
        ...{ committed: 1, rolledBack: 1, unknown: 0 },
        resolved: { committed: 0, rolledBack: 0, unknown: 0 },
      })
      expectNothingHeld(setup)
    }
  })

  it.each<[string, CommitTicket | undefined, RetryingParts, TransactionOptions]>([
    ['without a ticket', undefined, {}, {}],
    ['when the transaction does not want that', ticket, {}, { exactlyOnce: false }],
    ['when no transaction wants that', ticket, { transaction: { exactlyOnce: false } }, {}],
  ])('%s', async (_, given, parts, options) => {
    const setup = await unanswered(given, parts, options)
    // Not the default of the parameter.
    setup.driver.connection(1).ticket = given
    await turns()
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(setup.driver.asked).toEqual([])
    expect(setup.runs).toEqual([1])
  })

  it('where the server cannot tell', async () => {
    const setup = await committing()
    Object.defineProperty(setup.driver, 'outcomeOf', { value: undefined })
    setup.driver.connection(1).lose()
    await turns()
    expect(setup.result.error).toBeInstanceOf(CommitOutcomeUnknownError)
  })

  it('but wanted by one transaction, where others do not', async () => {
    const setup = await committing(ticket, { transaction: { exactlyOnce: false } }, { exactlyOnce: true })
    setup.driver.outcomes.push('committed')
    setup.driver.connection(1).lose()
    await untilRest(setup)
    expect(setup.result.value).toBe(1)
  })
})

describe('while it is being looked up', () => {
  it('the lost connection is nobody’s any more, and one other is held', async () => {
    const setup = await committing()
    const answer = gate()
    setup.driver.outcomeOf = async () => {
      await answer.opened
      return 'committed'
    }
    setup.driver.connection(1).lose(lostConnection())
    await setup.clock.advance(100)
    expect(setup.pool.stats()).toMatchObject({ leased: 1 })
    expect(setup.driver.open.map(({ id }) => id)).toEqual([2])
    answer.open()
    await turns()
    expect(setup.result.value).toBe(1)
  })

  it('no callback of its end is run', async () => {
    const setup = await retryingAndRested()
    const ran: string[] = []
    const answer = gate()
    setup.driver.outcomeOf = async () => {
      await answer.opened
      return 'committed'
    }
    setup.driver.connection(1).next('commit', 'held')
    watch(
      setup.pool.transaction((tx, { afterCommit }) => {
        tx.connection.ticket = ticket
        afterCommit(() => ran.push('committed'))
      }),
    )
    await turns()
    setup.driver.connection(1).lose()
    await turns()
    await settled()
    expect(ran).toEqual([])
    answer.open()
    await untilRest(setup)
    expect(ran).toEqual(['committed'])
  })
})

describe('what is told of it', () => {
  it('is how it came out, how long that took, and why it could not be found out', async () => {
    for (const outcome of ['committed', 'rolled-back', 'unknown'] as const) {
      const setup = await committing(ticket, {}, { retry: false })
      setup.driver.outcomes.push(lostConnection(), outcome)
      const events = await eventsOf('moorings:commit:resolved', async () => {
        setup.driver.connection(1).lose(lostConnection())
        await untilRest(setup)
      })
      expect(events).toEqual([
        { ...setup.pool.identity, transactionId: '4711', outcome, tookMs: 100, error: undefined },
      ])
    }
    const setup = await committing(ticket, { transaction: { outcomeTimeoutMs: 50 } })
    const error = lostConnection()
    setup.driver.outcomes.push(error)
    const events = await eventsOf('moorings:commit:resolved', async () => {
      setup.driver.connection(1).lose(lostConnection())
      await untilRest(setup)
    })
    expect(events).toMatchObject([{ outcome: 'unknown', error }])
  })
})

describe('a transaction', () => {
  it('is begun so that it can be looked up, unless that is not wanted', async () => {
    const { pool, driver } = await retryingAndRested()
    const traced: (boolean | undefined)[] = []
    const connection = driver.connection(1)
    const begin = connection.begin.bind(connection)
    connection.begin = (settings, wanted?: boolean) => {
      traced.push(wanted)
      return begin(settings)
    }
    await pool.transaction(() => {})
    await pool.transaction(() => {}, { accessMode: 'read write' })
    await pool.transaction(() => {}, { accessMode: 'read only' })
    await pool.transaction(() => {}, { exactlyOnce: false })
    expect(traced).toEqual([true, true, true, false])
  })
})
