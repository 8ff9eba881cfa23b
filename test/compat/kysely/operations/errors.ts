// Errors: what an application's catch block reads.

import { CompiledQuery, type Kysely, sql } from 'kysely'
import { until } from '../../../support/until.js'
import { about, caught, type Operation } from '../operation.js'
import type { Database } from '../schema/database.js'

function failing(name: string, run: (db: Kysely<Database>) => Promise<unknown>): Operation {
  return { name, throws: true, run: ({ db }) => run(db) }
}

/** Rolls back to nothing: the statement alone, by raw text. */
function failingSql(name: string, text: string): Operation {
  return failing(name, (db) => sql.raw(text).execute(db))
}

function messageOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'message' in error ? error.message : error
}

const constraints = [
  failing('unique, by an insert', (db) =>
    db.insertInto('person').values({ first_name: 'J', email: 'jennifer@example.com' }).returningAll().execute(),
  ),
  failing('unique, by an update', (db) => db.updateTable('person').set({ email: 'x' }).execute()),
  failing('unique, over two columns', (db) => db.insertInto('pet').values({ owner_id: 1, name: 'Catto' }).execute()),
  failing('unique, of the primary key', (db) => db.insertInto('link').values({ id: 1, parent: null }).execute()),
  failing('foreign key, by an insert', (db) => db.insertInto('pet').values({ owner_id: 99, name: 'x' }).execute()),
  failing('foreign key, by a delete of what is referred to', (db) =>
    db.deleteFrom('person').where('id', '=', 1).execute(),
  ),
  failing('foreign key, by an update of what is referred to', (db) =>
    db.updateTable('person').set({ id: 99 }).where('id', '=', 1).execute(),
  ),
  failing('not null', (db) => sql`insert into pet (owner_id, name) values (1, ${null})`.execute(db)),
  failing('check', (db) => db.updateTable('account').set({ balance: -1 }).where('id', '=', 1).execute()),
  failing('exclusion', (db) => db.insertInto('booking').values({ room: 1, during: '[15,16)' }).execute()),
  failing('of a domain', async (db) => {
    await sql`create domain scratch.positive as int constraint is_positive check (value > 0)`.execute(db)
    return sql`select ${-1}::scratch.positive`.execute(db)
  }),
  failing('deferred, at COMMIT', (db) =>
    db.transaction().execute((trx) => trx.insertInto('link').values({ id: 10, parent: 99 }).execute()),
  ),
  failing('deferred, without a transaction', (db) => db.insertInto('link').values({ id: 10, parent: 99 }).execute()),
]

const statements = [
  failingSql('a syntax error', 'select * fron person'),
  failing('a syntax error with parameters', (db) => sql`select ${1}::int wher x`.execute(db)),
  failing('an unknown table', (db) => db.selectFrom(sql<{ id: number }>`persons`.as('p')).selectAll().execute()),
  failing('an unknown column, with a hint', (db) => sql`select first_nam from person where id = ${1}`.execute(db)),
  failingSql('an unknown function', 'select nothing_of_the_kind(1)'),
  failingSql('an unknown schema', 'select * from nowhere.person'),
  failingSql('an unknown type', "select 'x'::nothing"),
  failingSql('an ambiguous column', 'select id from person, pet'),
  failingSql('no grouping', 'select first_name, count(*) from person'),
  failingSql('a type mismatch', "select 1 = 'x'::text"),
  failing('two types for one parameter', (db) =>
    db.executeQuery(CompiledQuery.raw('select $1::int, $1::text || $1::date', ['1'])),
  ),
]

const values = [
  failing('a bad number', (db) => sql`select ${'x'}::int`.execute(db)),
  failingSql('a bad number as a literal', "select 'x'::int"),
  failing('a bad date', (db) => sql`select ${'2024-02-30'}::date`.execute(db)),
  failing('a bad uuid', (db) => sql`select ${'x'}::uuid`.execute(db)),
  failing('bad JSON', (db) => sql`select ${'{"a":'}::jsonb`.execute(db)),
  failing('a bad enum', (db) =>
    db
      .updateTable('person')
      .set({ mood: sql`${'furious'}` })
      .execute(),
  ),
  failing('a text that is too long', (db) =>
    db
      .insertInto('person')
      .values({ first_name: 'x'.repeat(51) })
      .execute(),
  ),
  failing('a number out of range', (db) => sql`select ${'2147483648'}::int`.execute(db)),
  failing('a numeric field overflow', (db) =>
    db.insertInto('pet').values({ owner_id: 1, name: 'x', weight: 1e9 }).execute(),
  ),
  failing('division by zero', (db) => sql`select ${1}::int / 0`.execute(db)),
  failing('division by zero in the tenth row', (db) =>
    sql`select 1 / (10 - n) from generate_series(1, 20) n`.execute(db),
  ),
  failingSql('more than one row from a subquery', 'select (select id from person)'),
]

