// Reading from replicas through each ORM, and through the client, behind one small face.

import * as ofDrizzle from '@moorings/drizzle'
import { drizzle } from '@moorings/drizzle/postgres-js'
import * as ofKysely from '@moorings/kysely'
import { createClient, createPool, type PostgresPool, type ReplicasInput } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import { pgTable, text } from 'drizzle-orm/pg-core'
import { Kysely, sql as kyselySql } from 'kysely'
import type { ResilienceOptions, Schema } from './orms.js'

const marks = pgTable('marks', { mark: text('mark') })

/** Which server a statement ran on. */
export interface Place {
  readonly port: number
  readonly standby: boolean
}

const port = `current_setting('port')::int`
const standby = 'pg_is_in_recovery()'

export interface Reader {
  readonly pool: PostgresPool
  /** By a select of the ORM's own. */
  where(): Promise<Place>
  /** As raw SQL. */
  whereRaw(): Promise<Place>
  marks(): Promise<string[]>
  /** What a function without arguments gives, by a select of the ORM's own. */
  call(name: string): Promise<string>
  insert(mark: string): Promise<void>
  /** Everything in the body's call chain is in it, the root database included. */
  inTransaction<T>(body: () => Promise<T>): Promise<T>
  inSession<T>(body: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

export interface ReadingOrm {
  readonly name: string
  open(connection: string, replicas: ReplicasInput, resilience: ResilienceOptions): Reader
}

function only<T>(rows: Iterable<T>): T {
  for (const row of rows) return row
  throw new Error('there was no row')
}

/** @throws when there is none */
export function replicasOf(pool: PostgresPool): NonNullable<PostgresPool['replicas']> {
  if (pool.replicas === undefined) throw new Error('this pool has no replicas')
  return pool.replicas
}

const drizzleReader: ReadingOrm = {
  name: 'drizzle',
  open(connection, replicas, resilience) {
    const db = drizzle({ connection, replicas, resilience })
    const place = { port: sql<number>`${sql.raw(port)}`, standby: sql<boolean>`${sql.raw(standby)}` }
    return {
      pool: db.$client.pool,
      where: async () => only(await db.select(place).from(sql`(values (1)) as one`)),
      whereRaw: async () =>
        only(await db.execute<Place & Record<string, unknown>>(`select ${port} as port, ${standby} as standby`)),
      marks: async () => (await db.select().from(marks).orderBy(marks.mark)).map(({ mark }) => mark ?? ''),
      call: async (name) =>
        only(await db.select({ value: sql<string>`${sql.raw(name)}()::text` }).from(sql`(values (1)) as one`)).value,
      insert: async (mark) => {
        await db.insert(marks).values({ mark })
      },
      inTransaction: (body) => ofDrizzle.withTransaction(db, body),
      inSession: (body) => ofDrizzle.withSession(db, body),
      close: () => db.$client.end(),
    }
  },
}

const kyselyReader: ReadingOrm = {
  name: 'kysely',
  open(connection, replicas, resilience) {
    const dialect = new ofKysely.ResilientPostgresDialect({ connection, replicas, resilience })
    const { pool } = dialect
    const db = ofKysely.withReplica(new Kysely<Schema>({ dialect }))
    const [asPort, asStandby] = [kyselySql.raw<number>(port), kyselySql.raw<boolean>(standby)]
    return {
      pool,
      where: () => db.selectNoFrom([asPort.as('port'), asStandby.as('standby')]).executeTakeFirstOrThrow(),
      whereRaw: async () =>
        only((await kyselySql<Place>`select ${asPort} as port, ${asStandby} as standby`.execute(db)).rows),
      marks: async () =>
        (await db.selectFrom('marks').select('mark').orderBy('mark').execute()).map(({ mark }) => mark ?? ''),
      call: async (name) =>
        (await db.selectNoFrom(kyselySql.raw<string>(`${name}()::text`).as('value')).executeTakeFirstOrThrow()).value,
      insert: async (mark) => {
        await db.insertInto('marks').values({ mark }).execute()
      },
      inTransaction: (body) => ofKysely.withTransaction(db, body),
      inSession: (body) => ofKysely.withSession(db, body),
      close: async () => {
        await db.destroy()
        await pool.close()
      },
    }
  },
}

const clientReader: ReadingOrm = {
  name: 'the client',
  open(connection, replicas, resilience) {
    const pool = createPool(connection, { replicas, resilience })
    const client = createClient(pool)
    const reading = client.on(replicasOf(pool))
    return {
      pool,
      where: async () => {
        const one = 1
        const rows = await reading<
          Place[]
        >`select ${reading.unsafe(port)} as port, ${reading.unsafe(standby)} as standby where ${one} = 1`
        return { ...only(rows) }
      },
      whereRaw: async () =>
        only(
          (await client.unsafe(`select ${port} as port, ${standby} as standby`)).map(({ port, standby }) => ({
            port,
            standby,
          })),
        ),
      marks: async () => (await reading`select mark from marks order by mark`).map(({ mark }) => mark),
      call: async (name) =>
        only(await reading<{ value: string }[]>`select ${reading.unsafe(name)}()::text as value`).value,
      insert: async (mark) => {
        await client`insert into marks values (${mark})`
      },
      inTransaction: (body) => client.transaction({}, body),
      inSession: (body) => client.session({}, body),
      close: () => pool.close(),
    }
  },
}

export const readers: readonly ReadingOrm[] = [drizzleReader, kyselyReader, clientReader]
