// Guards through Drizzle beyond what a schema's columns tell: constraints as objects, tables of another schema, tables that
// are only registered, and errors in Drizzle's own wrapper.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import {
  isCheckViolation,
  isForeignKeyViolation,
  isMooringsError,
  isNotNullViolation,
  isUniqueViolation,
  registerTables,
  UniqueViolationError,
  violationIn,
  withResilience,
} from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { DrizzleQueryError, sql } from 'drizzle-orm'
import * as pg from 'drizzle-orm/pg-core'
import { DrizzleQueryError as DrizzleQueryError1 } from 'drizzle-orm-1'
import * as pg1 from 'drizzle-orm-1/pg-core'
import { drizzle as drizzle1 } from 'drizzle-orm-1/postgres-js'
import { useDatabase } from '../support/use-database.js'
import type { ResilienceOptions } from './orms.js'

const users = pg.pgTable('users', { id: pg.integer().primaryKey(), email: pg.text(), tenant: pg.integer() }, (t) => [
  activeEmail,
  pg.uniqueIndex('users_email_tenant').on(t.email, t.tenant),
  tenantKnown,
  positive,
])
const tenants = pg.pgTable('tenants', { id: pg.integer('tenant_id').primaryKey(), name: pg.text('tenant_name') })
const activeEmail: pg.IndexBuilder = pg.uniqueIndex('users_active_email').on(sql`lower(${users.email})`)
const tenantKnown: pg.ForeignKeyBuilder = pg.foreignKey({ columns: [users.tenant], foreignColumns: [tenants.id] })
const positive: pg.CheckBuilder = pg.check('users_id_positive', sql`${users.id} > 0`)
const archived = pg.pgSchema('archive').table('users', { id: pg.integer().primaryKey(), email: pg.text().unique() })

const readings = pg.pgTable('readings', { onDay: pg.date('day'), atStation: pg.integer('station') })

const ddl = `
create table readings (day date, station integer not null, primary key (day, station)) partition by range (day);
create table readings_2024 partition of readings for values from ('2024-01-01') to ('2025-01-01');
create table tenants (tenant_id integer primary key deferrable initially deferred, tenant_name text not null);
create table other_tenants (tenant_id integer primary key);
create table users (id integer primary key constraint users_id_positive check (id > 0), email text,
  tenant integer references other_tenants);
create unique index users_active_email on users (lower(email));
create unique index users_email_tenant on users (email, tenant);
create function conflict(text) returns void language plpgsql as $$ begin
  raise exception 'conflict' using errcode = '40001';
end $$;
create schema archive;
create table archive.users (id integer primary key, email text unique);`

const rows = `
truncate tenants, users, archive.users, readings;
insert into readings values ('2024-02-01', 7);
insert into tenants values (1, 'Acme');
insert into users values (1, 'ada', null);
insert into archive.users values (1, 'ada');`

