// What the compiler knows of Drizzle's transactions: the handle is Drizzle's own, the options are ours, and both may be
// passed on. Checked by the compiler; at run time nothing connects.

import { describe, expect, it } from '@jest/globals'
import {
  type Propagation,
  type TransactionContext,
  type TransactionOf,
  type TransactionOptions,
  withResilience,
  withTransaction,
} from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { createClient, createPool } from '@moorings/postgres'
import { relations } from 'drizzle-orm'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { PostgresJsDatabase, PostgresJsTransaction } from 'drizzle-orm/postgres-js'
import { drizzle as stock } from 'drizzle-orm/postgres-js'
import { defineRelations } from 'drizzle-orm-1'
import * as pg1 from 'drizzle-orm-1/pg-core'
import { drizzle as drizzle1 } from 'drizzle-orm-1/postgres-js'
import { expectTypeOf } from 'expect-type'

const users = pgTable('users', { id: integer().primaryKey(), email: text() })
const posts = pgTable('posts', { id: integer().primaryKey(), userId: integer() })
const userPosts = relations(users, ({ many }) => ({ posts: many(posts) }))
const postUser = relations(posts, ({ one }) => ({
  user: one(users, { fields: [posts.userId], references: [users.id] }),
}))
const schema = { users, posts, userPosts, postUser }

const url = 'postgres://app@localhost/shop'
const db = drizzle(url, { schema })
const plain = drizzle(url)
const stockDb = stock.mock({ schema })
const stockPlain = stock.mock()

type StockTx = Parameters<Parameters<typeof stockDb.transaction>[0]>[0]
type StockPlainTx = Parameters<Parameters<typeof stockPlain.transaction>[0]>[0]
type Tx = TransactionOf<typeof db>

/** Never called: what is written in it is only for the compiler. */
function compiled(_body: () => unknown): void {
  expect(true).toBe(true)
}

describe('types of db.transaction', () => {
  it("its tx is the stock one's, in every way it can be named", () => {
    expectTypeOf<Tx>().toEqualTypeOf<StockTx>()
    expectTypeOf<Parameters<Parameters<typeof db.transaction>[0]>[0]>().toEqualTypeOf<StockTx>()
    expectTypeOf<TransactionOf<typeof plain>>().toEqualTypeOf<StockPlainTx>()
    expectTypeOf<Parameters<Parameters<typeof plain.transaction>[0]>[0]>().toEqualTypeOf<StockPlainTx>()
    // A transaction's own type gives that of those nested in it.
    expectTypeOf<TransactionOf<Tx>>().toExtend<PostgresJsTransaction<typeof schema, Tx['_']['schema'] & object>>()
  })

  it('takes what a stock one takes, and what ours may be told', () => {
    compiled(async () => {
      await db.transaction(async (tx) => tx.select().from(users), { isolationLevel: 'serializable', deferrable: true })
      await db.transaction(async (tx) => tx.rollback(), { accessMode: 'read only' })
      const result = await db.transaction(
        async (tx, context) => {
          expectTypeOf(tx).toEqualTypeOf<StockTx>()
          expectTypeOf(context).toEqualTypeOf<TransactionContext>()
          return tx.query.users.findMany({ with: { posts: true } })
        },
        { retry: false, timeoutMs: 5_000, settings: { 'app.tenant': 7 }, signal: new AbortController().signal },
      )
      expectTypeOf(result).toEqualTypeOf<
        { id: number; email: string | null; posts: { id: number; userId: number | null }[] }[]
      >()
      // What is nested is Drizzle's own, and takes no options there.
      await db.transaction((tx) => tx.transaction(async (nested) => nested.insert(users).values({ id: 1 })))
    })
  })

  it('refuses what is misspelt, and a propagation that gives no transaction', () => {
    compiled(async () => {
      // @ts-expect-error: misspelt
      await db.transaction(async () => {}, { timeout: 5_000 })
      // @ts-expect-error: no level
      await db.transaction(async () => {}, { isolationLevel: 'snapshot' })
      // @ts-expect-error: misspelt, further down
      await db.transaction(async () => {}, { retry: { maxRetry: 5 } })
      // @ts-expect-error: its body is promised a tx
      await db.transaction(async () => {}, { propagation: 'supports' })
    })
  })

  it('leaves the database one that fits wherever a stock one was asked for, and its tx as well', () => {
    expectTypeOf(db).toExtend<PostgresJsDatabase<typeof schema>>()
    expectTypeOf(plain).toExtend<PostgresJsDatabase>()
    compiled(async () => {
      const byStock = async (database: PostgresJsDatabase<typeof schema>) =>
        database.transaction(async (tx) => tx.select().from(users))
      await byStock(db)
      const byTx = async (tx: StockTx) => tx.select().from(users)
      await db.transaction(byTx)
      await db.transaction((tx) => tx.transaction(byTx))
      await withTransaction(db, byTx)
      const either = async (on: PostgresJsDatabase<typeof schema> | StockTx) => on.select().from(users)
      await either(db)
      await db.transaction(either)
    })
  })
})

