// P17, T7: a connection that dies in the middle of a transaction, and COMMIT in doubt, where nothing is run again: the scene
// has it so, and Kysely's own transactions never are. That they are run again otherwise is in tx-lost and tx-commit.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { CommitOutcomeUnknownError, ConnectionLostError, isMooringsError, UniqueViolationError } from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { executes, isCommit } from '../support/matchers.js'
import type { CutOptions } from '../support/rules.js'
import { until } from '../support/until.js'
import { backendOf, type Orm, transactional } from './orms.js'
import { errorOf, gate, outcome, useScene } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }

beforeAll(async () => {
  await scene.admin.query('create table deferred (id int unique deferrable initially deferred)')
})

function kill(pid: number): Promise<number[]> {
  return killBackends(scene.admin, 'pid = $1', [pid])
}

describe.each(transactional)('$name', (orm: Orm) => {
  it("P17: a connection killed between two statements: the body gets ConnectionLostError with the server's reason", async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 } })
    const [began, done] = [gate(), gate()]
    // Somebody else's transaction, open all the while.
    const neighbour = db.transaction(async (tx) => {
      await tx.insert('neighbour 1')
      began.open()
      await done.opened
      await tx.insert('neighbour 2')
    })
    await began.opened
    let inside: unknown
    let after: unknown
    const outside = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        await kill(await backendOf(tx))
        inside = await errorOf(tx.insert('lost'))
        after = await errorOf(tx.insert('lost as well'))
        throw inside
      }),
    )
    done.open()
    await neighbour
    expect(inside).toBeInstanceOf(ConnectionLostError)
    expect(inside).toMatchObject({ code: '57P01', retry: 'reconnect' })
    expect(after).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    expect(outside).toBe(inside)
    expect(await scene.marks()).toEqual(['neighbour 1', 'neighbour 2'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 1 })
  })

  it('P17: a connection killed under a running statement: the same', async () => {
    const db = scene.open(orm, single)
    let inside: unknown
    const outside = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        const pid = await backendOf(tx)
        const running = errorOf(tx.query('select pg_sleep(60)'))
        await until(async () => (await scene.backends()).some(({ state }) => state === 'active'), { what: 'it to run' })
        await kill(pid)
        inside = await running
        throw inside
      }),
    )
    expect(inside).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    expect(outside).toBe(inside)
    expect(await scene.marks()).toEqual([])
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
  })

  it('P17: a body that swallows the loss is not told that it was committed', async () => {
    const db = scene.open(orm, single)
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        await kill(await backendOf(tx))
        await errorOf(tx.insert('lost'))
      }),
    )
    expect(isMooringsError(error)).toBe(true)
    expect(error).toMatchObject({ code: '57P01' })
    expect(await scene.marks()).toEqual([])
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
  })

  it.each(['reset', 'fin'] as const)(
    'P17: the wire cut in the middle of the body (%s): nothing persists',
    async (how) => {
      const db = scene.open(orm, single)
      scene.proxy.cutWhen({ direction: 'to-server', match: executes(/lost/), when: 'after', how })
      const error = await errorOf(
        db.transaction(async (tx) => {
          await tx.insert('undone')
          await tx.query(`insert into marks values ('lost')`)
        }),
      )
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(await scene.marks()).toEqual([])
      expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 1 })
    },
  )

  it('P17: a retry in a catch around the transaction gets a new connection', async () => {
    const db = scene.open(orm, single)
    let dead = 0
    let retriedOn = 0
    try {
      await db.transaction(async (tx) => {
        dead = await backendOf(tx)
        await tx.insert('undone')
        await kill(dead)
        await tx.insert('lost')
      })
      throw new Error('it should have failed')
    } catch (error) {
      expect(error).toMatchObject({ code: '57P01' })
      await db.transaction(async (tx) => {
        retriedOn = await backendOf(tx)
        await tx.insert('retried')
      })
    }
    expect(retriedOn).not.toBe(dead)
    expect(await scene.marks()).toEqual(['retried'])
  })

  it('P17: a retry in a catch inside the body gets a new connection too, though the pool has room for one', async () => {
    const db = scene.open(orm, { ...single, transaction: { retry: false, rootUse: 'allow' } })
    const seen = await outcome(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        await kill(await backendOf(tx))
        try {
          await tx.insert('lost')
        } catch (error) {
          await db.insert('retried')
          throw error
        }
      }),
    )
    expect(seen).toMatchObject({ error: { code: '57P01' } })
    expect(await scene.marks()).toEqual(['retried'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 2 })
  })

  // --- COMMIT ---

  it.each<[string, Pick<CutOptions, 'direction' | 'when' | 'how'>]>([
    ['its answer is cut off (reset)', { direction: 'to-client', when: 'before', how: 'reset' }],
    ['its answer is cut off (fin)', { direction: 'to-client', when: 'before', how: 'fin' }],
    ['it is cut off once it was sent (reset)', { direction: 'to-server', when: 'after', how: 'reset' }],
    ['it is cut off once it was sent (fin)', { direction: 'to-server', when: 'after', how: 'fin' }],
  ])("T7: COMMIT arrives, and %s: it is looked up, and its result is the caller's", async (_, cut) => {
    const db = scene.open(orm, single)
    const commit = scene.proxy.cutWhen({ ...cut, match: isCommit })
    const value = { any: 'value' }
    const returned = await db.transaction(async (tx) => {
      await tx.insert('applied')
      return value
    })
    expect(returned).toBe(value)
    expect(commit.fired).toBe(1)
    expect(await scene.marks()).toEqual(['applied'])
    expect(db.pool.stats()).toMatchObject({
      leased: 0,
      lost: 1,
      transactions: { committed: 1, resolved: { committed: 1 } },
    })
  })

  it.each(['reset', 'fin'] as const)(
    'T7: COMMIT is cut off before it arrives (%s): it is looked up, and known not to be applied',
    async (how) => {
      const db = scene.open(orm, single)
      scene.proxy.cutWhen({ direction: 'to-server', match: isCommit, when: 'before', how })
      const error = await errorOf(db.transaction((tx) => tx.insert('not applied')))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ retry: 'reconnect' })
      expect(await scene.marks()).toEqual([])
      expect(db.pool.stats()).toMatchObject({
        leased: 0,
        lost: 1,
        transactions: { rolledBack: 1, resolved: { rolledBack: 1 } },
      })
    },
  )

  it.each<[string, Pick<CutOptions, 'direction' | 'when'>, string[]]>([
    ['applied', { direction: 'to-client', when: 'before' }, ['in doubt']],
    ['not applied', { direction: 'to-server', when: 'before' }, []],
  ])('T7: told not to look it up it is in doubt, and here %s', async (_, cut, marks) => {
    const db = scene.open(orm, { ...single, transaction: { retry: false, exactlyOnce: false } })
    scene.proxy.cutWhen({ ...cut, match: isCommit, how: 'reset' })
    const error = await errorOf(db.transaction((tx) => tx.insert('in doubt')))
    expect(error).toBeInstanceOf(CommitOutcomeUnknownError)
    expect(error).toMatchObject({ kind: 'transaction', retry: 'unknown' })
    expect(await scene.marks()).toEqual(marks)
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 1, transactions: { unknown: 1 } })
  })

  it('T7: a connection killed before COMMIT was sent is not in doubt', async () => {
    const db = scene.open(orm, single)
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        await kill(await backendOf(tx))
        await until(() => db.pool.stats().lost === 1, { what: 'the loss to be noticed' })
      }),
    )
    expect(error).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
    expect(await scene.marks()).toEqual([])
  })

  it("E1: a deferred constraint violated at COMMIT is the constraint's error; all is undone, the connection goes on", async () => {
    const db = scene.open(orm, single)
    const pid = await backendOf(db)
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        await tx.query('insert into deferred values (1), (1)')
      }),
    )
    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(error).toMatchObject({ code: '23505', table: 'deferred', constraint: 'deferred_id_key' })
    expect(await scene.marks()).toEqual([])
    expect(await backendOf(db)).toBe(pid)
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 0 })
  })
})