const raised = [
  failingSql('raise exception', "do $$ begin raise exception 'on purpose: %', 42; end $$"),
  failingSql(
    'raise exception with a state and all fields',
    `do $$ begin raise exception using errcode = 'MY001', message = 'mine', detail = 'in detail', hint = 'a hint',
       schema = 'a schema', table = 'a table', column = 'a column', datatype = 'a type', constraint = 'a constraint'; end $$`,
  ),
  failingSql(
    'raise exception in the name of a constraint',
    `do $$ begin raise unique_violation using constraint = 'mine'; end $$`,
  ),
  failingSql('a failing assertion', 'do $$ begin assert 1 = 2, $x$not equal$x$; end $$'),
  failing('from a function within a function', async (db) => {
    await sql`create function scratch.inner_one() returns int language plpgsql as $$ begin return 1 / 0; end $$`.execute(
      db,
    )
    await sql`create function scratch.outer_one() returns int language plpgsql as $$ begin return scratch.inner_one(); end $$`.execute(
      db,
    )
    return sql`select scratch.outer_one()`.execute(db)
  }),
  failing('from a trigger', async (db) => {
    await sql`create table scratch.watched (id int);
      create function scratch.refuse() returns trigger language plpgsql as $$ begin raise 'refused by %', tg_name; end $$;
      create trigger watch before insert on scratch.watched execute function scratch.refuse()`.execute(db)
    return sql`insert into scratch.watched values (${1})`.execute(db)
  }),
]

const situations: Operation[] = [
  failing('writing in a read-only transaction', (db) =>
    db
      .transaction()
      .setAccessMode('read only')
      .execute((trx) => trx.deleteFrom('pet').execute()),
  ),
  failing('what a transaction must not contain', (db) =>
    db.transaction().execute((trx) => sql`vacuum account`.execute(trx)),
  ),
  failing('a savepoint outside a transaction', (db) => sql`savepoint x`.execute(db)),
  {
    name: 'no privilege',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        await sql`set role pg_monitor`.execute(one)
        const error = await caught(one.selectFrom('person').selectAll().execute())
        await sql`reset role`.execute(one)
        return error
      }),
  },
  failing('a statement timeout of the server', (db) =>
    db.transaction().execute(async (trx) => {
      await sql`set local statement_timeout = 20`.execute(trx)
      await sql`select pg_sleep(30)`.execute(trx)
    }),
  ),
  {
    name: 'a lock timeout of the server',
    run: ({ db }) =>
      db.transaction().execute(async (holder) => {
        await holder.updateTable('person').set({ age: 1 }).where('id', '=', 1).execute()
        return caught(
          db.transaction().execute(async (trx) => {
            await sql`set local lock_timeout = 20`.execute(trx)
            await trx.updateTable('person').set({ age: 2 }).where('id', '=', 1).execute()
          }),
        )
      }),
  },
  {
    name: 'a deadlock, for the one that the server chooses',
    run: async ({ db, admin }) => {
      const touch = (trx: Kysely<Database>, id: number) =>
        trx.updateTable('person').set({ age: 1 }).where('id', '=', id).execute()
      const [victim, survivor] = [await db.startTransaction().execute(), await db.startTransaction().execute()]
      // Who looks for a deadlock is its victim, so only one does.
      await sql`set local deadlock_timeout = '10ms'`.execute(victim)
      await sql`set local deadlock_timeout = '1h'`.execute(survivor)
      await touch(victim, 1)
      await touch(survivor, 2)
      const survived = touch(survivor, 1)
      const waiting = async () => {
        const waiters = await admin.query(
          `select from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`,
        )
        return waiters.length === 1
      }
      await until(waiting, { what: 'one transaction to wait for the other' })
      const error = await caught(touch(victim, 2))
      await victim.rollback().execute()
      await survived
      await survivor.commit().execute()
      const code = typeof error === 'object' && error !== null && 'code' in error && error.code
      // The rest of it tells process ids.
      return [code, messageOf(error)]
    },
  },
  {
    name: 'a serialization failure',
    run: async ({ db }) => {
      const start = () => db.startTransaction().setIsolationLevel('serializable').execute()
      const [one, other] = [await start(), await start()]
      for (const trx of [one, other])
        await trx
          .selectFrom('account')
          .select((eb) => eb.fn.sum('balance').as('s'))
          .execute()
      await one.updateTable('account').set({ balance: 1 }).where('id', '=', 1).execute()
      await other.updateTable('account').set({ balance: 1 }).where('id', '=', 2).execute()
      await one.commit().execute()
      const error = await caught(other.commit().execute())
      await other.rollback().execute()
      return error
    },
  },
  {
    name: 'the stack leads to where the query was awaited',
    run: async ({ db }) => {
      const error = await caught(sql`select 1 / 0`.execute(db))
      return error instanceof Error && /operations[/\\]errors/.test(error.stack ?? '')
    },
  },
  {
    name: 'a failed query does not spoil those beside it',
    run: async ({ open }) => {
      const db = open({ max: 2 })
      const results = await Promise.allSettled(
        Array.from({ length: 12 }, async (_, n) => (await sql`select 10 / (${n}::int % 3) as q`.execute(db)).rows),
      )
      return results.map((result) => (result.status === 'fulfilled' ? result.value : messageOf(result.reason)))
    },
  },
]

export const errorOperations = [
  ...about('constraint', constraints),
  ...about('error of a statement', statements),
  ...about('error of a value', values),
  ...about('error raised', raised),
  ...about('error', situations),
]
