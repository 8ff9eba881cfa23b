// What a Drizzle application's types see after the swap. Checked by the compiler; at run time nothing connects.

import { describe, expect, it } from '@jest/globals'
import type { TransactionOf } from '@moorings/drizzle'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { createPool } from '@moorings/postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { expectTypeOf } from 'expect-type'
import postgres from 'postgres'

const users = pgTable('users', { id: integer().primaryKey(), email: text() })
const schema = { users }
const url = 'postgres://app@localhost/shop'

describe('types of the Drizzle factory', () => {
  it('takes every form the stock factory takes, plus resilience', () => {
    expectTypeOf(drizzle(url)).toEqualTypeOf<ResilientDatabase>()
    const db = drizzle(url, { schema, resilience: { pool: { max: 3 } } })
    expectTypeOf(db).toEqualTypeOf<ResilientDatabase<typeof schema>>()
    expectTypeOf(drizzle({ connection: url, schema, casing: 'snake_case' })).toEqualTypeOf(db)
    expectTypeOf(drizzle({ connection: { url, prepare: false }, schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle({ connection: { host: 'localhost', database: 'shop' }, schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle({ client: createPool(url), schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle({ client: postgres(url), schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle(postgres(url), { schema })).toEqualTypeOf(db)
    expectTypeOf(drizzle(createPool(url), { schema })).toEqualTypeOf(db)
  })

  it('gives a database that fits wherever a stock one was asked for', () => {
    const db = drizzle(url, { schema })
    expectTypeOf(db).toExtend<PostgresJsDatabase<typeof schema>>()
    expectTypeOf(db.$client).toExtend<postgres.Sql>()
    expectTypeOf(db.query.users.findMany).toBeFunction()
    expectTypeOf(db.select().from(users)).resolves.toEqualTypeOf<{ id: number; email: string | null }[]>()
  })

  it('names the type of a transaction', () => {
    const db = drizzle(url, { schema })
    type Stock = Parameters<Parameters<typeof db.transaction>[0]>[0]
    expectTypeOf<TransactionOf<typeof db>>().toEqualTypeOf<Stock>()
  })

  it('refuses an option that does not exist, and so does the factory', () => {
    // @ts-expect-error: misspelt
    expect(() => drizzle(url, { resilience: { pool: { acquireTimeout: 3 } } })).toThrow(
      'did you mean acquireTimeoutMs?',
    )
    // @ts-expect-error: the pool's own
    expect(() => drizzle({ connection: { host: 'localhost', max: 3 } })).toThrow('resilience.pool.max')
  })
})

describe('what Drizzle would ignore and was meant for us', () => {
  it.each([{ resilence: {} }, { pool: { max: 3 } }, { max: 20 }])('%j is refused', (config: object) => {
    expect(() => drizzle(url, config)).toThrow('Invalid options')
  })
})
