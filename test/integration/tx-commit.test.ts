// T7: the wire fails at COMMIT. What the caller gets is what became of it: the result once, and the rows once. The same
// mark is written by every attempt, so that one too many would be two.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { CommitOutcomeUnknownError, TransactionTimeoutError } from '@moorings/core'
import { executes, isCommit } from '../support/matchers.js'
import type { CutHow, CutOptions } from '../support/rules.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { type Body, type Orm, retried } from './orms.js'
import { errorOf, type Scene, useScene, within } from './scene.js'

const scene: Scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
const retry = { initialDelayMs: 1 }
const soon = 20_000

type Place = Pick<CutOptions, 'direction' | 'when'>
const requestLost: Place = { direction: 'to-server', when: 'before' }
const sent: Place = { direction: 'to-server', when: 'after' }
const answerLost: Place = { direction: 'to-client', when: 'before' }

/** Where COMMIT is cut, how, and in which attempt it is applied. */
const cuts: [string, CutHow, Place, number][] = (['reset', 'fin', 'swallow'] as const).flatMap((how) => [
  ['its request is lost', how, requestLost, 2],
  ['it is the last that arrives', how, sent, 1],
  ['its answer is lost', how, answerLost, 1],
])

beforeAll(() =>
  scene.admin.query(`
    create sequence committed;
    create table slow (n int);
    create function slowly() returns trigger language plpgsql as $$
    begin
      if nextval('committed') = 1 then perform pg_sleep(60); end if;
      return null;
    end $$;
    create constraint trigger slow_commit after insert on slow deferrable initially deferred
      for each row execute function slowly()`),
)
beforeEach(() => scene.admin.query('truncate slow; alter sequence committed restart'))

function once(attempts: number[], also?: string): Body<{ from: number }> {
  return async (tx, { attempt }) => {
    attempts.push(attempt)
    await tx.insert('once')
    if (also !== undefined) await tx.query(also)
    return { from: attempt }
  }
}

