// T8: the root database in a body that goes on after its connection is gone, or its time is up: what is written there
// would stay, so it is refused.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, TransactionTimeoutError } from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { backendOf, type Orm, retried } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const immediately = { initialDelayMs: 0, maxDelayMs: 0 }
const soon = 15_000

describe.each(retried.slice(1))('$name', (orm: Orm) => {
  it.each<[string, { timeoutMs?: number }]>([
    ['lost its connection', {}],
    ['reached its limit', { timeoutMs: 300 }],
  ])('T8: the root database in a body that has %s and goes on writes nothing, either', async (_, limits) => {
    const db = scene.open(orm, {
      pool: { min: 0, max: 2, overflow: 0 },
      transaction: { retry: immediately, settleTimeoutMs: 100 },
    })
    const [end, settled] = [gate(), gate()]
    let late: unknown
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(async () => {
          await db.insert('undone')
          if (limits.timeoutMs === undefined) {
            await killBackends(scene.admin, 'pid = $1', [await backendOf(db)])
          }
          await end.opened
          late = await outcome(db.insert('late'))
          settled.open()
        }, limits),
      ),
    )
    expect(error).toBeInstanceOf(limits.timeoutMs === undefined ? ConnectionLostError : TransactionTimeoutError)
    end.open()
    await within(soon, settled.opened)
    expect(await scene.marks()).toEqual([])
    expect(late).toEqual({ error: expect.anything() })
  })
})
