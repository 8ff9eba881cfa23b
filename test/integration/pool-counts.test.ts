// What the pool tells while it works on a wait: its counts, and why a connect failed.

import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError } from '@moorings/core'
import { until } from '../support/until.js'
import { giveBackAll, holdSeveral } from './held.js'
import { type Orm, orms } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

describe.each(orms)('$name', (orm: Orm) => {
  it('P1: a connection that is looked at before it is lent is not counted as leased', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    await giveBackAll(await holdSeveral(db, 2))
    await pause(30)
    const waiting = db.pool.acquire()
    const { leased, waiting: queued } = db.pool.stats()
    expect(leased + queued).toBe(1)
    ;(await waiting).release()
  })

  it.each(['reset', 'fin'] as const)(
    'P4: a connect that was cut off (%s) is a ConnectError, as every failed connect',
    async (how) => {
      const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0, acquireTimeoutMs: 300 } })
      scene.proxy.refuse(how)
      const error = await errorOf(db.query('select 1'))
      await until(() => db.pool.stats().connecting === 0, { what: 'the connect to end' })
      expect(error).toBeInstanceOf(AcquireTimeoutError)
      expect(error).toMatchObject({ cause: expect.objectContaining({ name: 'ConnectError' }) })
    },
  )
})