describe.each(retried)('$name', (orm: Orm) => {
  it.each(cuts)('T7: COMMIT: %s (%s): its result once, its rows once', async (_, how, place, applied) => {
    const db = scene.open(orm, {
      pool: single,
      // What ends the wait for an answer out of a black hole.
      statement: { timeoutMs: how === 'swallow' ? 300 : 0, cancelTimeoutMs: 300 },
      transaction: { retry },
    })
    const resolved = eventsOf(scene, db.pool, 'moorings:commit:resolved')
    const cut = scene.proxy.cutWhen({ ...place, how, match: isCommit })
    const attempts: number[] = []
    expect(await within(soon, db.withTransaction(once(attempts)))).toEqual({ from: applied })
    expect(cut.fired).toBe(1)
    expect(attempts).toEqual(applied === 1 ? [1] : [1, 2])
    expect(await scene.marks()).toEqual(['once'])
    expect(resolved).toMatchObject([{ outcome: applied === 1 ? 'committed' : 'rolled-back' }])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, transactions: { committed: 1, unknown: 0 } })
  })

  it.each(cuts)(
    'T7: COMMIT: %s (%s): with retry: false it is looked up all the same',
    async (_, how, place, applied) => {
      const db = scene.open(orm, {
        pool: single,
        statement: { timeoutMs: how === 'swallow' ? 300 : 0, cancelTimeoutMs: 300 },
      })
      scene.proxy.cutWhen({ ...place, how, match: isCommit })
      const attempts: number[] = []
      const done = within(soon, db.withTransaction(once(attempts), { retry: false }))
      if (applied === 1) expect(await done).toEqual({ from: 1 })
      else expect(await errorOf(done)).toMatchObject({ name: 'ConnectionLostError', retry: 'reconnect' })
      expect(attempts).toEqual([1])
      expect(await scene.marks()).toEqual(applied === 1 ? ['once'] : [])
    },
  )

  it.each(cuts)(
    'T7: COMMIT: %s (%s), not to be looked up: in doubt, and never run again',
    async (_, how, place, applied) => {
      const db = scene.open(orm, {
        pool: single,
        statement: { timeoutMs: how === 'swallow' ? 300 : 0, cancelTimeoutMs: 300 },
        transaction: { retry },
      })
      scene.proxy.cutWhen({ ...place, how, match: isCommit })
      const attempts: number[] = []
      const error = await within(soon, errorOf(db.withTransaction(once(attempts), { exactlyOnce: false })))
      expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
      expect(error).toMatchObject({ kind: 'transaction', retry: 'unknown' })
      expect(attempts).toEqual([1])
      expect(
        scene.proxy.statements.filter((sql) => /^select pg_catalog.pg_current_xact_id|pg_xact_status/.test(sql)),
      ).toEqual([])
      // The black hole hides from the server that its client is gone. One that has got COMMIT is left to carry it out.
      if (applied !== 1) await scene.killAll()
      expect(await scene.marks()).toEqual(applied === 1 ? ['once'] : [])
      expect(db.pool.stats()).toMatchObject({ leased: 0, transactions: { unknown: 1 } })
    },
  )

  it.each(['reset', 'swallow'] as const)(
    'T7: cut off while COMMIT is at work (%s): it is ended there, and run again',
    async (how) => {
      const db = scene.open(orm, {
        pool: single,
        statement: { timeoutMs: how === 'swallow' ? 300 : 0, cancelTimeoutMs: 300 },
        transaction: { retry },
      })
      // In the black hole the request to cancel it does not arrive, either.
      const cut = scene.proxy.cutWhen({ ...sent, how, match: isCommit })
      const attempts: number[] = []
      const done = within(soon, db.withTransaction(once(attempts, 'insert into slow values (1)')))
      expect(await done).toEqual({ from: 2 })
      expect(cut.fired).toBe(1)
      expect(attempts).toEqual([1, 2])
      expect(await scene.marks()).toEqual(['once'])
      expect(await scene.admin.query('select n from slow')).toEqual([{ n: 1 }])
    },
  )

  it('T7: the question what became of it is cut off, too: it is asked again', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    scene.proxy.cutWhen({ ...answerLost, how: 'reset', match: isCommit })
    const question = { direction: 'to-server', how: 'reset', match: executes(/pg_xact_status/) } as const
    const before = scene.proxy.cutWhen({ ...question, when: 'before' })
    const after = scene.proxy.cutWhen({ ...question, when: 'after' })
    const attempts: number[] = []
    expect(await within(soon, db.withTransaction(once(attempts)))).toEqual({ from: 1 })
    expect([before.fired, after.fired]).toEqual([1, 1])
    expect(await scene.marks()).toEqual(['once'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 3, transactions: { resolved: { committed: 1 } } })
  })

  it('T7: nobody can be asked in time: in doubt, which says which transaction it was', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry, outcomeTimeoutMs: 500 } })
    scene.proxy.cutWhen({
      ...answerLost,
      how: 'reset',
      match: (...seen) => {
        const commit = isCommit(...seen)
        if (commit) scene.proxy.refuse()
        return commit
      },
    })
    const attempts: number[] = []
    const error = await within(soon, errorOf(db.withTransaction(once(attempts))))
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).toMatchObject({ retry: 'unknown', message: expect.stringMatching(/\(transaction \d+\)/) })
    expect(attempts).toEqual([1])
    expect(db.pool.stats()).toMatchObject({ leased: 0, transactions: { unknown: 1, resolved: { unknown: 1 } } })
    await scene.proxy.restore()
    expect(await scene.marks()).toEqual(['once'])
  })

  it.each<[string, object]>([
    ['has only read', {}],
    ['could only read', { accessMode: 'read only' }],
  ])('T7: one that %s is run again: there is nothing to be in doubt about', async (_, options) => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    scene.proxy.cutWhen({ ...answerLost, how: 'reset', match: isCommit })
    const attempts: number[] = []
    const read = async () =>
      db.withTransaction(async (tx, { attempt }) => {
        attempts.push(attempt)
        return tx.query('select 7 as n')
      }, options)
    expect(await within(soon, read())).toEqual([{ n: 7 }])
    expect(attempts).toEqual([1, 2])
    expect(scene.proxy.statements.filter((sql) => /pg_xact_status/.test(sql))).toEqual([])
  })

  it.each<[string, Place, string[]]>([
    ['applied: that is what counts', sent, ['once']],
    ['not applied: then it was too late', requestLost, []],
  ])('T7: its time is up while COMMIT is not answered: it is looked up; %s', async (_, place, marks) => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    const cut = scene.proxy.cutWhen({ ...place, how: 'swallow', match: isCommit })
    const attempts: number[] = []
    const done = within(soon, db.withTransaction(once(attempts), { timeoutMs: 500 }))
    if (marks.length > 0) expect(await done).toEqual({ from: 1 })
    else expect(await errorOf(done)).toBeInstanceOf(TransactionTimeoutError)
    expect(cut.fired).toBe(1)
    expect(attempts).toEqual([1])
    await until(() => db.pool.stats().leased === 0, { what: 'the lease to be back' })
    expect(await scene.marks()).toEqual(marks)
  })

  it('T7: several at once, each cut off at COMMIT in its own way', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 3, overflow: 0 }, transaction: { retry } })
    for (const place of [requestLost, sent, answerLost]) {
      for (const how of ['reset', 'fin'] as const) scene.proxy.cutWhen({ ...place, how, match: isCommit })
    }
    const names = Array.from({ length: 12 }, (_, n) => `transfer ${String(n).padStart(2, '0')}`)
    const done = names.map((name) =>
      db.withTransaction(async (tx) => {
        await tx.insert(name)
        return name
      }),
    )
    expect(await within(soon, Promise.all(done))).toEqual(names)
    expect(await scene.marks()).toEqual(names)
    expect(db.pool.stats()).toMatchObject({
      leased: 0,
      lost: 6,
      transactions: { committed: 12, resolved: { committed: 4, rolledBack: 2, unknown: 0 } },
    })
  })
})
