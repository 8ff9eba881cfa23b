// The sql template and compiled queries: what is not built by the query builder, and the odd statements only it can send.

import { CompiledQuery, sql } from 'kysely'
import { about, caught } from '../operation.js'

export const rawSqlOperations = about('sql', [
  {
    name: 'rows of a template with parameters',
    run: ({ db }) => sql`select ${1}::int as a, ${'two'}::text as b, ${null}::int as c`.execute(db),
  },
  {
    name: 'references, tables, identifiers, joined lists, literals and raw text',
    run: ({ db }) =>
      sql`select ${sql.ref('person.first_name')}, ${sql.lit("it's")} as lit, ${sql.lit(7)} as n, ${sql.raw('1 + 1')} as two
          from ${sql.table('public.person')}
          where ${sql.id('person', 'id')} in (${sql.join([1, 2])})
            and first_name in (${sql.join(['Jennifer', sql.lit('Arnold'), sql`lower(${'X'})`], sql`, `)})
          order by id`.execute(db),
  },
  {
    name: 'a value, a reference and a literal by name',
    run: ({ db }) =>
      sql`select ${sql.val(5)}::int + 1 as six, ${sql.lit(null)} as nothing, ${sql.lit(true)} as yes`.execute(db),
  },
  {
    name: 'an insert, an update and a delete tell numAffectedRows',
    run: async ({ db }) => [
      await sql`insert into account (owner, balance) values ('x', 1), ('y', 2)`.execute(db),
      await sql`update account set balance = balance + ${1} returning id, balance`.execute(db),
      await sql`delete from account where owner = ${'nobody'}`.execute(db),
    ],
  },
  {
    name: 'a merge tells numAffectedRows, a select does not',
    run: async ({ db }) => [
      await sql`merge into account a using link l on l.id = a.id when matched then delete`.execute(db),
      await sql`select * from account`.execute(db),
      await sql`values (1, 'a'), (2, 'b')`.execute(db),
      await sql`table link`.execute(db),
    ],
  },
  {
    name: 'statements without rows or counts',
    run: async ({ db }) => [
      await sql`create table scratch.made (id int)`.execute(db),
      await sql`create table scratch.copied as select * from person`.execute(db),
      await sql`truncate scratch.copied`.execute(db),
      await sql`comment on table scratch.made is 'x'`.execute(db),
      await sql`do $$ begin perform 1; end $$`.execute(db),
      await sql`show timezone`.execute(db),
      await sql`analyze scratch.made`.execute(db),
    ],
  },
  {
    name: 'vacuum, which no transaction may surround',
    run: ({ db }) => sql`vacuum account`.execute(db),
  },
  {
    name: 'a procedure with an out parameter, called',
    run: async ({ db }) => {
      await sql`create procedure scratch.twice(inout n int) language plpgsql as $$ begin n := n * 2; end $$`.execute(db)
      return sql`call scratch.twice(${21})`.execute(db)
    },
  },
  {
    name: 'a procedure that commits by itself',
    run: async ({ db }) => {
      await sql`create procedure scratch.add() language plpgsql as $$
        begin insert into link values (10, null); commit; insert into link values (11, null); rollback; end $$`.execute(
        db,
      )
      await sql`call scratch.add()`.execute(db)
      return db.selectFrom('link').select('id').orderBy('id').execute()
    },
  },
  {
    name: 'functions that return sets, records and nothing',
    run: ({ db }) =>
      sql`select s, (row(1, 'a')) as r, p as whole, pg_sleep(0) as v
          from generate_series(1, 2) s, person p where p.id = 1`.execute(db),
  },
  {
    name: 'several statements in one text without parameters',
    run: async ({ db }) => [
      await sql`insert into link values (20, null); insert into link values (21, 20); select * from link`.execute(db),
      await db.selectFrom('link').select('id').orderBy('id').execute(),
    ],
  },
  {
    name: 'several statements in one text are undone together when one fails',
    run: async ({ db }) => [
      await caught(sql`insert into link values (20, null); insert into link values (1, null)`.execute(db)),
      await db.selectFrom('link').select('id').orderBy('id').execute(),
    ],
  },
  {
    name: 'several statements in one text with parameters are refused',
    throws: true,
    run: ({ db }) => sql`select ${1}::int; select 2`.execute(db),
  },
  {
    name: 'an empty text, and one of nothing but a comment',
    run: async ({ db }) => [
      await sql``.execute(db),
      await sql`-- nothing`.execute(db),
      await sql`;`.execute(db),
      await sql`select 1 as one; -- and no more`.execute(db),
    ],
  },
  {
    name: 'question marks, dollars, colons and percent signs are left alone',
    run: ({ db }) =>
      sql`select '{"a":1}'::jsonb ? 'a' as has, $$it's $1$$ as quoted, '$1 %s :x' as text, ${'p'}::text as p`.execute(
        db,
      ),
  },
  {
    name: 'one parameter used where its type differs each time',
    run: ({ db }) => sql`select ${1}::int + ${2}::bigint as sum, ${1.5}::float8 as f, ${'1'}::int as i`.execute(db),
  },
  {
    name: 'a parameter whose type the server must guess',
    run: async ({ db }) => [
      await sql`select ${'x'} as guessed`.execute(db),
      await sql`select ${5} as guessed, ${5} || 'a' as text, abs(${-5}) as number`.execute(db),
      await caught(sql`select pg_typeof(${5}) as type`.execute(db)),
      await sql`select coalesce(${null}, ${'y'}) as text`.execute(db),
      await sql`select id from person limit ${2} offset ${1}`.execute(db),
    ],
  },
  {
    name: 'a compiled query is executed as it is',
    run: ({ db }) => {
      const compiled = db.selectFrom('person').select('first_name').where('id', '=', 2).compile()
      return Promise.all([compiled.sql, compiled.parameters, db.executeQuery(compiled)])
    },
  },
  {
    name: 'a compiled query twice, and one made from text and parameters',
    run: async ({ db }) => {
      const compiled = db
        .updateTable('account')
        .set((eb) => ({ balance: eb('balance', '+', 1) }))
        .compile()
      return [
        await db.executeQuery(compiled),
        await db.executeQuery(compiled),
        await db.executeQuery(CompiledQuery.raw('select balance from account where id = $1', [1])),
        await db.executeQuery(sql<{ n: number }>`select ${1}::int as n`.compile(db)),
        await db.executeQuery(db.deleteFrom('booking')),
      ]
    },
  },
  {
    name: 'the parameters of a compiled query are not changed by running it',
    run: async ({ db }) => {
      const parameters: readonly unknown[] = [new Date(0), [1, null], { a: 1 }, Buffer.from('x'), undefined]
      const query = CompiledQuery.raw('select $1::timestamptz, $2::int[], $3::jsonb, $4::bytea, $5::int', [
        ...parameters,
      ])
      await db.executeQuery(query)
      return query.parameters
    },
  },
  {
    name: 'the result of a changed table, on a connection that has seen the old one',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      await sql`create table scratch.changing as select 1 as a`.execute(db)
      const select = sql`select * from scratch.changing where a > ${0}`
      const seen: unknown[] = []
      for (let turn = 0; turn < 3; turn += 1) seen.push((await select.execute(db)).rows)
      await sql`alter table scratch.changing add b text default 'new'`.execute(db)
      seen.push((await select.execute(db)).rows)
      await sql`alter table scratch.changing alter a type text`.execute(db)
      return [...seen, await caught(select.execute(db))]
    },
  },
  {
    name: 'copy from stdin has nothing to read, and the connection serves the next',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      return [await caught(sql`copy link from stdin`.execute(db)), (await sql`select 1 as fine`.execute(db)).rows]
    },
  },
  {
    name: 'copy to stdout gives no rows, and the connection serves the next',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      return [await sql`copy link to stdout`.execute(db), (await sql`select 1 as fine`.execute(db)).rows]
    },
  },
  {
    name: 'listen, notify and unlisten',
    run: async ({ db }) => [
      await sql`listen news`.execute(db),
      await sql`notify news, 'hello'`.execute(db),
      await sql`unlisten *`.execute(db),
    ],
  },
  {
    name: 'notices do not disturb a result',
    run: async ({ db }) => {
      await sql`do $$ begin raise notice 'look'; raise warning 'out'; end $$`.execute(db)
      return sql`drop table if exists scratch.nothing`.execute(db)
    },
  },
  {
    name: 'a cursor declared and fetched by hand within a transaction',
    run: ({ db }) =>
      db
        .transaction()
        .execute(async (trx) => [
          await sql`declare c cursor for select id from person order by id`.execute(trx),
          await sql`fetch 2 from c`.execute(trx),
          await sql`move 1 from c`.execute(trx),
          await sql`fetch all from c`.execute(trx),
          await sql`close c`.execute(trx),
        ]),
  },
  {
    name: 'prepare, execute and deallocate by hand on one connection',
    run: ({ db }) =>
      db
        .connection()
        .execute(async (one) => [
          await sql`prepare by_hand (int) as select first_name from person where id = $1`.execute(one),
          await sql`execute by_hand (2)`.execute(one),
          await sql`deallocate by_hand`.execute(one),
        ]),
  },
])
