// What PostgreSQL's catalogue knows of a table's constraints. Everybody may read it, whatever their rights on the table, and no
// row security hides anything in it. Everything is named with its schema: an application's search_path may lead elsewhere.

import type { ConstraintFacts, ConstraintSite } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'

/** By `contype`. */
export const kinds: Readonly<Record<string, ConstraintFacts['kind']>> = {
  u: 'unique',
  p: 'primary-key',
  f: 'foreign-key',
  c: 'check',
  x: 'exclusion',
}

/** Of one table. More is what somebody generates. */
const MOST = 300

/** The names of a table's columns, each once, in that order. Expressions have the number 0. */
const columnsOf = (table: string, numbers: string) => `(
  select pg_catalog.json_agg(named.attname order by named.at)
  from (
    select a.attname, pg_catalog.min(k.at) as at
    from pg_catalog.unnest(${numbers}) with ordinality as k (attnum, at)
    join pg_catalog.pg_attribute a on a.attrelid = ${table} and a.attnum = k.attnum and a.attnum > 0
    group by a.attname
  ) as named
)`

/** Of the columns that an index's expressions are made of, not those of its predicate: only its own words tell them apart. */
const inExpressions = `(
  select pg_catalog.array_agg(found[1]::pg_catalog.int2)
  from pg_catalog.regexp_matches(i.indexprs::pg_catalog.text, ':varattno ([0-9]+)', 'g') as found
)`

const tableNamed = (schema: string, name: string) => `(
  select r.oid from pg_catalog.pg_class r
  join pg_catalog.pg_namespace n on n.oid = r.relnamespace
  where n.nspname = ${schema} and r.relname = ${name}
)`

/**
 * The constraints of a table, and its unique indexes that belong to none; beside each, and also where there is none, the
 * table it is a partition of. A partition's constraint leads to the one it was made from, as far up as that goes: by the
 * constraints themselves (foreign keys), by the indexes behind them, or by name, as checks are inherited. NOT NULL, which
 * has a name since PostgreSQL 18, is left out: no error tells it.
 */
const query = `with recursive place as (
  select ${tableNamed('$1', '$2')} as id
), every as (
  select c.oid as id, c.contype, c.conname as name, c.conrelid as tableid, c.conindid as indexid,
    c.conkey || ${inExpressions} as keys
  from place
  join pg_catalog.pg_constraint c on c.conrelid = place.id
  left join pg_catalog.pg_index i on i.indexrelid = c.conindid and c.contype in ('p', 'u', 'x')
  where c.contype in ('p', 'u', 'x', 'f', 'c')
  union all
  select null, 'u', r.relname, i.indrelid, i.indexrelid,
    (pg_catalog.string_to_array(i.indkey::pg_catalog.text, ' ')::pg_catalog.int2[])[1:i.indnkeyatts]
      || ${inExpressions}
  from place
  join pg_catalog.pg_index i on i.indrelid = place.id
  join pg_catalog.pg_class r on r.oid = i.indexrelid
  where i.indisunique
    and not exists (
      select from pg_catalog.pg_constraint c
      where c.conindid = i.indexrelid and c.conrelid = i.indrelid and c.contype in ('p', 'u', 'x')
    )
), own as (
  select every.*, pg_catalog.row_number() over () as at
  from every
  order by coalesce(every.name = $3, false) desc
  limit ${MOST}
), up (at, id, parent) as (
  select own.at, own.id, p.conparentid
  from own join pg_catalog.pg_constraint p on p.oid = own.id
  where own.contype = 'f'
  union all
  select u.at, u.parent, p.conparentid from up u join pg_catalog.pg_constraint p on p.oid = u.parent
), top as (
  -- foreign keys
  select u.at, c.conrelid as tableid, c.conname as name, c.oid as id
  from up u join pg_catalog.pg_constraint c on c.oid = u.id
  where u.parent = 0
  union all
  -- what has an index
  select own.at, i.indrelid, r.relname, null
  from own
  join pg_catalog.pg_index i on i.indexrelid = pg_catalog.pg_partition_root(own.indexid)
  join pg_catalog.pg_class r on r.oid = i.indexrelid
  where own.contype in ('u', 'p', 'x')
  union all
  -- checks
  select own.at, c.conrelid, c.conname, null
  from own
  join pg_catalog.pg_constraint c on c.conrelid = pg_catalog.pg_partition_root(own.tableid)
    and c.conname = own.name and c.contype = own.contype
  where own.contype = 'c'
)
select rn.nspname as root_schema, rr.relname as root_table,
  own.contype as kind, own.name, ${columnsOf('own.tableid', 'own.keys')} as columns,
  tn.nspname as top_schema, tr.relname as top_table, top.name as top_name,
  fn.nspname as references_schema, fr.relname as references_table,
  ${columnsOf('f.confrelid', 'f.confkey')} as references_columns
from place
left join pg_catalog.pg_class rr on rr.oid = pg_catalog.pg_partition_root(place.id) and rr.oid <> place.id
left join pg_catalog.pg_namespace rn on rn.oid = rr.relnamespace
left join own on true
left join top on top.at = own.at and (top.tableid <> own.tableid or top.name <> own.name)
left join pg_catalog.pg_class tr on tr.oid = top.tableid
left join pg_catalog.pg_namespace tn on tn.oid = tr.relnamespace
left join pg_catalog.pg_constraint f on f.contype = 'f' and f.oid = coalesce(top.id, own.id)
left join pg_catalog.pg_class fr on fr.oid = f.confrelid
left join pg_catalog.pg_namespace fn on fn.oid = fr.relnamespace`

