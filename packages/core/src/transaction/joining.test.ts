// Work that is part of the transaction around it, and work that is not: what the end of one means for the other.

import { describe, expect, it } from '@jest/globals'
import { SelfDeadlockError } from '../errors.js'
import { deadlock } from '../testing/failures.js'
import { no } from '../testing/noting.js'
import { expectNothingHeld, retrying, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'

describe('work that has joined', () => {
  it('and fails takes the whole with it, also when its error is swallowed', async () => {
    for (const propagation of ['required', 'supports', 'mandatory'] as const) {
      const { pool, driver } = retrying()
      const thrown = new Error('out of stock')
      const result = watch(
        pool.transaction(async ({ connection }) => {
          await pool.transaction(() => Promise.reject(thrown), { propagation }).catch(() => {})
          await connection.statement('after')
        }),
      )
      await turns()
      expect(result.error).toMatchObject({ name: 'TransactionAbortedError', cause: thrown })
      expect(driver.connection(1).sent).toEqual(['begin', 'after', 'rollback'])
    }
  })

  it('in a nested one, and fails, takes that with it and no more', async () => {
    const { pool, driver } = retrying()
    const result = await pool.transaction(async () => {
      const nested = pool.transaction(async () => {
        await pool.transaction(no, { propagation: 'required' }).catch(() => {})
      })
      return nested.catch((error: unknown) => error)
    })
    expect(result).toMatchObject({ name: 'TransactionAbortedError', cause: { message: 'no' } })
    expect(driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'rollback to s0', 'commit'])
  })

  it('and fails by a conflict that is swallowed is run again with the whole', async () => {
    const setup = retrying()
    const result = watch(
      setup.pool.transaction(async (_, { attempt }) => {
        const joined = setup.pool.transaction(
          () => {
            if (attempt === 1) throw deadlock()
          },
          { propagation: 'required' },
        )
        await joined.catch(() => {})
        return attempt
      }),
    )
    await untilRest(setup)
    expect(result.value).toBe(2)
    expectNothingHeld(setup)
  })

  it('says which failed first', async () => {
    const { pool } = retrying()
    const thrown = [new Error('first'), new Error('second')]
    const result = watch(
      pool.transaction(async () => {
        for (const error of thrown) {
          await pool.transaction(() => Promise.reject(error), { propagation: 'required' }).catch(() => {})
        }
      }),
    )
    await turns()
    expect(result.error).toMatchObject({ cause: thrown[0] })
  })

  it('gives what its body gives, and has the context of the whole', async () => {
    const { pool } = retrying()
    const result = await pool.transaction((tx, outer) =>
      pool.transaction((scope, inner) => [scope === tx, inner === outer], { propagation: 'required' }),
    )
    expect(result).toEqual([true, true])
  })
})

describe('one of its own (requiresNew)', () => {
  it('is committed whatever becomes of the one around it, and the other way round', async () => {
    const { pool, driver } = retrying()
    const own = { propagation: 'requiresNew' } as const
    const outer = watch(
      pool.transaction(async () => {
        await pool.transaction(({ connection }) => connection.statement('audit'), own)
        return no()
      }),
    )
    await turns()
    expect(outer.state).toBe('rejected')
    expect(driver.connections.map(({ sent }) => sent.at(-1))).toEqual(['rollback', 'commit'])
    await pool.transaction(() => pool.transaction(no, own).catch(() => {}))
    expect(driver.connections.map(({ sent }) => sent.at(-1))).toContain('rollback')
  })

  it('is run again by itself', async () => {
    const setup = retrying()
    const attempts: string[] = []
    const result = watch(
      setup.pool.transaction((_, outer) =>
        setup.pool.transaction(
          (_, own) => {
            attempts.push(`${outer.attempt}.${own.attempt}`)
            if (own.attempt === 1) throw deadlock()
          },
          { propagation: 'requiresNew' },
        ),
      ),
    )
    await untilRest(setup)
    expect(result.state).toBe('resolved')
    expect(attempts).toEqual(['1.1', '1.2'])
  })

  it('on a pool whose connections are all held by those who want one more is told so, before its time is up', async () => {
    const setup = retrying({ pool: { max: 2, overflow: 0, acquireTimeoutMs: 30_000 } })
    const body = () => setup.pool.transaction(() => 'never', { propagation: 'requiresNew' })
    const results = [watch(setup.pool.transaction(body)), watch(setup.pool.transaction(body))]
    await turns()
    await setup.clock.advance(5_000)
    await untilRest(setup)
    const failed = results.filter(({ state }) => state === 'rejected')
    expect(failed).toHaveLength(1)
    expect(failed[0]?.error).toBeInstanceOf(SelfDeadlockError)
    // Its connection went back, and the other one could go on.
    expect(results.filter(({ state }) => state === 'resolved')).toHaveLength(1)
    expectNothingHeld(setup)
  })
})
