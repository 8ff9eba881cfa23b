// T8: a body that goes on after its connection is gone, or its time is up. It is waited for before it is run again, and
// whatever it does goes nowhere.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { until } from '../support/until.js'
import { backendOf, type Orm, retried } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
const immediately = { initialDelayMs: 0, maxDelayMs: 0 }
const soon = 15_000

describe.each(retried)('$name', (orm: Orm) => {
  it('T8: a body that still runs is waited for before the next attempt, and can write nothing more', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 }, transaction: { retry: immediately } })
    const [told, end] = [gate(), gate()]
    const order: string[] = []
    let late: unknown
    const done = db.withTransaction(async (tx, { attempt, signal }) => {
      order.push(`begun ${attempt}`)
      await tx.insert(`attempt ${attempt}`)
      if (attempt === 1) {
        signal.addEventListener('abort', told.open)
        await killBackends(scene.admin, 'pid = $1', [await backendOf(tx)])
        await told.opened
        await end.opened
        late = await errorOf(tx.insert('late'))
      }
      order.push(`settled ${attempt}`)
    })
    await within(soon, told.opened)
    // What the pool could do meanwhile, it has done after these.
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    expect(order).toEqual(['begun 1'])
    end.open()
    await within(soon, done)
    expect(order).toEqual(['begun 1', 'settled 1', 'begun 2', 'settled 2'])
    expect(late).toBeInstanceOf(ConnectionLostError)
    expect(await scene.marks()).toEqual(['attempt 2'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 1 })
  })

  it('T8: a body that does not settle in time is not run again, and what it does later goes nowhere', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry: immediately, settleTimeoutMs: 100 } })
    const [end, settled] = [gate(), gate()]
    let runs = 0
    const late: unknown[] = []
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(async (tx) => {
          runs++
          await tx.insert('undone')
          await killBackends(scene.admin, 'pid = $1', [await backendOf(tx)])
          await end.opened
          late.push(
            await outcome(tx.insert('late')),
            await outcome(tx.nested((nested) => nested.insert('late, nested'))),
          )
          settled.open()
        }),
      ),
    )
    expect(error).toBeInstanceOf(ConnectionLostError)
    expect(error).toMatchObject({ retry: 'never', message: expect.stringContaining('100 ms') })
    await db.withTransaction((tx) => tx.insert('next'))
    end.open()
    await within(soon, settled.opened)
    expect(runs).toBe(1)
    expect(late).toEqual([{ error: expect.anything() }, { error: expect.anything() }])
    expect(await scene.marks()).toEqual(['next'])
    await until(() => db.pool.stats().leased === 0, { what: 'every lease to be back' })
  })

  it('T8: work that the body has left behind writes nothing in the next attempt', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry: immediately } })
    const second = gate()
    let left: Promise<unknown> | undefined
    await within(
      soon,
      db.withTransaction(async (tx, { attempt }) => {
        await tx.insert(`attempt ${attempt}`)
        if (attempt === 1) {
          left = second.opened.then(() => outcome(tx.insert('stray')))
          await killBackends(scene.admin, 'pid = $1', [await backendOf(tx)])
          await tx.insert('lost')
        }
        second.open()
        await left
      }),
    )
    expect(await left).toEqual({ error: expect.anything() })
    expect(await scene.marks()).toEqual(['attempt 2'])
  })
})
