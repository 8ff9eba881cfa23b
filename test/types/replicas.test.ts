// What the compiler knows of reading from replicas: the shape of Drizzle's own `withReplicas`, and Kysely's own database.
// Checked by the compiler; at run time nothing connects.

import { describe, expect, it } from '@jest/globals'
import { type ReadYourWrites, type TransactionOf, withReadYourWrites, withTransaction } from '@moorings/drizzle'
import {
  drizzle,
  type ResilientDatabase,
  type ResilientDatabaseWithReplicas,
  type ResilientDrizzleConfig,
} from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withReplica } from '@moorings/kysely'
import { createClient, createPool, type PostgresPool, type ReplicasInput } from '@moorings/postgres'
import { type PgWithReplicas, pgTable, text, withReplicas } from 'drizzle-orm/pg-core'
import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import { expectTypeOf } from 'expect-type'
import { type Generated, Kysely, type Transaction } from 'kysely'

const url = 'postgres://app@localhost/shop'
const users = pgTable('users', { email: text('email') })
const schema = { users }
interface Database {
  users: { id: Generated<number>; email: string | null }
}

/** Never called: what is written in it is only for the compiler. */
function compiled(_body: () => unknown): void {
  expect(true).toBe(true)
}

describe('types of replicas', () => {
  it('are those of Drizzle’s own withReplicas, where replicas are given, and a plain database where not', () => {
    const db = drizzle({ connection: url, schema, replicas: [url] })
    expectTypeOf(db).toEqualTypeOf<ResilientDatabaseWithReplicas<typeof schema>>()
    expectTypeOf(db).toEqualTypeOf<PgWithReplicas<ResilientDatabase<typeof schema>>>()
    expectTypeOf(db.$primary).toEqualTypeOf<ResilientDatabase<typeof schema>>()
    expectTypeOf(drizzle(url, { schema, replicas: [url] })).toEqualTypeOf<typeof db>()
    expectTypeOf(drizzle({ connection: url, schema })).toEqualTypeOf<ResilientDatabase<typeof schema>>()
    expectTypeOf(drizzle(url)).toEqualTypeOf<ResilientDatabase>()
    // Where the environment says whether there are any.
    const maybe: ReplicasInput | undefined = [url].length > 1 ? [url] : undefined
    expectTypeOf(drizzle({ connection: url, schema, replicas: maybe })).toEqualTypeOf<
      ResilientDatabase<typeof schema>
    >()
    expectTypeOf(drizzle(url, { schema, replicas: maybe })).toEqualTypeOf<ResilientDatabase<typeof schema>>()
    const config: ResilientDrizzleConfig<typeof schema> & { connection: string } = { connection: url, schema }
    expectTypeOf(drizzle(config)).not.toHaveProperty('$primary')
  })

  it('are refused beside a client, which has those of its pool', () => {
    const pool = createPool(url)
    // @ts-expect-error: the pool is told
    compiled(() => drizzle({ client: pool, replicas: [url] }))
    // @ts-expect-error: the pool is told
    compiled(() => drizzle(pool, { replicas: [url] }))
    // @ts-expect-error: there are none
    compiled(() => drizzle(url).$primary)
  })

  it('let it stand where Drizzle’s own database is asked for, and keep what they infer', () => {
    const db = drizzle({ connection: url, schema, replicas: [url] })
    const takes = (_db: PostgresJsDatabase<typeof schema>) => {}
    takes(db)
    compiled(async () => {
      expectTypeOf(await db.select().from(users)).toEqualTypeOf<{ email: string | null }[]>()
      expectTypeOf(await db.query.users.findMany()).toEqualTypeOf<{ email: string | null }[]>()
      await withTransaction(db, async (tx) => expectTypeOf(tx).toEqualTypeOf<TransactionOf<typeof db.$primary>>())
      await db.transaction(async (tx) => tx.insert(users).values({ email: null }), { isolationLevel: 'serializable' })
    })
  })

  it('let one be put together by Drizzle’s own withReplicas, on the pool’s choice', () => {
    compiled(() => {
      const pool = createPool(url, { replicas: [url] })
      expectTypeOf(pool).toEqualTypeOf<PostgresPool>()
      if (pool.replicas === undefined) return
      const client = createClient(pool)
      const reading: ResilientDatabase<typeof schema> = drizzle({ client: client.on(pool.replicas), schema })
      const db = withReplicas(drizzle({ client, schema }), [reading])
      expectTypeOf(db.$primary).toEqualTypeOf<ResilientDatabase<typeof schema>>()
    })
  })

  it('are those of Kysely’s own database, also of one in a transaction', () => {
    const db = new Kysely<Database>({ dialect: new ResilientPostgresDialect({ connection: url, replicas: [url] }) })
    expectTypeOf(withReplica(db)).toEqualTypeOf<Kysely<Database>>()
    compiled((): Kysely<Database> => withReplica({} as Transaction<Database>))
  })

  it('take connections of any kind, and options', () => {
    const given: ReplicasInput[] = [
      [url, new URL(url), { host: 'a', user: 'app' }, { connection: url, resilience: { pool: { max: 3 } } }],
      { connections: [url], maxLagMs: 5_000, checkEveryMs: 500 },
    ]
    for (const replicas of given) expect(createPool(url, { replicas }).replicas).toBeDefined()
    // @ts-expect-error: no such option
    compiled(() => createPool(url, { replicas: { connections: [url], maxLag: 5 } }))
  })

  it('give what the body of withReadYourWrites gives', () => {
    compiled(async () => {
      expectTypeOf(withReadYourWrites(() => 7)).toEqualTypeOf<number>()
      expectTypeOf(withReadYourWrites(async () => 'a')).toEqualTypeOf<Promise<string>>()
      withReadYourWrites((scope) => expectTypeOf(scope).toEqualTypeOf<ReadYourWrites>(), { hasWritten: true })
    })
  })
})

describe('a database without replicas', () => {
  it('is refused by withReplica', () => {
    const db = new Kysely<Database>({ dialect: new ResilientPostgresDialect({ connection: url }) })
    expect(() => withReplica(db)).toThrow(/replicas/)
  })

  it('is what is made of a client: replicas beside it are refused', () => {
    const config: unknown = { client: createPool(url), replicas: [url] }
    expect(() => Reflect.apply(drizzle, undefined, [config])).toThrow(/replicas/)
    expect(() => Reflect.construct(ResilientPostgresDialect, [config])).toThrow(/replicas/)
  })
})
