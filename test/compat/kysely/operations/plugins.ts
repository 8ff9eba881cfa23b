// Plugins, which see every query and every result, and withSchema.

import {
  CamelCasePlugin,
  DeduplicateJoinsPlugin,
  HandleEmptyInListsPlugin,
  type KyselyPlugin,
  ParseJSONResultsPlugin,
  replaceWithNoncontingentExpression,
  sql,
} from 'kysely'
import { jsonArrayFrom } from 'kysely/helpers/postgres'
import { about } from '../operation.js'

interface CamelDatabase {
  person: { id: number; firstName: string; lastName: string | null; createdAt: Date }
  pet: { id: number; ownerId: number; name: string }
}

export const pluginOperations = about('plugin', [
  {
    name: 'CamelCasePlugin renames columns both ways',
    run: async ({ open }) => {
      const db = open<CamelDatabase>({ plugins: [new CamelCasePlugin()] })
      return [
        await db.selectFrom('person').selectAll().where('firstName', '=', 'Moo').execute(),
        await db.insertInto('pet').values({ id: 50, ownerId: 1, name: 'camel' }).returning(['id', 'ownerId']).execute(),
        await sql`select 1 as snake_case, '{"inner_key": {"deep_key": 1}}'::jsonb as json_column`.execute(db),
      ]
    },
  },
  {
    name: 'CamelCasePlugin reaches into JSON, dates and buffers or leaves them',
    run: async ({ open }) => {
      const query = sql`select '{"inner_key": [{"deep_key": 1}]}'::jsonb as json_column, '\\x01'::bytea as some_bytes,
        now() > 'epoch' as is_later, '2024-01-01'::date as a_date, '1 day'::interval as an_interval, '(1,2)'::point as a_point`
      return [
        await query.execute(open({ plugins: [new CamelCasePlugin()] })),
        await query.execute(open({ plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })] })),
        await query.execute(open({ plugins: [new CamelCasePlugin({ upperCase: true })] })),
      ]
    },
  },
  {
    name: 'DeduplicateJoinsPlugin joins once what is joined twice',
    run: ({ open }) => {
      const db = open({ plugins: [new DeduplicateJoinsPlugin()] })
      return db
        .selectFrom('person as p')
        .innerJoin('pet', 'pet.owner_id', 'p.id')
        .innerJoin('pet', 'pet.owner_id', 'p.id')
        .select(['p.first_name', 'pet.name'])
        .orderBy('pet.id')
        .execute()
    },
  },
  {
    name: 'ParseJSONResultsPlugin parses texts that look like JSON',
    run: ({ open }) => {
      const db = open({ plugins: [new ParseJSONResultsPlugin()] })
      return db
        .selectFrom('person as p')
        .select((eb) => [
          'p.id',
          sql<unknown>`'{"a": [1, {"b": "2024-01-01"}]}'::text`.as('text'),
          jsonArrayFrom(
            eb.selectFrom('pet').select('pet.name').whereRef('pet.owner_id', '=', 'p.id').orderBy('pet.id'),
          ).as('pets'),
        ])
        .orderBy('p.id')
        .execute()
    },
  },
  {
    name: 'HandleEmptyInListsPlugin makes sense of an empty list',
    run: ({ open }) => {
      const db = open({ plugins: [new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })] })
      return Promise.all([
        db.selectFrom('person').select('id').where('id', 'in', []).execute(),
        db.selectFrom('person').select('id').where('id', 'not in', []).orderBy('id').execute(),
      ])
    },
  },
  {
    name: 'one of the application: sees one id from query to result, and may replace rows',
    run: async ({ db }) => {
      const queries = new WeakMap<object, string>()
      const plugin: KyselyPlugin = {
        transformQuery: ({ node, queryId }) => {
          queries.set(queryId, node.kind)
          return node
        },
        transformResult: async ({ result, queryId }) => ({
          ...result,
          rows: [...result.rows, { kind: queries.get(queryId), frozen: Object.isFrozen(result) }],
        }),
      }
      const observed = db.withPlugin(plugin)
      return [
        await observed.selectFrom('link').selectAll().orderBy('id').execute(),
        await observed
          .transaction()
          .execute((trx) => trx.selectFrom('link').select('id').where('id', '=', 1).execute()),
        await observed.withoutPlugins().selectFrom('link').select('id').where('id', '=', 1).execute(),
      ]
    },
  },
  {
    name: 'withSchema reads, writes and joins in another schema',
    run: async ({ db }) => {
      const archive = db.withSchema('archive')
      return [
        await archive.selectFrom('person').selectAll().execute(),
        await archive.insertInto('person').values({ id: 2, first_name: 'Grace' }).returning('first_name').execute(),
        await archive
          .selectFrom('person as p')
          .innerJoin('person as q', 'q.id', 'p.id')
          .select(['p.first_name', 'q.id'])
          .orderBy('q.id')
          .execute(),
        await db.selectFrom('archive.person').selectAll().orderBy('id').execute(),
      ]
    },
  },
  {
    name: 'withSchema of a schema that is not there',
    throws: true,
    run: ({ db }) => db.withSchema('nowhere').selectFrom('person').selectAll().execute(),
  },
])
