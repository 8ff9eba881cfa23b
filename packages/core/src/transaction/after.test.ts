// What is to be done after a transaction: when, in which order, and when not.

import { describe, expect, it, jest } from '@jest/globals'
import { afterCommit, afterRollback, outsideTransaction, type TransactionContext } from '../scope.js'
import { eventsOf } from '../testing/events.js'
import { deadlock, lostConnection } from '../testing/failures.js'
import { counts, empty } from '../testing/fixture.js'
import { gate } from '../testing/gate.js'
import { no, noting } from '../testing/noting.js'
import { retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'

describe('what is noted in a transaction', () => {
  it('is done after its end, in the order of the calls, each when the one before it is done', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    const first = gate()
    const result = watch(
      setup.pool.transaction((_, context) => {
        context.afterCommit(async () => {
          told.push('first begins')
          await first.opened
          told.push('first ends')
        })
        context.afterCommit(() => told.push('second'))
      }),
    )
    await turns()
    expect(told).toEqual(['first begins'])
    // The caller waits for it.
    expect(result.state).toBe('pending')
    first.open()
    await turns()
    expect(told).toEqual(['first begins', 'first ends', 'second'])
    expect(result.state).toBe('resolved')
  })

  it('is done when the connection is back: it may need one itself', async () => {
    for (const end of ['commit', 'rollback']) {
      const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 } })
      const seen: unknown[] = []
      const look = async () => {
        seen.push(counts(setup.pool), await setup.pool.transaction(({ connection }) => connection.id))
      }
      watch(
        setup.pool.transaction((_, context) => {
          context.afterCommit(look)
          context.afterRollback(look)
          if (end === 'rollback') throw new Error('no')
        }),
      )
      await untilRest(setup)
      expect(seen).toEqual([{ ...empty, idle: 1 }, 1])
    }
  })

  it('is outside of every transaction by then', async () => {
    const { pool, driver } = await retryingAndRested()
    const seen: unknown[] = []
    await pool.transaction((_, context) => {
      context.afterCommit(async () => {
        seen.push(pool.joinable, pool.scopes.current, pool.scopes.held)
        // At once.
        await afterCommit(() => seen.push('now'))
      })
    })
    expect(seen).toEqual([undefined, undefined, [], 'now'])
    expect(driver.connection(1).sent).toEqual(['begin', 'commit'])
  })

  it('is the one for its end only', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    await setup.pool.transaction((_, context) => note(context, 'a'))
    watch(
      setup.pool.transaction((_, context) => {
        note(context, 'b')
        return no()
      }),
    )
    await untilRest(setup)
    expect(told).toEqual(['a committed', 'b rolled back'])
  })

  it('is refused once that has ended', async () => {
    const { pool } = await retryingAndRested()
    let kept: TransactionContext | undefined
    await pool.transaction((_, context) => {
      kept = context
    })
    expect(() => kept?.afterCommit(() => {})).toThrow(expect.objectContaining({ name: 'TransactionEndedError' }))
    expect(() => kept?.afterRollback(() => {})).toThrow(expect.objectContaining({ name: 'TransactionEndedError' }))
  })

  it('is dropped with its attempt, whose afterRollback runs before the next one', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    const result = watch(
      setup.pool.transaction((_, context) => {
        told.push(`attempt ${context.attempt}`)
        note(context, String(context.attempt))
        if (context.attempt < 3) throw deadlock()
      }),
    )
    await untilRest(setup)
    expect(result.state).toBe('resolved')
    expect(told).toEqual([
      ...['attempt 1', '1 rolled back', 'attempt 2', '2 rolled back'],
      ...['attempt 3', '3 committed'],
    ])
  })

  it.each<[string, 'committed' | 'rolled-back', string]>([
    ['the server says it was committed', 'committed', 'committed'],
    ['the server says it was rolled back', 'rolled-back', 'rolled back'],
  ])('is done by what became of a COMMIT without an answer: %s', async (_, outcome, expected) => {
    const setup = await retryingAndRested()
    const told: string[] = []
    setup.driver.outcomes.push(outcome)
    watch(
      setup.pool.transaction(
        ({ connection }, context) => {
          noting(told)(context, 'it was')
          connection.ticket = { transactionId: '4711' }
          connection.next('commit', lostConnection())
          const commit = connection.commit.bind(connection)
          connection.commit = () => {
            connection.lose()
            return commit()
          }
        },
        { retry: false },
      ),
    )
    await untilRest(setup)
    expect(told).toEqual([`it was ${expected}`])
  })

  it('is not done at all when nobody knows what became of it', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    setup.driver.connection(1).next('commit', 'held')
    const result = watch(
      setup.pool.transaction((_, context) => {
        noting(told)(context, 'a')
        context.afterRollback(() => told.push('another'))
      }),
    )
    await turns()
    setup.driver.connection(1).lose()
    await untilRest(setup)
    expect(result.error).toMatchObject({ name: 'CommitOutcomeUnknownError' })
    expect(told).toEqual([])
  })

  it('is done as rolled back when a COMMIT was refused, or answered by ROLLBACK, or could not be sent', async () => {
    for (const how of ['refused', 'answered', 'lost'] as const) {
      const setup = await retryingAndRested()
      const told: string[] = []
      watch(
        setup.pool.transaction(
          async ({ connection }, context) => {
            noting(told)(context, how)
            if (how === 'refused') connection.next('commit', new Error('deferred constraint'))
            if (how === 'answered') {
              connection.next('statement', new Error('no such table'))
              await connection.statement().catch(() => {})
            }
            if (how === 'lost') connection.lose()
          },
          { retry: false },
        ),
      )
      await untilRest(setup)
      expect(told).toEqual([`${how} rolled back`])
    }
  })
})

