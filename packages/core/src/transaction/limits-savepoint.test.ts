// A nested transaction whose SAVEPOINT or RELEASE is not answered, or is refused.

import { describe, expect, it } from '@jest/globals'
import { StatementError } from '../errors.js'
import { gate } from '../testing/gate.js'
import { expectNothingHeld, retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'

type Setup = Awaited<ReturnType<typeof retryingAndRested>>

interface Asked extends Setup {
  readonly nested: Watched<unknown>
  readonly outer: Watched<unknown>
  /** How often the nested one's body was run. */
  readonly runs: number
}

/** A nested one with a limit of 100 ms, in one that writes afterwards. */
async function unanswered(operation: 'savepoint' | 'release'): Promise<Asked> {
  const setup = await retryingAndRested()
  const { pool, driver, clock } = setup
  driver.connection(1).next(operation, 'held')
  const end = gate()
  let nested: Watched<unknown> = watch(Promise.resolve())
  let runs = 0
  const outer = watch(
    pool.transaction(async (tx, { attempt }) => {
      if (attempt > 1) return 'run again'
      const body = () => {
        runs++
      }
      nested = watch(pool.transaction(body, { timeoutMs: 100 }))
      await end.opened
      await tx.connection.statement('after')
      return 'done'
    }),
  )
  await turns()
  await clock.advance(99)
  expect(nested.state).toBe('pending')
  await clock.advance(1)
  await turns()
  end.open()
  await untilRest(setup)
  return { ...setup, nested, outer, runs }
}

describe('a nested transaction that is ended by its limits', () => {
  it('while its SAVEPOINT is not answered never runs its body', async () => {
    const setup = await unanswered('savepoint')
    expect(setup.nested.error).toMatchObject({ name: 'TransactionTimeoutError' })
    expect(setup.runs).toBe(0)
    const connection = setup.driver.connection(1)
    expect(connection.sent).toEqual(['begin', 'savepoint s0', 'stop', 'rollback to s0'])
    // Whether there was anything to go back to nobody knows: here there was not, and the rest is not risked on it.
    expect(connection.ended).toBe('destroyed')
    expect(setup.outer.value).toBe('run again')
    expectNothingHeld(setup)
  })

  it('while its RELEASE is not answered is undone, and the one around it goes on', async () => {
    const setup = await unanswered('release')
    expect(setup.nested.error).toMatchObject({ name: 'TransactionTimeoutError' })
    expect(setup.runs).toBe(1)
    const sent = ['begin', 'savepoint s0', 'release s0', 'stop', 'rollback to s0', 'after', 'commit']
    expect(setup.driver.connection(1).sent).toEqual(sent)
    expect(setup.outer.value).toBe('done')
    expectNothingHeld(setup)
  })
})

describe('a nested transaction whose RELEASE is refused', () => {
  it('is undone, with what was noted in it, and the one around it goes on', async () => {
    const setup = await retryingAndRested()
    const { pool, driver } = setup
    const refused = new StatementError('out of memory', { code: '53200' })
    driver.connection(1).next('release', refused)
    const told: string[] = []
    const outer = watch(
      pool.transaction(async (tx) => {
        const nested = watch(
          pool.transaction((_, { afterCommit, afterRollback }) => {
            afterCommit(() => told.push('committed'))
            afterRollback(() => told.push('rolled back'))
          }),
        )
        await turns()
        expect(nested.error).toBe(refused)
        await tx.connection.statement('after')
        return 'done'
      }),
    )
    await turns(20)
    expect(outer.value).toBe('done')
    const sent = ['begin', 'savepoint s0', 'release s0', 'rollback to s0', 'after', 'commit']
    expect(driver.connection(1).sent).toEqual(sent)
    expect(told).toEqual(['rolled back'])
  })
})
