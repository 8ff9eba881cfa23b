// The names of all constraints in a database, or of those that somebody speaks of.

import type { NamedConstraint } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'
import { kinds } from './constraints-of.js'

/** Unique indexes that belong to no constraint are violated like one. NOT NULL goes by its column, as errors tell that. */
const query = `with named as (
  select c.contype::text as kind, r.relnamespace as schemaid, r.relname::text as "table", null as domain,
    c.conname::text as name, r.relispartition as partition
  from pg_catalog.pg_constraint c
  join pg_catalog.pg_class r on r.oid = c.conrelid
  where c.contype in ('p', 'u', 'x', 'f', 'c')
  union all
  select 'u', r.relnamespace, r.relname::text, null, ir.relname::text, r.relispartition
  from pg_catalog.pg_index i
  join pg_catalog.pg_class ir on ir.oid = i.indexrelid
  join pg_catalog.pg_class r on r.oid = i.indrelid
  where i.indisunique and not exists (
    select from pg_catalog.pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x')
  )
  union all
  select 'c', t.typnamespace, null, t.typname::text, c.conname::text, false
  from pg_catalog.pg_constraint c
  join pg_catalog.pg_type t on t.oid = c.contypid
  where c.contype = 'c'
  union all
  select 'n', r.relnamespace, r.relname::text, null, a.attname::text, r.relispartition
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class r on r.oid = a.attrelid
  where a.attnotnull and a.attnum > 0 and not a.attisdropped and r.relkind in ('r', 'p', 'f')
)
select named.kind, n.nspname::text as schema, named."table", named.domain, named.name, named.partition::text as partition
from named
join pg_catalog.pg_namespace n on n.oid = named.schemaid
where n.nspname <> 'information_schema' and pg_catalog.left(n.nspname::text, 3) <> 'pg_'
  and ($1::json is null or named.name in (select pg_catalog.json_array_elements_text($1::json)))
order by 2, 3, 4, 5`

/** @throws when it could not be asked */
export async function namedConstraints(
  connection: PostgresConnection,
  signal: AbortSignal,
  among?: readonly string[],
): Promise<readonly NamedConstraint[]> {
  const values = [among === undefined ? null : JSON.stringify(among)]
  const { rows } = await connection.execute({ text: query, values }, { codec: plain, signal, timeoutMs: 0 })
  return rows.map(({ kind, schema, table, domain, name, partition }) => ({
    kind: kinds[String(kind)] ?? 'not-null',
    schema: String(schema),
    table: typeof table === 'string' ? table : undefined,
    domain: typeof domain === 'string' ? domain : undefined,
    name: String(name),
    isPartition: partition === 'true',
  }))
}
