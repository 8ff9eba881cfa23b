// Both ORMs behind one small face, so that a scenario is written once and run through each.

import type { TransactionContext, TransactionOptions } from '@moorings/core'
import { withTransaction as withDrizzle, withResilience } from '@moorings/drizzle'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withTransaction as withKysely } from '@moorings/kysely'
import { type ConnectionInput, createClient, createPool, PostgresPool } from '@moorings/postgres'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { sql as drizzle1Sql } from 'drizzle-orm-1'
import { pgTable as pgTable1, text as text1 } from 'drizzle-orm-1/pg-core'
import { drizzle as drizzle1 } from 'drizzle-orm-1/postgres-js'
import { type ControlledTransaction, Kysely, sql as kyselySql, type Transaction } from 'kysely'

export type ResilienceOptions = NonNullable<NonNullable<Parameters<typeof createPool>[1]>['resilience']>

/** The table every scenario writes to: `create table marks (mark text)`. */
export const createMarks = 'create table marks (mark text)'
const marks = pgTable('marks', { mark: text('mark') })

export interface Schema {
  marks: { mark: string | null }
}

export interface Runner {
  /** A statement as raw SQL, through the ORM. */
  query(sql: string): Promise<Record<string, unknown>[]>
  /** Through the ORM's query builder. */
  insert(mark: string): Promise<void>
}

export interface Tx extends Runner {
  /** A savepoint, rolled back if the body throws. */
  nested<T>(body: (tx: Tx) => Promise<T>): Promise<T>
}

export type Body<T> = (tx: Tx, context: TransactionContext) => Promise<T>

export interface Db extends Runner {
  readonly pool: PostgresPool
  /** The ORM's own. */
  transaction<T>(body: (tx: Tx) => Promise<T>): Promise<T>
  /** What is retried, and takes options. */
  withTransaction<T>(body: Body<T>, options?: TransactionOptions): Promise<T>
  close(): Promise<void>
}

export interface Orm {
  readonly name: string
  open(connection: ConnectionInput | PostgresPool, resilience?: ResilienceOptions): Db
}

function poolOf(connection: ConnectionInput | PostgresPool, resilience?: ResilienceOptions): PostgresPool {
  return connection instanceof PostgresPool ? connection : createPool(connection, { resilience })
}

// --- Drizzle ---

type DrizzleTransaction = Parameters<Parameters<ResilientDatabase['transaction']>[0]>[0]

function drizzleRunner(db: ResilientDatabase | DrizzleTransaction): Runner {
  return {
    query: async (sql) => [...(await db.execute(sql))],
    insert: async (mark) => {
      await db.insert(marks).values({ mark })
    },
  }
}

function drizzleTx(tx: DrizzleTransaction): Tx {
  return { ...drizzleRunner(tx), nested: (body) => tx.transaction((nested) => body(drizzleTx(nested))) }
}

function openDrizzle(connection: ConnectionInput | PostgresPool, resilience?: ResilienceOptions) {
  const pool = poolOf(connection, resilience)
  const db = drizzle({ client: pool })
  return { db, common: { pool, ...drizzleRunner(db), close: () => db.$client.end() } }
}

const drizzleOrm: Orm = {
  name: 'drizzle',
  open(connection, resilience) {
    const { db, common } = openDrizzle(connection, resilience)
    return {
      ...common,
      transaction: (body) => db.transaction((tx) => body(drizzleTx(tx))),
      withTransaction: (body, options) => db.transaction((tx, context) => body(drizzleTx(tx), context), options),
    }
  },
}

const drizzleByFunction: Orm = {
  name: 'drizzle, withTransaction',
  open(connection, resilience) {
    const { db, common } = openDrizzle(connection, resilience)
    return {
      ...common,
      transaction: (body) => withDrizzle(db, (tx) => body(drizzleTx(tx))),
      withTransaction: (body, options) => withDrizzle(db, (tx, context) => body(drizzleTx(tx), context), options),
    }
  },
}

// --- Drizzle 1.0 ---

const marks1 = pgTable1('marks', { mark: text1('mark') })

const openDrizzle1 = (pool: PostgresPool) => withResilience(drizzle1({ client: createClient(pool) }))
type Drizzle1 = ReturnType<typeof openDrizzle1>
type Drizzle1Transaction = Parameters<Parameters<Drizzle1['transaction']>[0]>[0]

function drizzle1Runner(db: Drizzle1 | Drizzle1Transaction): Runner {
  return {
    query: async (sql) => [...(await db.execute<Record<string, unknown>>(drizzle1Sql.raw(sql)))],
    insert: async (mark) => {
      await db.insert(marks1).values({ mark })
    },
  }
}

