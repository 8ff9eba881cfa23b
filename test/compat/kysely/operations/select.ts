// Reading through the query builder: columns, conditions, joins, locks, and the forms of the result.

import { NoResultError, type QueryNode, sql } from 'kysely'
import { about } from '../operation.js'

class PersonMissing extends Error {
  constructor(node: QueryNode) {
    super(`no person: ${node.kind}`)
  }
}

export const selectOperations = about('select', [
  {
    name: 'all columns in the order of the table',
    run: ({ db }) => db.selectFrom('person').selectAll().orderBy('id').execute(),
  },
  {
    name: 'chosen columns under other names',
    run: ({ db }) => db.selectFrom('person as p').select(['p.id', 'p.first_name as name']).orderBy('p.id').execute(),
  },
  {
    name: 'no rows are an empty array',
    run: ({ db }) => db.selectFrom('person').selectAll().where('id', '=', -1).execute(),
  },
  {
    name: 'where with and, or, not, in, between, like and null',
    run: ({ db }) =>
      db
        .selectFrom('person')
        .select('first_name')
        .where((eb) =>
          eb.or([
            eb.and([eb('age', 'in', [55, 77]), eb.between('id', 1, 2), eb('first_name', 'ilike', 'j%')]),
            eb('last_name', 'is', null),
            eb.and([eb.not(eb('email', 'is not', null)), eb('age', '>', 70)]),
          ]),
        )
        .orderBy('id')
        .execute(),
  },
  {
    name: 'where an empty list is looked in',
    throws: true,
    run: ({ db }) => db.selectFrom('person').selectAll().where('id', 'in', []).execute(),
  },
  {
    name: 'a number compared with what came back as one',
    run: async ({ db }) => {
      const { id } = await db.selectFrom('person').select('id').orderBy('id', 'desc').executeTakeFirstOrThrow()
      return db.selectFrom('person').select('first_name').where('id', '=', id).execute()
    },
  },
  {
    name: 'inner and left join',
    run: ({ db }) =>
      db
        .selectFrom('person as p')
        .leftJoin('pet', 'pet.owner_id', 'p.id')
        .innerJoin('person as same', 'same.id', 'p.id')
        .select(['p.first_name', 'pet.name', 'pet.weight', 'same.id'])
        .orderBy('p.id')
        .orderBy('pet.id')
        .execute(),
  },
  {
    name: 'right, full and cross join',
    run: ({ db }) =>
      db
        .selectFrom('pet')
        .rightJoin('person as p', 'p.id', 'pet.owner_id')
        .fullJoin('account as a', 'a.id', 'p.id')
        .crossJoin('link as l')
        .select(['pet.name', 'p.first_name', 'a.owner', 'l.id'])
        .orderBy('p.id')
        .orderBy('pet.id')
        .orderBy('l.id')
        .execute(),
  },
  {
    name: 'lateral join',
    run: ({ db }) =>
      db
        .selectFrom('person as p')
        .leftJoinLateral(
          (eb) =>
            eb
              .selectFrom('pet')
              .whereRef('pet.owner_id', '=', 'p.id')
              .select(['pet.name as heaviest', 'pet.weight'])
              .orderBy('pet.weight', (order) => order.desc().nullsLast())
              .limit(1)
              .as('top'),
          (join) => join.onTrue(),
        )
        .select(['p.first_name', 'top.heaviest', 'top.weight'])
        .orderBy('p.id')
        .execute(),
  },
  {
    name: 'two columns of one name: the row keeps the last, in the place of the first',
    run: ({ db }) => sql`select 1 as a, 2 as b, 3 as a`.execute(db),
  },
  {
    name: 'a row of no columns',
    run: ({ db }) => sql`select from person where id <= 2`.execute(db),
  },
  {
    name: 'columns without a name of their own and with odd ones',
    run: ({ db }) =>
      sql`select 1, 'x', 2 as "%", 3 as "A.b", 4 as "a b", 5 as "constructor", now() > 'epoch'`.execute(db),
  },
  {
    name: 'for update skip locked passes over what another transaction holds',
    run: ({ db }) =>
      db.transaction().execute(async (holder) => {
        await holder.selectFrom('person').select('id').where('id', '=', 1).forUpdate().execute()
        return db
          .transaction()
          .execute((other) =>
            other
              .selectFrom('person')
              .select('id')
              .where('id', '<', 4)
              .orderBy('id')
              .forUpdate()
              .skipLocked()
              .execute(),
          )
      }),
  },
  {
    name: 'for update nowait fails on what another transaction holds',
    throws: true,
    run: ({ db }) =>
      db.transaction().execute(async (holder) => {
        await holder.selectFrom('person').select('id').where('id', '=', 1).forUpdate().execute()
        return db.selectFrom('person').select('id').forUpdate().noWait().execute()
      }),
  },
  {
    name: 'tuples',
    run: ({ db }) =>
      db
        .selectFrom('pet')
        .select('name')
        .where((eb) => eb(eb.refTuple('owner_id', 'name'), 'in', [eb.tuple(1, 'Doggo'), eb.tuple(2, 'Hammo')]))
        .orderBy('id')
        .execute(),
  },
  {
    name: 'a view',
    run: ({ db }) => db.selectFrom('adult').selectAll().orderBy('id').execute(),
  },
  {
    name: '$if adds a part only when asked to',
    run: async ({ db }) => {
      const named = (withAge: boolean) =>
        db
          .selectFrom('person')
          .select('first_name')
          .$if(withAge, (query) => query.select('age'))
          .orderBy('id')
          .executeTakeFirst()
      return [await named(true), await named(false)]
    },
  },
  {
    name: 'dynamic references and tables',
    run: async ({ db }) => {
      const { ref, table } = db.dynamic
      return db
        .selectFrom(table('person').as('t'))
        .select(ref<'first_name'>('t.first_name'))
        .where(ref('t.age'), '>', 60)
        .orderBy(ref('t.age'), 'desc')
        .execute()
    },
  },
  {
    name: 'executeTakeFirst gives the first row, or undefined',
    run: async ({ db }) => [
      await db.selectFrom('person').select('id').orderBy('id', 'desc').executeTakeFirst(),
      await db.selectFrom('person').select('id').where('id', '=', -1).executeTakeFirst(),
    ],
  },
  {
    name: 'executeTakeFirstOrThrow gives the first row',
    run: ({ db }) => db.selectFrom('person').select('id').orderBy('id').executeTakeFirstOrThrow(),
  },
  {
    name: 'executeTakeFirstOrThrow throws NoResultError',
    throws: true,
    run: ({ db }) => db.selectFrom('person').select('id').where('id', '=', -1).executeTakeFirstOrThrow(),
  },
  {
    name: 'executeTakeFirstOrThrow throws the error it was given, by class or by function',
    run: async ({ db }) => {
      const nobody = db.selectFrom('person').select('id').where('id', '=', -1)
      const errors: unknown[] = []
      await nobody.executeTakeFirstOrThrow(PersonMissing).catch((error: unknown) => errors.push(error))
      await nobody
        .executeTakeFirstOrThrow((node) => new Error(`nothing from a ${node.kind}`))
        .catch((error: unknown) => errors.push(error))
      await nobody.executeTakeFirstOrThrow().catch((error: unknown) => errors.push(error instanceof NoResultError))
      return errors
    },
  },
  {
    name: 'explain',
    run: ({ db }) => db.selectFrom('person').selectAll().where('id', '=', 1).explain('text', sql`costs off`),
  },
  {
    name: 'ten thousand rows and a text of a megabyte',
    run: async ({ db }) => {
      const { rows } = await sql<{ n: number; t: string }>`
        select n, repeat(chr(65 + n % 26), 10) as t from generate_series(1, 10000) as n`.execute(db)
      const { rows: long } = await sql<{ t: string }>`select repeat('é', 500000) as t`.execute(db)
      return [rows.length, rows[0], rows.at(-1), long[0]?.t.length]
    },
  },
  {
    name: 'a hundred queries at once over five connections, each with its own answer',
    run: ({ db }) =>
      Promise.all(
        Array.from({ length: 100 }, async (_, n) => {
          const { rows } = await sql<{ n: number }>`select ${n}::int as n`.execute(db)
          return rows[0]?.n
        }),
      ),
  },
])
