// An application's database module, as a development server evaluates it again after each edit: one pool, both ORMs on
// it. What an edit would change is in the URL it is imported by: `?v=2&max=3`.

import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import { Kysely, sql as kyselySql } from 'kysely'

const edited = new URL(import.meta.url).searchParams
const max = Number(edited.get('max') ?? 2)

export const pool = createPool(process.env.STAGE_URL ?? '', {
  name: 'main',
  shared: edited.get('shared') !== 'no',
  resilience: { pool: { min: 2, max, overflow: 0, closeTimeoutMs: 5_000 } },
})
export const db = drizzle({ client: pool })
const kysely = new Kysely<object>({ dialect: new ResilientPostgresDialect({ client: pool }) })

/** A page's work: both ORMs, in and out of transactions, and the client itself. Returns what came of it. */
export async function page(): Promise<unknown[]> {
  const answers: unknown[] = [await db.execute(sql`select ${1}::int as n`)]
  answers.push(await db.transaction((tx) => tx.execute(sql`select ${2}::int as n`)))
  answers.push((await kyselySql`select ${3}::int as n`.execute(kysely)).rows)
  answers.push(await kysely.transaction().execute(async (trx) => (await kyselySql`select 4 as n`.execute(trx)).rows))
  answers.push(await db.$client`select ${5}::int as n`)
  answers.push(await db.$client.begin((tx) => tx`select ${6}::int as n`))
  // A piece of SQL that only the library that made it knows for one.
  answers.push(await db.$client`select ${db.$client('n')} from (select 7 as n) as t`)
  return answers.flatMap((rows) => (Array.isArray(rows) ? rows : [])).map(({ n }) => n)
}