function drizzle1Tx(tx: Drizzle1Transaction): Tx {
  return { ...drizzle1Runner(tx), nested: (body) => tx.transaction((nested) => body(drizzle1Tx(nested))) }
}

/** For scenarios of errors: of those the two releases of Drizzle make different things. */
export const drizzle1Orm: Orm = {
  name: 'drizzle 1.0',
  open(connection, resilience) {
    const pool = poolOf(connection, resilience)
    const db = openDrizzle1(pool)
    return {
      ...{ pool, ...drizzle1Runner(db), close: () => pool.close() },
      transaction: (body) => db.transaction((tx) => body(drizzle1Tx(tx))),
      withTransaction: (body, options) => db.transaction((tx, context) => body(drizzle1Tx(tx), context), options),
    }
  },
}

// --- Kysely ---

function kyselyRunner(db: Kysely<Schema>): Runner {
  return {
    query: async (sql) => (await kyselySql.raw<Record<string, unknown>>(sql).execute(db)).rows,
    insert: async (mark) => {
      await db.insertInto('marks').values({ mark }).execute()
    },
  }
}

/** Kysely itself nests controlled transactions only. */
function kyselyTx(trx: Transaction<Schema>): Tx {
  return { ...kyselyRunner(trx), nested: (body) => withKysely(trx, (nested) => body(kyselyTx(nested))) }
}

function controlledTx(trx: ControlledTransaction<Schema, string[]>): Tx {
  return {
    ...kyselyRunner(trx),
    async nested(body) {
      const inside = await trx.savepoint('nested').execute()
      try {
        const result = await body(controlledTx(inside))
        await inside.releaseSavepoint('nested').execute()
        return result
      } catch (error) {
        await inside.rollbackToSavepoint('nested').execute()
        throw error
      }
    },
  }
}

function openKysely(connection: ConnectionInput | PostgresPool, resilience?: ResilienceOptions) {
  const pool = poolOf(connection, resilience)
  const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
  const close = async () => {
    await db.destroy()
    await pool.close()
  }
  const withTransaction: Db['withTransaction'] = (body, options) =>
    withKysely(db, (trx, context) => body(kyselyTx(trx), context), options)
  return { db, common: { pool, ...kyselyRunner(db), close, withTransaction } }
}

const kyselyOrm: Orm = {
  name: 'kysely',
  open(connection, resilience) {
    const { db, common } = openKysely(connection, resilience)
    return { ...common, transaction: (body) => db.transaction().execute((trx) => body(kyselyTx(trx))) }
  },
}

const kyselyByFunction: Orm = {
  name: 'kysely, withTransaction',
  open(connection, resilience) {
    const { common } = openKysely(connection, resilience)
    return { ...common, transaction: (body) => common.withTransaction(body) }
  },
}

/** Its transactions are ended by hand, as an application does that cannot hand over a callback. */
const kyselyControlled: Orm = {
  name: 'kysely, controlled',
  open(connection, resilience) {
    const { db, common } = openKysely(connection, resilience)
    return {
      ...common,
      async transaction(body) {
        const trx = await db.startTransaction().execute()
        try {
          const result = await body(controlledTx(trx))
          await trx.commit().execute()
          return result
        } catch (error) {
          // After a COMMIT that was answered by ROLLBACK there is nothing left to end.
          if (!trx.isRolledBack) await trx.rollback().execute()
          throw error
        }
      },
    }
  },
}

/** For scenarios of the pool. */
export const orms = [drizzleOrm, kyselyOrm]
/** For scenarios of errors. */
export const everyOrm = [drizzleOrm, drizzle1Orm, kyselyOrm]
/** For scenarios of transactions. */
export const transactional = [drizzleOrm, kyselyOrm, kyselyControlled]
/** Through `withTransaction`: what can be done with `transactional`, too. */
export const byFunction = [drizzleByFunction, kyselyByFunction]
/** For scenarios of transactions that are run again or take options, by `withTransaction` of the database. */
export const retried = [drizzleOrm, ...byFunction]
/** For scenarios of nested transactions. */
export const nesting = [drizzleOrm, ...byFunction, kyselyControlled]

/** A statement of the given length, to be sent in one write or in several. */
export function padded(sql: string, length: number): string {
  return `${sql} /* ${'x'.repeat(Math.max(0, length - sql.length))} */`
}

/** The backend that a statement of this runner meets. */
export async function backendOf(runner: Runner): Promise<number> {
  const [row] = await runner.query('select pg_backend_pid() as pid')
  return Number(row?.pid)
}
