// beginTest() on a real server: everything is undone, through the handle as through the root database, and what the
// application does in transactions of its own behaves in it.

import { afterEach, describe, expect, it } from '@jest/globals'
import { PropagationError, TransactionEndedError } from '@moorings/core'
import { beginTest as drizzleTest, withTransaction as drizzleWith } from '@moorings/drizzle'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { beginTest as kyselyTest, withTransaction as kyselyWith, ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql } from 'kysely'
import type { Schema } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

type Query = (text: string) => Promise<Record<string, unknown>[]>

interface Application {
  readonly query: Query
  transaction<T>(body: (tx: Query) => Promise<T>, options?: object): Promise<T>
  withTransaction<T>(body: (tx: Query) => Promise<T>, options?: object): Promise<T>
  beginTest(): Promise<Application & AsyncDisposable & { rollback(): Promise<void> }>
}

function onDrizzle(db: Omit<ResilientDatabase, '$client'>): Application {
  const query =
    (on: Pick<ResilientDatabase, 'execute'>): Query =>
    async (text) => [...(await on.execute(text))]
  return {
    query: query(db),
    transaction: (body, options) => db.transaction((tx) => body(query(tx)), options),
    withTransaction: (body, options) => drizzleWith(db, (tx) => body(query(tx)), options),
    beginTest: async () => {
      throw new Error('on the root database only')
    },
  }
}

function onKysely(db: Kysely<Schema>): Application {
  const query =
    (on: Kysely<Schema>): Query =>
    async (text) =>
      (await sql.raw<Record<string, unknown>>(text).execute(on)).rows
  return {
    query: query(db),
    transaction: (body) =>
      db
        .transaction()
        .setIsolationLevel('serializable')
        .execute((tx) => body(query(tx))),
    withTransaction: (body, options) => kyselyWith(db, (tx) => body(query(tx)), options),
    beginTest: async () => {
      throw new Error('on the root database only')
    },
  }
}

function openDrizzle(pool: PostgresPool): Application {
  const db = drizzle({ client: pool })
  return {
    ...onDrizzle(db),
    beginTest: () =>
      drizzleTest(db).then((test) => ({
        ...onDrizzle(test.db),
        rollback: test.rollback,
        [Symbol.asyncDispose]: test[Symbol.asyncDispose],
      })),
  }
}

function openKysely(pool: PostgresPool): Application {
  const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  return {
    ...onKysely(db),
    beginTest: () =>
      kyselyTest(db).then((test) => ({
        ...onKysely(test.db),
        rollback: test.rollback,
        [Symbol.asyncDispose]: test[Symbol.asyncDispose],
      })),
  }
}

const insert = (mark: string) => `insert into marks values ('${mark}')`
const count = 'select count(*)::int as n from marks'

