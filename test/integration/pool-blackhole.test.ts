// P16: a network that swallows everything. Nobody waits longer than they said they would.

import { describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, CommitOutcomeUnknownError, StatementTimeoutError } from '@moorings/core'
import { until } from '../support/until.js'
import { backendOf, nesting, type Orm, orms, transactional } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const timeoutMs = 400
const bounded = {
  pool: { min: 0, max: 1, overflow: 0, closeTimeoutMs: 500 },
  statement: { timeoutMs },
  // Nobody else can be asked through a black hole.
  transaction: { outcomeTimeoutMs: 500 },
}
/** The statement's limit, the server's time to confirm the cancel, and what a busy machine adds. */
const patience = 5_000

describe.each(orms)('$name', (orm: Orm) => {
  it('P16: a black hole mid-statement rejects by the deadline, and the socket is gone', async () => {
    const db = scene.open(orm, bounded)
    await db.query('select 1')
    scene.proxy.swallow()
    const startedAt = performance.now()
    expect(await within(patience, errorOf(db.query('select 2')))).toBeInstanceOf(StatementTimeoutError)
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(timeoutMs)
    await until(() => db.pool.stats().leased === 0 && db.pool.stats().idle === 0, { what: 'the connection to go' })
    expect(db.pool.stats()).toMatchObject({ lost: 1 })
    await scene.proxy.restore()
    expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
  })

  it('P16: the answer alone is swallowed: the same', async () => {
    const db = scene.open(orm, bounded)
    await db.query('select 1')
    scene.proxy.swallow('to-client')
    expect(await within(patience, errorOf(db.query('select 2')))).toBeInstanceOf(StatementTimeoutError)
    await until(() => db.pool.stats().lost === 1, { what: 'the connection to go' })
  })

  it('P16: a statement too slow on a healthy link is stopped on the server, and its connection goes on', async () => {
    const db = scene.open(orm, bounded)
    const pid = await backendOf(db)
    const late = errorOf(db.query('select pg_sleep(60)'))
    await until(async () => (await scene.backends()).some((backend) => backend.state === 'active'), {
      what: 'the server to be at it',
    })
    expect(await within(patience, late)).toBeInstanceOf(StatementTimeoutError)
    await until(async () => (await scene.backends()).every((backend) => backend.state === 'idle'), {
      what: 'the server to stop',
    })
    expect(await backendOf(db)).toBe(pid)
    expect(db.pool.stats()).toMatchObject({ created: 1, lost: 0 })
    expect(scene.proxy.cancelRequests).toEqual([pid])
  })
})

describe.each(transactional)('$name', (orm: Orm) => {
  it('P16: a black hole at BEGIN, which travels with the first statement, rejects by the deadline', async () => {
    const db = scene.open(orm, bounded)
    await db.query('select 1')
    scene.proxy.swallow()
    expect(await within(patience, errorOf(db.transaction((tx) => tx.insert('lost'))))).toBeInstanceOf(
      StatementTimeoutError,
    )
    await scene.proxy.restore()
    expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
  })

  it('P16: a black hole at COMMIT rejects by the deadline: its outcome is unknown', async () => {
    const db = scene.open(orm, bounded)
    const error = await within(
      patience,
      errorOf(
        db.transaction(async (tx) => {
          await tx.insert('in doubt')
          scene.proxy.swallow()
        }),
      ),
    )
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    await scene.proxy.restore()
    expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
  })
})

describe.each(nesting)('$name', (orm: Orm) => {
  it('P16: a black hole at SAVEPOINT rejects by the deadline', async () => {
    const db = scene.open(orm, {
      ...bounded,
      pool: { ...bounded.pool, acquireTimeoutMs: 3_000, connectTimeoutMs: 500 },
    })
    let inner: unknown
    const error = await within(
      patience + 5_000,
      errorOf(
        db.transaction(async (tx) => {
          await tx.insert('undone')
          scene.proxy.swallow()
          // What travels with its first statement.
          inner = await errorOf(tx.nested((nested) => nested.insert('undone as well')))
          throw inner
        }),
      ),
    )
    expect(inner).toBeInstanceOf(StatementTimeoutError)
    // By then its connection may be known to be gone: then it is begun anew, and there is none to be had.
    expect([StatementTimeoutError, AcquireTimeoutError]).toContain(error instanceof Error && error.constructor)
    await scene.proxy.restore()
    expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
  })
})
