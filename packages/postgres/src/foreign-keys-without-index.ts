// What the catalogue knows of relations that deadlocks were about: which tables they are, and which of them foreign keys
// refer to, and which foreign keys of theirs have no index. PostgreSQL makes none by itself: to see whether a parent that is deleted has children it then reads
// their whole table, and holds its locks for as long.

import type { Relations, UnindexedForeignKey } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'
import { quoted } from './words.js'

/** More than anybody mends at once. */
const MOST = 50

/** Indexes stand for their tables. The number of this database stands beside a relation's where the server says where it waited. */
const tablesQuery = `
  select distinct c.relname as name, c.oid::text as id, coalesce(t.relname, c.relname) as "table",
    exists (
      select from pg_catalog.pg_constraint k where k.contype = 'f' and k.confrelid = coalesce(t.oid, c.oid)
    )::text as parent
  from pg_catalog.pg_class c
    left join pg_catalog.pg_index i on i.indexrelid = c.oid
    left join pg_catalog.pg_class t on t.oid = i.indrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where (c.relname::text in (select pg_catalog.json_array_elements_text($1::json))
      or c.oid::text in (select pg_catalog.json_array_elements_text($2::json)))
    and c.oid <> (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    and c.relkind in ('r', 'p', 'i', 'I', 'm', 'f')
    and n.nspname not in ('pg_catalog', 'information_schema')
  limit 500`

/**
 * An index will do when its first columns are those of the key, in any order, and it holds all rows that have one: also
 * one of those where the column is not null.
 */
const unindexedQuery = `
  select k.conname as name, n.nspname as schema, c.relname as "table", fn.nspname as "parentSchema", f.relname as parent,
    c.relkind::text as kind,
    (select pg_catalog.array_to_json(pg_catalog.array_agg(a.attname order by u.place))::text
      from pg_catalog.unnest(k.conkey) with ordinality as u (number, place)
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.number) as columns
  from pg_catalog.pg_constraint k
    join pg_catalog.pg_class c on c.oid = k.conrelid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_class f on f.oid = k.confrelid
    join pg_catalog.pg_namespace fn on fn.oid = f.relnamespace
  where k.contype = 'f' and k.conparentid = 0 and exists (
      select from pg_catalog.json_array_elements_text($1::json) as wanted (name)
      where wanted.name in (c.relname::text, f.relname::text))
    and not exists (
      select from pg_catalog.pg_index i
        join pg_catalog.pg_class ic on ic.oid = i.indexrelid
        join pg_catalog.pg_am am on am.oid = ic.relam
      where i.indrelid = k.conrelid and i.indisvalid and am.amname in ('btree', 'hash')
        and (i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey
        and (i.indpred is null or pg_catalog.pg_get_expr(i.indpred, i.indrelid) = (
          select pg_catalog.format('(%I IS NOT NULL)', a.attname) from pg_catalog.pg_attribute a
          where a.attrelid = k.conrelid and a.attnum = k.conkey[1]))
    )
  order by n.nspname, c.relname, k.conname
  limit ${MOST}`

/** @param ids numbers of relations; numbers of anything else among them are passed over */
export async function relationsOf(
  connection: PostgresConnection,
  names: readonly string[],
  ids: readonly number[],
  timeoutMs: number,
): Promise<Relations> {
  const ask = async (text: string, ...lists: readonly (readonly unknown[])[]) => {
    const values = lists.map((list) => JSON.stringify(list))
    const { rows } = await connection.execute({ text, values }, { codec: plain, timeoutMs })
    return rows
  }
  const tables = new Map<string | number, string>()
  const parents = new Set<string>()
  for (const { name, id, table, parent } of await ask(tablesQuery, names, ids)) {
    if (typeof table !== 'string') continue
    if (parent === 'true') parents.add(table)
    if (names.some((wanted) => wanted === name)) tables.set(String(name), table)
    if (ids.includes(Number(id))) tables.set(Number(id), table)
  }
  if (tables.size === 0) return { tables, parents, unindexed: [] }
  const found = await ask(unindexedQuery, [...new Set(tables.values())])
  return { tables, parents, unindexed: found.map(foreignKey) }
}

function foreignKey(row: Readonly<Record<string, unknown>>): UnindexedForeignKey {
  const schema = String(row.schema)
  const table = String(row.table)
  const parsed: unknown = JSON.parse(String(row.columns))
  const columns = Array.isArray(parsed) ? parsed.map(String) : []
  // The server makes none of a partitioned table that way.
  const concurrently = row.kind === 'p' ? '' : ' CONCURRENTLY'
  return {
    name: String(row.name),
    schema,
    table,
    columns,
    references: { schema: String(row.parentSchema), table: String(row.parent) },
    remedy: `CREATE INDEX${concurrently} ON ${quoted(schema)}.${quoted(table)} (${columns.map(quoted).join(', ')})`,
  }
}
