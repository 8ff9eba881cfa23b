// What nested transactions note for after the end: kept or dropped with their savepoints.

import { describe, expect, it } from '@jest/globals'
import { afterCommit } from '../scope.js'
import { gate } from '../testing/gate.js'
import { no, noting } from '../testing/noting.js'
import { retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'

describe('what is noted in a nested transaction', () => {
  it('is done after the end of the outermost, in order with the rest', async () => {
    const { pool } = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    await pool.transaction(async (_, context) => {
      note(context, 'before')
      await pool.transaction((_, inner) => note(inner, 'inside'))
      expect(told).toEqual([])
      note(context, 'after')
    })
    expect(told).toEqual(['before committed', 'inside committed', 'after committed'])
  })

  it('is dropped with its savepoint, at every depth, and only that', async () => {
    const { pool } = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    await pool.transaction(async (_, context) => {
      note(context, 'outermost')
      const nested = pool.transaction(async (_, outer) => {
        note(outer, 'undone')
        await pool.transaction((_, inner) => note(inner, 'undone with it'))
        return no()
      })
      await nested.catch(() => {})
      await pool.transaction(async (_, outer) => {
        note(outer, 'kept')
        const failing = pool.transaction((_, inner) => {
          note(inner, 'undone alone')
          return no()
        })
        await failing.catch(() => {})
      })
    })
    expect(told).toEqual([
      ...['outermost committed', 'undone rolled back', 'undone with it rolled back'],
      ...['kept committed', 'undone alone rolled back'],
    ])
  })

  it('is done once, as rolled back, when everything is', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    watch(
      setup.pool.transaction(async () => {
        await setup.pool.transaction((_, inner) => note(inner, 'kept'))
        const nested = setup.pool.transaction((_, inner) => {
          note(inner, 'undone')
          return no()
        })
        await nested.catch(() => {})
        return no()
      }),
    )
    await untilRest(setup)
    expect(told).toEqual(['kept rolled back', 'undone rolled back'])
  })

  it('takes nothing with it that was noted beside it', async () => {
    const { pool } = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    await pool.transaction(async (_, context) => {
      const nested = watch(pool.transaction(() => turns().then(no)))
      await turns(1)
      note(context, 'beside it')
      await turns(10)
      expect(nested.state).toBe('rejected')
    })
    expect(told).toEqual(['beside it committed'])
  })

  it('is refused once its limits have ended it, although its body goes on', async () => {
    const setup = await retryingAndRested()
    const goesOn = gate()
    let late = watch(Promise.resolve())
    let done = false
    const result = watch(
      setup.pool.transaction(async () => {
        const nested = setup.pool.transaction(
          async () => {
            await goesOn.opened
            late = watch(
              afterCommit(() => {
                done = true
              }),
            )
          },
          { timeoutMs: 100 },
        )
        await nested.catch(() => {})
        goesOn.open()
        await turns()
      }),
    )
    await turns()
    await setup.clock.advance(100)
    await untilRest(setup)
    expect(result.state).toBe('resolved')
    expect(late.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(done).toBe(false)
  })

  it('of its own (requiresNew) is done after that, whatever becomes of the one around it', async () => {
    const setup = await retryingAndRested()
    const told: string[] = []
    const note = noting(told)
    watch(
      setup.pool.transaction(async (_, outer) => {
        note(outer, 'outer')
        await setup.pool.transaction((_, own) => note(own, 'own'), { propagation: 'requiresNew' })
        expect(told).toEqual(['own committed'])
        return no()
      }),
    )
    await untilRest(setup)
    expect(told).toEqual(['own committed', 'outer rolled back'])
  })

  it('of its own is done outside of the one around it, which could undo it', async () => {
    const setup = await retryingAndRested()
    const { pool, driver } = setup
    let around: unknown = 'not done'
    const result = watch(
      pool.transaction(async () => {
        await pool.transaction(
          (_, own) =>
            own.afterCommit(async () => {
              around = pool.joinable
              await pool.transaction(({ connection }) => connection.statement('audit'))
            }),
          { propagation: 'requiresNew' },
        )
        return no()
      }),
    )
    await untilRest(setup)
    expect(result.state).toBe('rejected')
    expect(around).toBeUndefined()
    expect(driver.connections.map(({ sent }) => sent)).toEqual([
      ['begin', 'rollback'],
      ['begin', 'commit', 'begin', 'audit', 'commit'],
    ])
  })
})