/** @throws when it could not be asked */
export async function constraintsOf(
  { constraint, schema, table }: ConstraintSite,
  connection: PostgresConnection,
  signal: AbortSignal,
): Promise<readonly ConstraintFacts[]> {
  if (schema === undefined || table === undefined) return []
  const values = [schema, table, constraint ?? null]
  const { rows } = await connection.execute({ text: query, values }, { codec: plain, signal, timeoutMs: 0 })
  const byName = new Map<string, ConstraintFacts | undefined>()
  for (const row of rows) {
    const kind = kinds[String(row.kind)]
    if (kind === undefined) continue
    const name = String(row.name)
    // An index may have the name of a foreign key: which of them was violated is not known.
    byName.set(name, byName.has(name) ? undefined : factsIn(row, { kind, schema, table, name }))
  }
  const [row] = rows
  const partitionOf = siteOf(row?.root_schema, row?.root_table)
  const notNull: ConstraintFacts = { kind: 'not-null', schema, table, name: '', columns: [], partitionOf }
  return [notNull, ...[...byName.values()].filter((facts) => facts !== undefined)]
}

function factsIn(
  row: Readonly<Record<string, unknown>>,
  own: Pick<ConstraintFacts, 'kind' | 'schema' | 'table' | 'name'>,
): ConstraintFacts {
  const columns = namesIn(row.columns)
  const top = siteOf(row.top_schema, row.top_table)
  const leadsTo = siteOf(row.references_schema, row.references_table)
  return {
    ...own,
    columns,
    // A partition's columns may be in another order than the table's, but not have other names.
    partitionOf: top && { ...top, columns, name: String(row.top_name) },
    references: leadsTo && { ...leadsTo, columns: namesIn(row.references_columns) },
  }
}

function siteOf(schema: unknown, table: unknown): { schema: string; table: string } | undefined {
  return typeof schema === 'string' && typeof table === 'string' ? { schema, table } : undefined
}

function namesIn(json: unknown): string[] {
  const names: unknown = typeof json === 'string' ? JSON.parse(json) : undefined
  return Array.isArray(names) ? names.map(String) : []
}