describe('types of withTransaction', () => {
  it("gives its body Drizzle's own tx and the context, and the body's result to its caller", () => {
    compiled(async () => {
      const rows = await withTransaction(db, async (tx, context) => {
        expectTypeOf(tx).toEqualTypeOf<StockTx>()
        expectTypeOf(context).toEqualTypeOf<TransactionContext>()
        return tx.select().from(users)
      })
      expectTypeOf(rows).toEqualTypeOf<{ id: number; email: string | null }[]>()
      await withTransaction(plain, (tx) => {
        expectTypeOf(tx).toEqualTypeOf<StockPlainTx>()
      })
      expectTypeOf(await withTransaction(db, () => 7)).toEqualTypeOf<number>()
      expectTypeOf(await withTransaction(db, async () => 'a' as const)).toEqualTypeOf<'a'>()
      expectTypeOf(await withTransaction(db, (_, { attempt }) => attempt)).toEqualTypeOf<number>()
    })
  })

  it('takes a tx as well, and gives one', () => {
    compiled(() =>
      withTransaction(db, async (tx) => {
        await withTransaction(tx, async (nested) => {
          expectTypeOf(nested.query.users.findFirst).toBeFunction()
          expectTypeOf(nested).toEqualTypeOf<TransactionOf<Tx>>()
          expectTypeOf(nested).toExtend<Tx>()
          await withTransaction(nested, (deeper) => deeper.select().from(users), { propagation: 'required' })
        })
        const either = async (on: typeof db | Tx) => withTransaction(on, (own) => own.select().from(users))
        await either(tx)
        return either(db)
      }),
    )
  })

  it('refuses what is misspelt or is no transaction of ours', () => {
    compiled(async () => {
      // @ts-expect-error: misspelt
      await withTransaction(db, async () => {}, { isolation: 'serializable' })
      // @ts-expect-error: misspelt, further down
      await withTransaction(db, async () => {}, { retry: { maxRetry: 5 } })
      // @ts-expect-error: no propagation
      await withTransaction(db, async () => {}, { propagation: 'require' })
      // @ts-expect-error: no database
      await withTransaction(url, async () => {})
      // @ts-expect-error: no body
      await withTransaction(db)
    })
  })

  it('says what the body is given where there may be no transaction', () => {
    compiled(async () => {
      for (const propagation of ['never', 'notSupported'] as const) {
        await withTransaction(
          db,
          (own) => {
            expectTypeOf(own).toEqualTypeOf<typeof db>()
          },
          { propagation },
        )
      }
      await withTransaction(
        db,
        async (own) => {
          expectTypeOf(own).toEqualTypeOf<typeof db | Tx>()
          // What both have can be used without asking which it is.
          const rows = await own.select().from(users)
          expectTypeOf(rows).toEqualTypeOf<{ id: number; email: string | null }[]>()
          await own.insert(users).values({ id: 1 })
          await own.query.users.findMany({ with: { posts: true } })
          // @ts-expect-error: it may be none
          own.rollback()
        },
        { propagation: 'supports' },
      )
      const needsTx = async (tx: Tx) => tx.select().from(users)
      // @ts-expect-error: it may be none
      await withTransaction(db, needsTx, { propagation: 'supports' })
      await withTransaction(db, needsTx, { propagation: 'mandatory' })
    })
  })

  it('options can be passed on: what is typed as they are goes on giving a tx', () => {
    compiled(async () => {
      const audited = <T>(body: (tx: Tx) => Promise<T>, options?: TransactionOptions) =>
        withTransaction(db, body, { ...options, settings: { 'app.audit': true } })
      await audited((tx) => tx.select().from(users), { propagation: 'requiresNew', timeoutMs: 100 })
      // @ts-expect-error: gives no transaction
      await audited((tx) => tx.select().from(users), { propagation: 'never' })
      const any = (options: TransactionOptions<Propagation>) =>
        withTransaction(db, (own) => own.select().from(users), options)
      await any({ propagation: 'never' })
      await any({})
    })
  })
})

describe('types of drizzle-orm 1.0 with withResilience', () => {
  const boats = pg1.pgTable('boats', { id: pg1.integer().primaryKey(), name: pg1.text() })
  const related = defineRelations({ boats })
  const stock1 = () => drizzle1({ client: createClient(createPool(url)), relations: related })
  type Stock1 = ReturnType<typeof stock1>
  type Stock1Tx = Parameters<Parameters<Stock1['transaction']>[0]>[0]

  it('the tx is its own, and the options are ours', () => {
    const db1 = withResilience(stock1())
    expectTypeOf(db1).toExtend<Stock1>()
    expectTypeOf<TransactionOf<typeof db1>>().toEqualTypeOf<Stock1Tx>()
    compiled(async () => {
      const rows = await db1.transaction(
        async (tx, { attempt }) => {
          expectTypeOf(tx).toEqualTypeOf<Stock1Tx>()
          expectTypeOf(attempt).toBeNumber()
          return tx.query.boats.findMany()
        },
        { retry: false, timeoutMs: 5_000 },
      )
      expectTypeOf(rows).toEqualTypeOf<{ id: number; name: string | null }[]>()
      const byFunction = await withTransaction(db1, async (tx) => {
        expectTypeOf(tx).toEqualTypeOf<Stock1Tx>()
        return tx.select().from(boats)
      })
      expectTypeOf(byFunction).toEqualTypeOf<{ id: number; name: string | null }[]>()
      // @ts-expect-error: misspelt
      await withTransaction(db1, async () => {}, { timeout: 5_000 })
    })
  })
})
