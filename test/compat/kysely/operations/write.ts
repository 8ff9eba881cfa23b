// Writing through the query builder: what comes back, and how many rows it says it touched.

import { type Kysely, sql } from 'kysely'
import { mergeAction } from 'kysely/helpers/postgres'
import { about } from '../operation.js'
import type { Database } from '../schema/database.js'

const newcomer = { first_name: 'Ada', age: 36, email: 'ada@example.com' }

function pets(db: Kysely<Database>) {
  return db.selectFrom('pet').select(['id', 'owner_id', 'name', 'weight']).orderBy('id').execute()
}

export const insertOperations = about('insert', [
  {
    name: 'one row tells numInsertedOrUpdatedRows and no id',
    run: ({ db }) => db.insertInto('person').values(newcomer).execute(),
  },
  {
    name: 'executeTakeFirst tells numInsertedOrUpdatedRows',
    run: ({ db }) => db.insertInto('person').values(newcomer).executeTakeFirst(),
  },
  {
    name: 'returning gives the columns asked for',
    run: ({ db }) => db.insertInto('person').values(newcomer).returning(['id', 'first_name as name']).execute(),
  },
  {
    name: 'returningAll gives defaults as the server filled them in',
    run: ({ db }) => db.insertInto('person').values(newcomer).returningAll().executeTakeFirstOrThrow(),
  },
  {
    name: 'many rows, with keys that only some have',
    run: ({ db }) =>
      db
        .insertInto('person')
        .values([newcomer, { first_name: 'Bob' }, { first_name: 'Cy', mood: 'ok', created_at: new Date(0) }])
        .returningAll()
        .execute(),
  },
  {
    name: 'many rows at once count each',
    run: async ({ db }) => {
      const rows = Array.from({ length: 1000 }, (_, n) => ({ owner_id: 1, name: `pet ${n}`, weight: n / 4 }))
      const result = await db.insertInto('pet').values(rows).executeTakeFirst()
      return [
        result,
        await db
          .selectFrom('pet')
          .select((eb) => eb.fn.sum('weight').as('w'))
          .execute(),
      ]
    },
  },
  {
    name: 'forty thousand parameters in one statement',
    run: ({ db }) =>
      db
        .insertInto('pet')
        .values(Array.from({ length: 20_000 }, (_, n) => ({ owner_id: 1, name: `${n}` })))
        .executeTakeFirst(),
  },
  {
    name: 'an undefined value is left to the default',
    run: ({ db }) =>
      db
        .insertInto('person')
        .values({ ...newcomer, created_at: undefined, mood: undefined })
        .returningAll()
        .execute(),
  },
  {
    name: 'expressions as values, and default values',
    run: async ({ db }) => [
      await db
        .insertInto('person')
        .values((eb) => ({
          first_name: sql`upper(${'ada'})`,
          age: eb.selectFrom('person').select((inner) => inner.fn.max('age').as('age')),
        }))
        .returning(['first_name', 'age'])
        .execute(),
      await db.insertInto('specimen').defaultValues().returningAll().execute(),
    ],
  },
  {
    name: 'from a query',
    run: async ({ db }) => {
      const result = await db
        .insertInto('pet')
        .columns(['owner_id', 'name'])
        .expression((eb) => eb.selectFrom('person').select(['id', 'first_name']))
        .executeTakeFirst()
      return [result, await pets(db)]
    },
  },
  {
    name: 'onConflict do nothing counts no row and returns none',
    run: async ({ db }) => {
      const again = db.insertInto('person').values({ first_name: 'J', email: 'jennifer@example.com' })
      return [
        await again.onConflict((conflict) => conflict.column('email').doNothing()).executeTakeFirst(),
        await again
          .onConflict((conflict) => conflict.doNothing())
          .returningAll()
          .execute(),
      ]
    },
  },
  {
    name: 'onConflict do update counts and returns the updated row',
    run: async ({ db }) => {
      const upsert = db
        .insertInto('person')
        .values({ first_name: 'Jen', email: 'jennifer@example.com', age: 1 })
        .onConflict((conflict) =>
          conflict
            .constraint('person_email_key')
            .doUpdateSet((eb) => ({ first_name: eb.ref('excluded.first_name'), age: eb('person.age', '+', 1) })),
        )
      return [await upsert.executeTakeFirst(), await upsert.returning(['id', 'first_name', 'age']).execute()]
    },
  },
  {
    name: 'onConflict do update where the condition fails touches nothing',
    run: ({ db }) =>
      db
        .insertInto('person')
        .values({ first_name: 'Jen', email: 'jennifer@example.com' })
        .onConflict((conflict) => conflict.column('email').doUpdateSet({ age: 1 }).where('person.age', '<', 10))
        .executeTakeFirst(),
  },
])

export const updateOperations = about('update', [
  {
    name: 'tells numUpdatedRows',
    run: ({ db }) => db.updateTable('person').set({ mood: 'happy' }).where('age', '>', 60).execute(),
  },
  {
    name: 'of no row tells zero',
    run: ({ db }) => db.updateTable('person').set({ age: 1 }).where('id', '=', -1).executeTakeFirst(),
  },
  {
    name: 'by an expression, returning',
    run: ({ db }) =>
      db
        .updateTable('person')
        .set((eb) => ({ age: eb('age', '+', 1), last_name: null }))
        .set('first_name', 'X')
        .where('id', '=', 1)
        .returningAll()
        .execute(),
  },
  {
    name: 'from another table',
    run: async ({ db }) => {
      const result = await db
        .updateTable('pet')
        .from('person')
        .set((eb) => ({ name: eb.ref('person.first_name') }))
        .whereRef('person.id', '=', 'pet.owner_id')
        .where('pet.species', '!=', 'dog')
        .executeTakeFirst()
      return [result, await pets(db)]
    },
  },
])

export const deleteOperations = about('delete', [
  {
    name: 'tells numDeletedRows',
    run: ({ db }) => db.deleteFrom('pet').where('owner_id', '=', 1).execute(),
  },
  {
    name: 'using another table, returning',
    run: ({ db }) =>
      db
        .deleteFrom('pet')
        .using('person')
        .whereRef('person.id', '=', 'pet.owner_id')
        .where('person.first_name', '=', 'Arnold')
        .returning(['pet.name', 'person.first_name'])
        .execute(),
  },
])

export const mergeOperations = about('merge', [
  {
    name: 'updates, inserts and deletes, and tells numChangedRows',
    run: async ({ db }) => {
      await db.insertInto('link').values({ id: 9, parent: null }).execute()
      const result = await db
        .mergeInto('account as a')
        .using('link as l', 'l.id', 'a.id')
        .whenMatchedAnd('a.id', '=', 1)
        .thenDelete()
        .whenMatched()
        .thenUpdateSet({ balance: 7 })
        .whenNotMatched()
        .thenInsertValues({ owner: 'merged', balance: 1 })
        .executeTakeFirstOrThrow()
      return [result, await db.selectFrom('account').selectAll().orderBy('id').execute()]
    },
  },
  {
    name: 'returning says which action each row saw',
    since: 170_000,
    run: ({ db }) =>
      db
        .mergeInto('account as a')
        .using('link as l', 'l.id', 'a.id')
        .whenMatched()
        .thenUpdateSet({ balance: 7 })
        .returning([mergeAction().as('action'), 'a.id', 'a.balance'])
        .execute(),
  },
])