describe('E2: guards through Drizzle', () => {
  const database = useDatabase()
  const pools: PostgresPool[] = []

  beforeAll(() => database.admin.query(ddl))
  beforeEach(() => database.admin.query(rows))
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())))

  const newPool = (errors: NonNullable<ResilienceOptions['errors']> = {}) => {
    const pool = createPool(database.url, {
      resilience: { pool: { min: 0 }, errors: { lookupTimeoutMs: 0, ...errors } },
    })
    pools.push(pool)
    return pool
  }
  const failing = (statement: PromiseLike<unknown>): Promise<unknown> =>
    Promise.resolve(statement).then(
      () => 'it was done',
      (error) => error,
    )

  it('take a constraint for what it is, with its table or without', async () => {
    const db = drizzle({ client: newPool(), schema: { users, tenants } })
    const taken = await failing(db.insert(users).values({ id: 2, email: 'ADA' }))
    expect(isUniqueViolation(taken, activeEmail)).toBe(true)
    expect(isUniqueViolation(taken, 'users_active_email')).toBe(true)
    const { indexes } = pg.getTableConfig(users)
    expect(indexes.map((index) => isUniqueViolation(taken, index))).toEqual([true, false])
    expect(isUniqueViolation(taken, pg.unique('users_active_email').on(archived.email))).toBe(false)
    expect(isUniqueViolation(taken, pg.primaryKey({ columns: [users.id] }))).toBe(false)
    expect(isUniqueViolation(taken, users.email)).toBe(true)

    const again = await failing(db.insert(users).values({ id: 1 }))
    expect(isUniqueViolation(again, pg.primaryKey({ columns: [users.id] }))).toBe(true)
    expect(isUniqueViolation(again, activeEmail)).toBe(false)

    const orphan = await failing(db.insert(users).values({ id: 2, tenant: 9 }))
    expect(isForeignKeyViolation(orphan, tenantKnown)).toBe(true)
    expect(isUniqueViolation(orphan, tenantKnown)).toBe(false)

    const negative = await failing(db.insert(users).values({ id: -1 }))
    expect(isCheckViolation(negative, positive)).toBe(true)
    expect(isCheckViolation(negative, pg.check('another', sql`${users.id} > 0`))).toBe(false)
  })

  it('tell tables of one name by their schemas', async () => {
    const db = drizzle({ client: newPool(), schema: { users, archived } })
    const taken = await failing(db.insert(archived).values({ id: 2, email: 'ada' }))
    expect(isUniqueViolation(taken, archived.email)).toBe(true)
    expect(violationIn(taken)?.keys).toEqual(['email'])
    const here = await failing(db.insert(users).values({ id: 1 }))
    expect(isUniqueViolation(here, archived)).toBe(false)
  })

  it('need no schema: the table at hand tells its columns', async () => {
    const db = drizzle({ client: newPool() })
    const taken = await failing(db.insert(archived).values({ id: 2, email: 'ada' }))
    expect(isUniqueViolation(taken, archived.email)).toBe(true)
    expect(isUniqueViolation(taken, archived.id)).toBe(false)
    expect(violationIn(taken)?.keys).toBeUndefined()
  })

  it('have keys of tables that are only registered, by the pool or by a database on it', async () => {
    const pool = newPool()
    const db = drizzle({ client: pool })
    registerTables(pool, { tenants, nothing: 'else' })
    registerTables(db, [users])
    const bare = await failing(db.insert(tenants).values({ id: 2 }))
    expect(isNotNullViolation(bare, tenants.name)).toBe(true)
    expect(violationIn(bare)).toMatchObject({ columns: ['tenant_name'], keys: ['name'], constraint: undefined })
    const taken = await failing(db.insert(users).values({ id: 2, email: 'ADA' }))
    expect(violationIn(taken)?.keys).toEqual(['email'])
    expect(() => registerTables(pool, { nothing: 'else' })).toThrow('tables of Drizzle')
    expect(() => registerTables(drizzle.mock(), { users })).toThrow('Invalid options')
  })

  it.each([
    ['by the table, if nobody else has told what it is of', 0, undefined],
    ['by the catalogue', 5_000, ['email']],
  ])('know an index over an expression %s', async (_how, lookupTimeoutMs, columns) => {
    const db = drizzle({ client: newPool({ lookupTimeoutMs }) })
    const taken = await failing(db.insert(users).values({ id: 2, email: 'ADA' }))
    expect(violationIn(taken)?.columns).toEqual(columns)
    expect(isUniqueViolation(taken, users.email)).toBe(true)
    expect(isUniqueViolation(taken, [users.email, users.tenant])).toBe(false)
  })

  it('have keys of the table that a partition is a part of', async () => {
    const db = drizzle({ client: newPool({ lookupTimeoutMs: 5_000 }), schema: { readings } })
    const again = await failing(db.insert(readings).values({ onDay: '2024-02-01', atStation: 7 }))
    expect(isUniqueViolation(again, [readings.onDay, readings.atStation])).toBe(true)
    expect(violationIn(again)).toMatchObject({ table: 'readings_2024', keys: ['onDay', 'atStation'] })
    const bare = await failing(db.insert(readings).values({ onDay: '2024-02-02' }))
    expect(isNotNullViolation(bare, readings.atStation)).toBe(true)
    expect(violationIn(bare)?.keys).toEqual(['atStation'])
  })

  it('hear of a constraint that COMMIT has checked', async () => {
    const db = drizzle({ client: newPool(), schema: { tenants } })
    const late = await failing(db.transaction((tx) => tx.insert(tenants).values({ id: 1, name: 'Again' })))
    expect(isUniqueViolation(late, tenants.id)).toBe(true)
    expect(violationIn(late)?.keys).toEqual(['id'])
  })

  it('hear of one inside a nested transaction, whose outer one goes on', async () => {
    const db = drizzle({ client: newPool(), schema: { users } })
    await db.transaction(async (tx) => {
      const taken = await failing(tx.transaction((nested) => nested.insert(users).values({ id: 2, email: 'ADA' })))
      expect(isUniqueViolation(taken, users.email)).toBe(true)
      await tx.insert(users).values({ id: 2, email: 'bob' })
    })
    expect(await db.select().from(users)).toHaveLength(2)
  })

  describe('E5: with style wrapped', () => {
    it('find ours in Drizzle’s own error, which has its fields', async () => {
      const db = drizzle({ client: newPool({ style: 'wrapped' }), schema: { users } })
      for (const run of [db, undefined]) {
        const taken = await failing(
          run?.insert(users).values({ id: 2, email: 'ADA' }) ??
            db.transaction((tx) => tx.transaction((nested) => nested.insert(users).values({ id: 2, email: 'ADA' }))),
        )
        expect(taken).toBeInstanceOf(DrizzleQueryError)
        expect(isMooringsError(taken)).toBe(false)
        expect(taken).toMatchObject({ query: expect.stringContaining('insert'), params: [2, 'ADA'] })
        expect(taken).toHaveProperty('cause.code', '23505')
        expect(taken).toHaveProperty('cause.constraint', 'users_active_email')
        expect(violationIn(taken)).toBeInstanceOf(UniqueViolationError)
        if (!isUniqueViolation(taken, users)) throw taken
        expect(taken.keys).toEqual(['email'])
        expect(taken.constraint).toBe('users_active_email')
        expect(Object.keys(taken)).not.toContain('keys')
      }
    })

    it('do so with drizzle-orm 1.0', async () => {
      const pool = newPool({ style: 'wrapped' })
      const table = pg1.pgTable('users', { id: pg1.integer().primaryKey(), mail: pg1.text('email') })
      registerTables(pool, { table })
      const db = withResilience(drizzle1({ client: createClient(pool) }))
      const taken = await failing(db.insert(table).values({ id: 1 }))
      expect(taken).toBeInstanceOf(DrizzleQueryError1)
      if (!isUniqueViolation(taken, table.id)) throw taken
      expect(taken.keys).toEqual(['id'])
      const direct = withResilience(drizzle1({ client: createClient(newPool()) }))
      expect(await failing(direct.insert(table).values({ id: 1 }))).toBeInstanceOf(UniqueViolationError)
    })

    it('run a transaction again all the same', async () => {
      const db = drizzle({ client: newPool({ style: 'wrapped' }) })
      let attempts = 0
      const body = async (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]) => {
        attempts++
        if (attempts > 1) return 'done'
        await tx.execute(sql`do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`)
        return 'not failed'
      }
      expect(await db.transaction(body)).toBe('done')
      expect(attempts).toBe(2)
    })

    it('E4: show no parameter in what is published of a transaction that is run again, or of what follows it', async () => {
      const pool = newPool({ style: 'wrapped' })
      const db = drizzle({ client: pool })
      const heard: unknown[] = []
      const names = ['moorings:transaction:retried', 'moorings:after:failed']
      const listen = (event: unknown) => heard.push(event)
      for (const name of names) subscribe(name, listen)
      const conflict = sql`select conflict(${'a secret'})`
      await db.transaction(async (tx, { attempt, afterCommit }) => {
        if (attempt === 1) await tx.execute(conflict)
        afterCommit(() => db.execute(conflict).then(() => undefined))
      })
      for (const name of names) unsubscribe(name, listen)
      expect(heard).toEqual([
        expect.objectContaining({ error: expect.objectContaining({ name: 'SerializationError', code: '40001' }) }),
        expect.objectContaining({ error: expect.objectContaining({ name: 'SerializationError', code: '40001' }) }),
      ])
      expect(`${JSON.stringify(heard)} ${inspect(heard, { depth: 9 })}`).not.toContain('secret')
    })
  })
})
