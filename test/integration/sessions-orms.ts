// Sessions of both ORMs behind one small face, so that a scenario is written once and run through each.

import { withSession as drizzleSession, withTransaction as drizzleWith, type SessionOf } from '@moorings/drizzle'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import {
  withSession as kyselySession,
  withTransaction as kyselyWith,
  ResilientPostgresDialect,
  type SessionContext,
  type SessionOptions,
} from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import type { ResilienceOptions, Schema } from './orms.js'

export interface Handle {
  query(sql: string): Promise<Record<string, unknown>[]>
}

export interface Stay extends Handle {
  /** The ORM's own. */
  transaction<T>(body: (tx: Handle) => Promise<T>): Promise<T>
  /** Ours. */
  withTransaction<T>(body: (tx: Handle) => Promise<T>, options?: object): Promise<T>
  withSession<T>(body: (db: Stay, context: SessionContext) => Promise<T> | T, options?: SessionOptions): Promise<T>
}

export interface StayingDb extends Stay {
  readonly pool: PostgresPool
  close(): Promise<void>
}

export interface StayingOrm {
  readonly name: string
  open(url: string | PostgresPool, resilience?: ResilienceOptions): StayingDb
}

function poolOf(url: string | PostgresPool, resilience: ResilienceOptions | undefined): PostgresPool {
  return typeof url === 'string' ? createPool(url, { resilience }) : url
}

type DrizzleDb = SessionOf<ResilientDatabase>

function drizzleStay(db: DrizzleDb): Stay {
  const handle = (on: Pick<DrizzleDb, 'execute'>): Handle => ({ query: async (sql) => [...(await on.execute(sql))] })
  return {
    ...handle(db),
    transaction: (body) => db.transaction((tx) => body(handle(tx))),
    withTransaction: (body, options = {}) => drizzleWith(db, (tx) => body(handle(tx)), options),
    withSession: (body, options) => drizzleSession(db, (on, context) => body(drizzleStay(on), context), options),
  }
}

const drizzleOrm: StayingOrm = {
  name: 'drizzle',
  open(url, resilience) {
    const pool = poolOf(url, resilience)
    const db = drizzle({ client: pool })
    return { pool, ...drizzleStay(db), close: () => pool.close() }
  },
}

function kyselyStay(db: Kysely<Schema>): Stay {
  const handle = (on: Kysely<Schema>): Handle => ({
    query: async (sql) => (await kyselySql.raw<Record<string, unknown>>(sql).execute(on)).rows,
  })
  return {
    ...handle(db),
    transaction: (body) => db.transaction().execute((tx) => body(handle(tx))),
    withTransaction: (body, options = {}) => kyselyWith(db, (tx) => body(handle(tx)), options),
    withSession: (body, options) => kyselySession(db, (on, context) => body(kyselyStay(on), context), options),
  }
}

const kyselyOrm: StayingOrm = {
  name: 'kysely',
  open(url, resilience) {
    const pool = poolOf(url, resilience)
    const db = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    return {
      pool,
      ...kyselyStay(db),
      async close() {
        await db.destroy()
        await pool.close()
      },
    }
  },
}

export const stayingOrms: readonly StayingOrm[] = [drizzleOrm, kyselyOrm]

/** The backend that a statement meets. */
export async function backendOf(on: Handle): Promise<number> {
  const [row] = await on.query('select pg_backend_pid() as pid')
  return Number(row?.pid)
}
