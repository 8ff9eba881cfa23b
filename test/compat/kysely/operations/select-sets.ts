// Reading through the query builder: aggregates, windows, common table expressions, set operations, subqueries.

import { sql } from 'kysely'
import { jsonArrayFrom, jsonObjectFrom } from 'kysely/helpers/postgres'
import { about } from '../operation.js'

export const selectSetOperations = about('select', [
  {
    name: 'aggregates: count, sum, avg, min, max and what they come back as',
    run: ({ db }) =>
      db
        .selectFrom('person')
        .select((eb) => [
          eb.fn.countAll().as('all'),
          eb.fn.count('email').as('emails'),
          eb.fn.count('mood').distinct().as('moods'),
          eb.fn.sum('age').as('sum'),
          eb.fn.avg('age').as('avg'),
          eb.fn.min('age').as('min'),
          eb.fn.max('first_name').as('max'),
        ])
        .execute(),
  },
  {
    name: 'aggregates into arrays, texts and JSON, with a filter',
    run: ({ db }) =>
      db
        .selectFrom('person')
        .select((eb) => [
          sql<string[]>`array_agg(first_name order by id)`.as('names'),
          sql<string[]>`array_agg(mood order by id)`.as('moods'),
          sql<string>`string_agg(first_name, ', ' order by id)`.as('text'),
          eb.fn.jsonAgg('person').as('people'),
          eb.fn.countAll().filterWhere('age', '>', 70).as('old'),
        ])
        .execute(),
  },
  {
    name: 'group by and having',
    run: ({ db }) =>
      db
        .selectFrom('pet')
        .select((eb) => ['owner_id', eb.fn.countAll<string>().as('pets')])
        .groupBy('owner_id')
        .having((eb) => eb.fn.countAll(), '>', 1)
        .execute(),
  },
  {
    name: 'window functions',
    run: ({ db }) =>
      db
        .selectFrom('pet')
        .select((eb) => [
          'name',
          eb.fn
            .agg<string>('row_number')
            .over((over) => over.partitionBy('owner_id').orderBy('id'))
            .as('nth'),
          eb.fn.sum('weight').over().as('total'),
        ])
        .orderBy('id')
        .execute(),
  },
  {
    name: 'common table expressions',
    run: ({ db }) =>
      db
        .with('old', (cte) => cte.selectFrom('person').selectAll().where('age', '>', 60))
        .with('owned', (cte) => cte.selectFrom('pet').innerJoin('old', 'old.id', 'pet.owner_id').select('pet.name'))
        .selectFrom('owned')
        .selectAll()
        .execute(),
  },
  {
    name: 'a recursive common table expression',
    run: ({ db }) =>
      db
        .withRecursive('chain(id, depth)', (cte) =>
          cte
            .selectFrom('link')
            .select(['id', sql<number>`1`.as('depth')])
            .where('parent', 'is', null)
            .unionAll(
              cte
                .selectFrom('link')
                .innerJoin('chain', 'chain.id', 'link.parent')
                .select(['link.id', sql<number>`chain.depth + 1`.as('depth')]),
            ),
        )
        .selectFrom('chain')
        .selectAll()
        .execute(),
  },
  {
    name: 'a common table expression that writes',
    run: async ({ db }) => {
      const deleted = await db
        .with('gone', (cte) => cte.deleteFrom('pet').where('owner_id', '=', 1).returning(['name', 'species']))
        .selectFrom('gone')
        .selectAll()
        .orderBy('name')
        .execute()
      return { deleted, left: await db.selectFrom('pet').select('name').execute() }
    },
  },
  {
    name: 'union, union all, intersect and except',
    run: async ({ db }) => {
      const ids = db.selectFrom('person').select('id')
      const owners = db.selectFrom('pet').select('owner_id as id')
      return {
        union: await ids.union(owners).orderBy('id').execute(),
        unionAll: await ids.unionAll(owners).orderBy('id').execute(),
        intersect: await ids.intersect(owners).orderBy('id').execute(),
        except: await ids.except(owners).orderBy('id').execute(),
      }
    },
  },
  {
    name: 'distinct and distinct on',
    run: async ({ db }) => ({
      distinct: await db.selectFrom('pet').select('owner_id').distinct().orderBy('owner_id').execute(),
      distinctOn: await db
        .selectFrom('pet')
        .selectAll()
        .distinctOn('owner_id')
        .orderBy('owner_id')
        .orderBy('id')
        .execute(),
    }),
  },
  {
    name: 'limit, offset and fetch with ties',
    run: async ({ db }) => {
      const people = db
        .selectFrom('person')
        .select('first_name')
        .orderBy('age', (order) => order.desc().nullsLast())
      return [await people.limit(2).offset(1).execute(), await people.fetch(1, 'with ties').execute()]
    },
  },
  {
    name: 'rows of a relation as JSON within the row',
    run: ({ db }) =>
      db
        .selectFrom('person as p')
        .select((eb) => [
          'p.first_name',
          jsonArrayFrom(
            eb
              .selectFrom('pet')
              .select(['pet.name', 'pet.weight'])
              .whereRef('pet.owner_id', '=', 'p.id')
              .orderBy('pet.id'),
          ).as('pets'),
          jsonObjectFrom(
            eb.selectFrom('pet').select('pet.name').whereRef('pet.owner_id', '=', 'p.id').orderBy('pet.id').limit(1),
          ).as('first'),
        ])
        .orderBy('p.id')
        .execute(),
  },
  {
    name: 'scalar subquery, exists, case and coalesce',
    run: ({ db }) =>
      db
        .selectFrom('person as p')
        .select((eb) => [
          eb.selectFrom('pet').whereRef('owner_id', '=', 'p.id').select(eb.fn.countAll().as('n')).as('pets'),
          eb.case().when('age', '>', 70).then('old').when('age', '<', 18).then('young').else(null).end().as('stage'),
          eb.fn.coalesce('last_name', 'first_name').as('name'),
        ])
        .where((eb) => eb.exists(eb.selectFrom('person as q').whereRef('q.id', '=', 'p.id').select('q.id')))
        .orderBy('p.id')
        .execute(),
  },
])
