// One pool with both ORMs and a client on it, each behind the same small face: for scenarios of what joins what.

import type { Propagation, TransactionContext, TransactionOptions } from '@moorings/core'
import { type TransactionOf, withTransaction as withDrizzle } from '@moorings/drizzle'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withTransaction as withKysely } from '@moorings/kysely'
import { type Client, createClient, createPool, type PostgresPool } from '@moorings/postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { Kysely, sql as kyselySql, type Transaction } from 'kysely'
import type { TransactionSql } from 'postgres'
import { until } from '../support/until.js'
import type { ResilienceOptions, Schema } from './orms.js'
import type { Scene } from './scene.js'

export const marks = pgTable('marks', { mark: text('mark') })
export const schema = { marks }

export type DrizzleDb = ResilientDatabase<typeof schema>
export type KyselyDb = Kysely<Schema>

export interface Runner {
  query(sql: string): Promise<Record<string, unknown>[]>
  insert(mark: string): Promise<void>
}

/** A database, or what a transaction's body is given. */
export interface Handle extends Runner {
  withTransaction<T>(
    body: (tx: Handle, context: TransactionContext) => Promise<T> | T,
    options?: TransactionOptions<Propagation>,
  ): Promise<T>
}

/** A root database. */
export interface Root extends Handle {
  readonly name: string
  /** The ORM's own transaction. */
  own<T>(body: (tx: Runner) => Promise<T>): Promise<T>
  /** The handle that a body was given is this very database. */
  is(handle: Handle): boolean
}

export interface Joint {
  readonly pool: PostgresPool
  readonly orm: DrizzleDb
  readonly kysely: KyselyDb
  readonly client: Client
  readonly roots: { readonly [name in RootName]: Root }
}

export type RootName = 'drizzle' | 'kysely'
export const rootNames: readonly RootName[] = ['drizzle', 'kysely']
/** Each with itself, and with the other. */
export const pairs: readonly (readonly [RootName, RootName])[] = rootNames.flatMap((one) =>
  rootNames.map((other) => [one, other] as const),
)

/** Closed after the test. No more than `max` connections. */
export function openJoint(
  scene: Scene,
  max: number,
  transaction: NonNullable<ResilienceOptions['transaction']> = {},
): Joint {
  const resilience = { pool: { min: 0, max, overflow: 0 }, transaction }
  const pool = scene.closing(createPool(scene.url, { resilience }))
  const orm = drizzle({ client: pool, schema })
  const kysely = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  const roots = { drizzle: drizzleRoot(orm), kysely: kyselyRoot(kysely) }
  return { pool, orm, kysely, client: createClient(pool), roots }
}

// --- Drizzle ---

type DrizzleHost = DrizzleDb | TransactionOf<DrizzleDb>
/** Which ORM's object a handle stands for. */
const standsFor = new WeakMap<Handle, object>()

function drizzleHandle(db: DrizzleHost): Handle {
  const handle: Handle = {
    query: async (sql) => [...(await db.execute(sql))],
    insert: async (mark) => {
      await db.insert(marks).values({ mark })
    },
    withTransaction: (body, options) =>
      options === undefined
        ? withDrizzle(db, (tx, context) => body(drizzleHandle(tx), context))
        : withDrizzle(db, (tx, context) => body(drizzleHandle(tx), context), options),
  }
  standsFor.set(handle, db)
  return handle
}

function drizzleRoot(db: DrizzleDb): Root {
  return {
    name: 'drizzle',
    ...drizzleHandle(db),
    own: (body) => db.transaction((tx) => body(drizzleHandle(tx))),
    is: (handle) => standsFor.get(handle) === db,
  }
}

// --- Kysely ---

function kyselyHandle(db: KyselyDb | Transaction<Schema>): Handle {
  const handle: Handle = {
    query: async (sql) => (await kyselySql.raw<Record<string, unknown>>(sql).execute(db)).rows,
    insert: async (mark) => {
      await db.insertInto('marks').values({ mark }).execute()
    },
    withTransaction: (body, options) =>
      options === undefined
        ? withKysely(db, (tx, context) => body(kyselyHandle(tx), context))
        : withKysely(db, (tx, context) => body(kyselyHandle(tx), context), options),
  }
  standsFor.set(handle, db)
  return handle
}

function kyselyRoot(db: KyselyDb): Root {
  return {
    name: 'kysely',
    ...kyselyHandle(db),
    own: (body) => db.transaction().execute((tx) => body(kyselyHandle(tx))),
    is: (handle) => standsFor.get(handle) === db,
  }
}

// --- the client ---

export function clientRunner(sql: Client | TransactionSql): Runner {
  return {
    query: async (text) => [...(await sql.unsafe(text))],
    insert: async (mark) => {
      await sql`insert into marks values (${mark})`
    },
  }
}

// --- what is looked at ---

/** The backend that a statement meets. */
export async function pidOf(runner: Runner): Promise<number> {
  const [row] = await runner.query('select pg_backend_pid() as pid')
  return Number(row?.pid)
}

/** What this one sees, in order. */
export async function seenBy(runner: Runner): Promise<unknown[]> {
  return (await runner.query('select mark from marks order by mark')).map(({ mark }) => mark)
}

/** Resolves once the server has nothing of ours under way. */
export async function atRest({ pool }: Joint): Promise<void> {
  await until(() => pool.stats().leased === 0 && pool.stats().waiting === 0, { what: 'every lease to be back' })
}

/** What everybody else sees meanwhile. */
export async function seenOutside({ admin }: Scene): Promise<unknown[]> {
  return (await admin.query<{ mark: string }>('select mark from marks order by mark')).map(({ mark }) => mark)
}

/** What a record has under that name. */
export function named<T>(record: Readonly<Record<string, T>>, name: string): T {
  const found = record[name]
  if (found === undefined) throw new Error(`There is nothing named ${name}`)
  return found
}

export class Undo extends Error {
  override readonly name = 'Undo'
}

/** Rolls back what the body does. */
export async function undone(transaction: (fail: () => never) => Promise<unknown>): Promise<void> {
  const error = new Undo('undo')
  try {
    await transaction(() => {
      throw error
    })
  } catch (caught) {
    if (caught !== error) throw caught
    return
  }
  throw new Error('The transaction was not rolled back')
}
