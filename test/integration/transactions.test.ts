// T1, T2, T4: how a transaction ends: by its body's will, by its body's error, and when ROLLBACK itself fails.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { isMooringsError, StatementError, TransactionAbortedError } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { createPool } from '@moorings/postgres'
import { TransactionRollbackError } from 'drizzle-orm'
import { drizzle as stock } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { executes } from '../support/matchers.js'
import { until } from '../support/until.js'
import { backendOf, byFunction, type Db, nesting, type Orm, type Tx, transactional } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 } }
/** What the pool waits for an answer to ROLLBACK, and what a busy machine adds. */
const patience = 30_000

const failedRollbacks: unknown[] = []
const note = (message: unknown) => failedRollbacks.push(message)
beforeEach(() => {
  failedRollbacks.length = 0
  subscribe('moorings:rollback:failed', note)
})
afterEach(() => {
  unsubscribe('moorings:rollback:failed', note)
})

async function healed(db: Db, lostPid: number): Promise<void> {
  await until(() => db.pool.stats().closed === 1, { what: 'the connection to be destroyed' })
  expect(await backendOf(db)).not.toBe(lostPid)
  expect(await scene.marks()).toEqual([])
  expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 2 })
}

describe.each([...transactional, ...byFunction])('$name', (orm: Orm) => {
  it('T1: what the body returns is returned, and what it did is there', async () => {
    const db = scene.open(orm, single)
    const value = { any: 'value' }
    const returned = await db.transaction(async (tx) => {
      await tx.insert('one')
      await tx.insert('two')
      return value
    })
    expect(returned).toBe(value)
    expect(await scene.marks()).toEqual(['one', 'two'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 1 })
  })

  it.each([
    ['an Error', new Error('mine')],
    ['a frozen object', Object.freeze({ mine: true })],
    ['a string', 'mine'],
    ['undefined', undefined],
  ])('T1: %s thrown by the body is what the caller gets, itself, and nothing is left', async (_, mine) => {
    const db = scene.open(orm, single)
    let pid = 0
    const seen = await outcome(
      db.transaction(async (tx) => {
        pid = await backendOf(tx)
        await tx.insert('undone')
        throw mine
      }),
    )
    expect('error' in seen && seen.error).toBe(mine)
    expect(await scene.marks()).toEqual([])
    // A roll-back that worked costs no connection.
    expect(await backendOf(db)).toBe(pid)
    expect(failedRollbacks).toEqual([])
  })

  it("T1: a statement's own error is what the caller gets, the one the body saw", async () => {
    const db = scene.open(orm, single)
    let inside: unknown
    const outside = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        try {
          await tx.query('select 1/0')
        } catch (error) {
          inside = error
          throw error
        }
      }),
    )
    expect(outside).toBe(inside)
    expect(outside).toMatchObject({ name: 'StatementError', code: '22012' })
    expect(await scene.marks()).toEqual([])
  })

  it.each(['reset', 'fin'] as const)(
    "T1: the body's error is the caller's also when ROLLBACK is cut off (%s); the pool heals",
    async (how) => {
      const db = scene.open(orm, single)
      const mine = new Error('mine')
      let pid = 0
      scene.proxy.cutWhen({ direction: 'to-server', match: executes(/^rollback$/), when: 'before', how })
      const error = await errorOf(
        db.transaction(async (tx) => {
          pid = await backendOf(tx)
          await tx.insert('undone')
          throw mine
        }),
      )
      expect(error).toBe(mine)
      // Kysely tells nobody what the error was that it rolled back for.
      if (orm.name === 'drizzle') {
        expect(mine).toMatchObject({ rollbackError: { name: 'ConnectionLostError' } })
        expect(Object.keys(mine)).toEqual([])
        expect(JSON.stringify(mine)).toBe('{}')
      }
      expect(failedRollbacks).toMatchObject([{ pool: 'default', error: { name: 'ConnectionLostError' } }])
      await healed(db, pid)
    },
  )

  it.each(['reset', 'fin'] as const)("T1: the same when ROLLBACK's answer is cut off (%s)", async (how) => {
    const db = scene.open(orm, single)
    const mine = Object.freeze(new Error('mine'))
    let pid = 0
    scene.proxy.cutWhen({ direction: 'to-server', match: executes(/^rollback$/), when: 'after', how })
    const error = await errorOf(
      db.transaction(async (tx) => {
        pid = await backendOf(tx)
        await tx.insert('undone')
        throw mine
      }),
    )
    expect(error).toBe(mine)
    expect(failedRollbacks).toHaveLength(1)
    await healed(db, pid)
  })

  it('T4: a statement that failed and was swallowed: COMMIT is no success, and its error names the first', async () => {
    const db = scene.open(orm, single)
    let first: unknown
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('undone')
        first = await errorOf(tx.query('select 1/0'))
        // Refused by the server, as is everything from here on; that is not the one to be named.
        await errorOf(tx.insert('refused'))
      }),
    )
    expect(first).toBeInstanceOf(StatementError)
    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(error).toMatchObject({ code: '22012', message: expect.stringContaining('division by zero') })
    expect(isMooringsError(error) && error.cause).toBe(first)
    expect(await scene.marks()).toEqual([])
    await db.transaction((tx) => tx.insert('next'))
    expect(await scene.marks()).toEqual(['next'])
    expect(db.pool.stats()).toMatchObject({ created: 1, lost: 0 })
  })

  it('T4: a statement that failed and was not even awaited: the same', async () => {
    const db = scene.open(orm, single)
    const error = await errorOf(
      db.transaction(async (tx) => {
        const unwatched = tx.query('select 1/0').catch(() => {})
        await tx.insert('undone').catch(() => {})
        await unwatched
      }),
    )
    expect(error).toBeInstanceOf(TransactionAbortedError)
    expect(await scene.marks()).toEqual([])
  })
})