describe('a callback that fails', () => {
  it.each(['committed', 'rolled-back'] as const)('after it was %s is told, and stops nothing', async (after) => {
    const setup = await retryingAndRested()
    const told: string[] = []
    const causes = [new Error('throws'), new Error('rejects')]
    const events = await eventsOf('moorings:after:failed', async () => {
      const result = watch(
        setup.pool.transaction((_, context) => {
          const note = after === 'committed' ? context.afterCommit : context.afterRollback
          note(() => {
            throw causes[0]
          })
          note(() => Promise.reject(causes[1]))
          note(() => told.push('the last one'))
          if (after === 'rolled-back') throw new Error('no')
          return 'done'
        }),
      )
      await untilRest(setup)
      if (after === 'committed') expect(result.value).toBe('done')
      else expect(result.error).toMatchObject({ message: 'no' })
    })
    expect(told).toEqual(['the last one'])
    expect(events).toMatchObject(causes.map((cause) => ({ ...setup.pool.identity, after, error: { cause } })))
  })
})

describe('a callback that fails while nobody listens', () => {
  it('is a warning that names what it was given to and its error, and shows no message of the application', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {})
    try {
      const { pool } = await retryingAndRested()
      await pool.transaction((_, { afterCommit }) =>
        afterCommit(() => {
          throw new TypeError('hunter2')
        }),
      )
      expect(warn).toHaveBeenCalledTimes(1)
      const said = JSON.stringify(warn.mock.calls[0])
      expect(said).toMatch(/afterCommit failed \(TypeError\).*MOORINGS_AFTER_FAILED/)
      expect(said).not.toContain('hunter2')
    } finally {
      warn.mockRestore()
    }
  })
})

describe('afterCommit() and afterRollback()', () => {
  it('belong to the transaction of the call chain, through what it awaits', async () => {
    const { pool } = await retryingAndRested()
    const told: string[] = []
    await pool.transaction(async () => {
      await turns()
      await afterCommit(() => told.push('committed'))
      afterRollback(() => told.push('rolled back'))
      expect(told).toEqual([])
    })
    expect(told).toEqual(['committed'])
  })

  it('outside of one: the first is done at once, waited for, and fails its caller; the second never', async () => {
    const told: string[] = []
    const slow = gate()
    const waited = watch(
      afterCommit(async () => {
        await slow.opened
        told.push('done')
      }),
    )
    await turns()
    expect(waited.state).toBe('pending')
    slow.open()
    await turns()
    expect(waited.state).toBe('resolved')
    const thrown = new Error('no')
    await expect(afterCommit(() => Promise.reject(thrown))).rejects.toBe(thrown)
    afterRollback(() => told.push('never'))
    await turns()
    expect(told).toEqual(['done'])
  })

  it('outside of the one around them, by outsideTransaction(), do not belong to it', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    watch(
      setup.pool.transaction(async () => {
        await outsideTransaction(() => afterCommit(() => told.push('at once')))
        outsideTransaction(() => afterRollback(() => told.push('never')))
        expect(told).toEqual(['at once'])
        return no()
      }),
    )
    await untilRest(setup)
    expect(told).toEqual(['at once'])
  })

  it('in a callback that outlives its transaction are not lost on it', async () => {
    const { pool } = await retryingAndRested()
    const told: string[] = []
    const late = gate()
    let done = watch(Promise.resolve())
    await pool.transaction(() => {
      done = watch(late.opened.then(() => afterCommit(() => told.push('at once'))))
    })
    late.open()
    await turns()
    expect(done.state).toBe('resolved')
    expect(told).toEqual(['at once'])
  })
})
