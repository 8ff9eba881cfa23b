// Values of a table written and read back in every way there is, for the chapters about types.

import { sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { type Context, type Operation, operation } from '../operation.js'

type Rows<Table extends PgTable> = Table['$inferInsert'][]

/** Writes the rows through Drizzle; all other columns are NULL. */
export function roundTrip<Table extends PgTable & { id: PgColumn }>(
  name: string,
  table: Table,
  rows: Rows<Table>,
): Operation {
  return operation(name, async (context) => {
    const returned = await context.db.insert(table).values(rows).returning()
    return { returned, ...(await readBack(context, table)) }
  })
}

/** Writes the rows in SQL, for values that JavaScript cannot say. */
export function readsBack<Table extends PgTable & { id: PgColumn }>(
  name: string,
  table: Table,
  columns: string,
  rows: readonly string[],
): Operation {
  return operation(name, async (context) => {
    await context.db.execute(sql`insert into ${table} (${sql.raw(columns)}) values ${sql.raw(rows.join(', '))}`)
    return readBack(context, table)
  })
}

async function readBack({ db, sql: client }: Context, table: PgTable & { id: PgColumn }) {
  const query = sql`select * from ${table} order by id`
  const { sql: text } = db.select().from(table).orderBy(table.id).toSQL()
  return {
    selected: await db.select().from(table).orderBy(table.id),
    executed: await db.execute(query),
    tagged: await client`select * from ${client.unsafe(text.slice(text.indexOf(' from ') + 6))}`,
    values: await client.unsafe(text).values(),
    bytes: await client.unsafe(text).raw(),
  }
}