it("T1: the body's error is the caller's also when ROLLBACK is never answered; the pools heal", async () => {
  // All at once: each waits for the roll-back's limit.
  const mine = transactional.map(({ name }) => new Error(name))
  const dbs = transactional.map((orm) => scene.open(orm, single))
  const pids = await Promise.all(dbs.map((db) => backendOf(db)))
  scene.proxy.cutWhen({
    direction: 'to-server',
    match: executes(/^rollback$/),
    when: 'before',
    how: 'swallow',
    times: dbs.length,
  })
  const errors = await within(
    patience,
    Promise.all(
      dbs.map((db, i) =>
        errorOf(
          db.transaction(async (tx) => {
            await tx.insert('undone')
            throw mine[i]
          }),
        ),
      ),
    ),
  )
  errors.forEach((error, i) => {
    expect(error).toBe(mine[i])
  })
  expect(errors[0]).toMatchObject({
    rollbackError: { name: 'ConnectionLostError', message: expect.stringMatching(/ROLLBACK was not answered/) },
  })
  expect(inspect(errors[0])).not.toMatch(/rollbackError/)
  expect(failedRollbacks).toHaveLength(dbs.length)
  // The black hole hides from the servers that their clients are gone.
  await scene.killAll()
  for (const [i, db] of dbs.entries()) await healed(db, pids[i] ?? 0)
})

it.each([undefined, null])('T1: %s for its options is none to Drizzle, and to us', async (none) => {
  const client = postgres(scene.url, { max: 1 })
  scene.closing({ close: () => client.end({ timeout: 0 }) })
  const pool = scene.closing(createPool(scene.url, { resilience: single }))
  const ways = [
    () => stock({ client }).transaction((tx) => tx.execute('select 7 as n'), none as never),
    () => drizzle({ client: pool }).transaction((tx) => tx.execute('select 7 as n'), none as never),
  ]
  for (const way of ways) expect([...(await way())]).toEqual([{ n: 7 }])
})

it('T1: tx.rollback() of Drizzle throws its TransactionRollbackError, untouched', async () => {
  const [orm] = transactional
  if (orm === undefined) throw new Error('no drizzle')
  const { pool } = scene.open(orm, single)
  const db = drizzle({ client: pool })
  let ran = false
  const error = await errorOf(
    db.transaction(async (tx) => {
      await tx.execute(`insert into marks values ('undone')`)
      tx.rollback()
      ran = true
    }),
  )
  expect(error).toBeInstanceOf(TransactionRollbackError)
  expect(isMooringsError(error)).toBe(false)
  expect(ran).toBe(false)

  // In a nested one it undoes that, and can be caught.
  await db.transaction(async (tx) => {
    await tx.execute(`insert into marks values ('outer')`)
    const inner = await errorOf(
      tx.transaction(async (nested) => {
        await nested.execute(`insert into marks values ('inner')`)
        nested.rollback()
      }),
    )
    expect(inner).toBeInstanceOf(TransactionRollbackError)
  })
  expect(await scene.marks()).toEqual(['outer'])
  expect(pool.stats()).toMatchObject({ leased: 0, created: 1 })
})

// --- T2 ---

const deepest = 3
const levels = [0, 1, 2, 3]

/** Marks before and after going one deeper; the level `failing` throws at its end, and the one above it catches. */
async function descend(tx: Tx, level: number, failing: number | undefined): Promise<void> {
  await tx.insert(`${level} before`)
  if (level < deepest) {
    const inner = tx.nested((nested) => descend(nested, level + 1, failing))
    if (failing === level + 1) expect(await errorOf(inner)).toMatchObject({ message: `level ${failing}` })
    else await inner
  }
  await tx.insert(`${level} on the way back`)
  if (level === failing) throw new Error(`level ${failing}`)
}

describe.each(nesting)('$name', (orm: Orm) => {
  it.each([undefined, ...levels])(
    'T2: three levels deep, what level %p did is undone with all below it',
    async (failing) => {
      const db = scene.open(orm, single)
      const seen = await outcome(db.transaction((tx) => descend(tx, 0, failing)))
      expect('error' in seen).toBe(failing === 0)
      const kept = levels.filter((level) => failing === undefined || level < failing)
      expect(await scene.marks()).toEqual(kept.flatMap((level) => [`${level} before`, `${level} on the way back`]))
      expect(db.pool.stats()).toMatchObject({ leased: 0, created: 1, lost: 0 })
    },
  )

  it.each(levels.slice(1))(
    'T2: a statement that fails at level %i and is caught above spoils nothing else',
    async (at) => {
      const db = scene.open(orm, single)
      const fail = async (tx: Tx, level: number): Promise<void> => {
        await tx.insert(`${level}`)
        if (level === at) await tx.query('select 1/0')
        const inner = level < at ? tx.nested((nested) => fail(nested, level + 1)) : Promise.resolve()
        if (level === at - 1) expect(await errorOf(inner)).toMatchObject({ code: '22012' })
        else await inner
      }
      await db.transaction((tx) => fail(tx, 0))
      expect(await scene.marks()).toEqual(levels.filter((level) => level < at).map(String))
    },
  )

  it('T2: an error of the third level that nobody catches is what the caller gets, itself', async () => {
    const db = scene.open(orm, single)
    const mine = new Error('mine')
    const dive = async (tx: Tx, level: number): Promise<void> => {
      await tx.insert(`${level}`)
      if (level === deepest) throw mine
      await tx.nested((nested) => dive(nested, level + 1))
    }
    expect(await errorOf(db.transaction((tx) => dive(tx, 0)))).toBe(mine)
    expect(await scene.marks()).toEqual([])
  })
})