describe.each([
  ['drizzle', openDrizzle],
  ['kysely', openKysely],
] as const)('%s', (_, on) => {
  let pool: PostgresPool
  const open = () => {
    pool = scene.closing(
      createPool(scene.url, { resilience: { pool: { min: 0, max: 2, overflow: 0, acquireTimeoutMs: 3_000 } } }),
    )
    return on(pool)
  }

  afterEach(() => {
    expect(pool.stats().leased).toBe(0)
  })

  it('undoes what was done through its handle and through the root database, which see each other’s work', async () => {
    const app = open()
    const test = await app.beginTest()
    await test.query(insert('handle'))
    await app.query(insert('root'))
    await Promise.all([app.query(insert('a')), test.query(insert('b'))])
    expect(await test.query(count)).toEqual([{ n: 4 }])
    expect(await scene.admin.query(count)).toEqual([{ n: 0 }])
    await test.rollback()
    await test.rollback()
    expect(await app.query(count)).toEqual([{ n: 0 }])
    expect(scene.proxy.connections).toHaveLength(1)
  })

  it('lets transactions of the application commit and roll back in it, by each call on each handle', async () => {
    const app = open()
    const test = await app.beginTest()
    for (const host of [test, app]) {
      for (const begin of [host.transaction, host.withTransaction]) {
        await begin((tx) => tx(insert('kept')))
        const undone = begin(async (tx) => {
          await tx(insert('undone'))
          await app.query(insert('undone'))
          throw new Error('undo')
        })
        expect(await errorOf(undone)).toMatchObject({ message: 'undo' })
        // One that fails on the server does not take the test with it.
        expect(await errorOf(begin((tx) => tx('select 1/0')))).toMatchObject({ code: '22012' })
      }
    }
    expect(await test.query('select mark, count(*)::int as n from marks group by mark')).toEqual([
      { mark: 'kept', n: 4 },
    ])
    await test.rollback()
    expect(await scene.marks()).toEqual([])
  })

  it('asks for each as if it were the outermost', async () => {
    const app = open()
    const test = await app.beginTest()
    await app.withTransaction(() => app.query(insert('a')), { isolationLevel: 'serializable', durable: true })
    await app.withTransaction((tx) => tx(insert('b')), { propagation: 'requiresNew', timeoutMs: 5_000 })
    await app.withTransaction(() => app.query(insert('c')), { propagation: 'never' })
    await test.withTransaction((tx) => tx(insert('d')), { propagation: 'required', statementTimeoutMs: 5_000 })
    for (const refused of [{ propagation: 'mandatory' }, { role: 'nobody' }, { settings: { 'app.tenant': 7 } }]) {
      expect(await errorOf(app.withTransaction(async () => {}, refused))).toBeInstanceOf(PropagationError)
    }
    const nested = app.withTransaction(() => app.withTransaction(async () => {}, { durable: true }))
    expect(await errorOf(nested)).toBeInstanceOf(PropagationError)
    expect(await app.query(count)).toEqual([{ n: 4 }])
    await test.rollback()
    expect(await scene.marks()).toEqual([])
  })

  it('is undone by `await using`, also when the test fails', async () => {
    const app = open()
    const play = async () => {
      const test = await app.beginTest()
      try {
        await test.query(insert('undone'))
        throw new Error('the test fails')
      } finally {
        await test[Symbol.asyncDispose]()
      }
    }
    expect(await errorOf(play())).toMatchObject({ message: 'the test fails' })
    expect(await scene.marks()).toEqual([])
  })

  it('lets nothing through its handle once it is undone, and the root database is itself again', async () => {
    const app = open()
    const test = await app.beginTest()
    await test.rollback()
    const sent = scene.proxy.statements.length
    expect(await errorOf(test.query(insert('late')))).toBeInstanceOf(TransactionEndedError)
    expect(await errorOf(test.transaction((tx) => tx(insert('late'))))).toBeInstanceOf(TransactionEndedError)
    expect(await errorOf(test.withTransaction((tx) => tx(insert('late'))))).toBeInstanceOf(TransactionEndedError)
    expect(scene.proxy.statements).toHaveLength(sent)
    await app.query(insert('root'))
    await app.transaction((tx) => tx(insert('own')))
    expect(await scene.marks()).toEqual(['own', 'root'])
  })

  it('is in the call chain that has begun it, and in no other', async () => {
    const app = open()
    const beside = async () => {
      // Up to its first `await` it would be in the call chain of whoever calls it.
      await undefined
      const test = await app.beginTest()
      await app.query(insert('undone'))
      return test
    }
    const test = await beside()
    await app.query(insert('kept'))
    expect(await app.query(count)).toEqual([{ n: 1 }])
    // Its handle is, wherever it is used.
    expect(await test.query(count)).toEqual([{ n: 2 }])
    await test.transaction((tx) => tx(insert('undone')))
    await test.rollback()
    expect(await scene.marks()).toEqual(['kept'])
  })

  it('may be begun inside of another one', async () => {
    const app = open()
    const outer = await app.beginTest()
    await app.query(insert('outer'))
    const inner = await app.beginTest()
    await app.query(insert('inner'))
    await inner.transaction((tx) => tx(insert('inner')))
    expect(await app.query(count)).toEqual([{ n: 3 }])
    await inner.rollback()
    expect(await app.query(count)).toEqual([{ n: 1 }])
    await outer.rollback()
    expect(await scene.marks()).toEqual([])
  })

  it('fails where no connection is to be had', async () => {
    const app = open()
    await app.query('select 1')
    await pool.close()
    expect(await errorOf(app.beginTest())).toMatchObject({ name: 'PoolClosedError' })
    expect(await errorOf(app.query('select 1'))).toMatchObject({ name: 'PoolClosedError' })
  })
})
