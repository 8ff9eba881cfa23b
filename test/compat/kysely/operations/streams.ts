// Streaming: rows in chunks by a server-side cursor.

import { CamelCasePlugin, type Kysely, sql } from 'kysely'
import { about, caught, collect } from '../operation.js'
import type { Database } from '../schema/database.js'

/** A select that yields 1 to `upTo` and fails after `fine` rows, by dividing by zero. */
function numbers(db: Kysely<Database>, upTo: number, fine = upTo) {
  return db
    .selectFrom(sql<{ n: number }>`generate_series(1, ${upTo}::int)`.as<'numbers'>(sql`numbers(n)`))
    .select([sql<number>`n`.as('n'), sql<number>`n / (case when n > ${fine}::int then 0 else 1 end)`.as('same')])
}

export const streamOperations = about('stream', [
  {
    name: 'yields all rows, parsed as an array of rows is',
    run: ({ db }) => collect(db.selectFrom('person').selectAll().orderBy('id').stream()),
  },
  {
    name: 'in chunks of one, of fewer and of more than there are',
    run: ({ db }) =>
      Promise.all(
        [1, 2, 3, 4, 100].map((chunk) => collect(db.selectFrom('person').select('id').orderBy('id').stream(chunk))),
      ),
  },
  {
    name: 'of no rows',
    run: ({ db }) => collect(db.selectFrom('person').selectAll().where('id', '=', -1).stream(10)),
  },
  {
    name: 'of thousands of rows',
    run: async ({ db }) => {
      let sum = 0
      for await (const { n } of numbers(db, 5000).stream(300)) sum += n
      return sum
    },
  },
  {
    name: 'broken off early gives its connection back',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const seen: number[] = []
      for await (const { n } of numbers(db, 5000).stream(10)) {
        seen.push(n)
        if (n === 15) break
      }
      return [seen, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'broken off by an error of the reader',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const error = await caught(
        (async () => {
          for await (const { n } of numbers(db, 5000).stream(10)) if (n === 5) throw new RangeError('mine')
        })(),
      )
      return [error, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'that fails in the middle yields what came before',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const seen: number[] = []
      const error = await caught(
        (async () => {
          for await (const { n } of numbers(db, 100, 25).stream(10)) seen.push(n)
        })(),
      )
      return [seen, error, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'that fails at once',
    throws: true,
    run: ({ db }) => collect(db.selectFrom(sql<{ a: number }>`nowhere`.as('x')).selectAll().stream()),
  },
  {
    name: 'that fails on a parameter',
    throws: true,
    run: ({ db }) => collect(db.selectFrom('person').select('id').where(sql<boolean>`id = ${'x'}::int`).stream()),
  },
  {
    name: 'inside a transaction sees its rows and leaves it open',
    run: ({ db }) =>
      db.transaction().execute(async (trx) => {
        await trx.insertInto('link').values({ id: 10, parent: null }).execute()
        const streamed = await collect(trx.selectFrom('link').select('id').orderBy('id').stream(1))
        await trx.insertInto('link').values({ id: 11, parent: null }).execute()
        return [streamed, await trx.selectFrom('link').select('id').orderBy('id').execute()]
      }),
  },
  {
    name: 'broken off inside a transaction leaves it open',
    run: async ({ db }) => {
      await db.transaction().execute(async (trx) => {
        for await (const { n } of numbers(trx, 100).stream(10)) if (n === 3) break
        await trx.insertInto('link').values({ id: 10, parent: null }).execute()
      })
      return db.selectFrom('link').select('id').orderBy('id').execute()
    },
  },
  {
    name: 'that fails inside a transaction spoils it',
    run: async ({ db }) => {
      const errors: unknown[] = []
      await caught(
        db.transaction().execute(async (trx) => {
          errors.push(await caught(collect(numbers(trx, 100, 25).stream(10))))
          errors.push(await caught(trx.selectFrom('link').selectAll().execute()))
          throw new Error('undone')
        }),
      )
      return errors
    },
  },
  {
    name: 'two at once on two connections',
    run: async ({ db }) => {
      const [one, other] = [numbers(db, 7).stream(2), numbers(db, 7).stream(3)]
      const seen: unknown[] = []
      for (let turn = 0; turn < 8; turn += 1) seen.push(await one.next(), await other.next())
      return seen
    },
  },
  {
    name: 'read by hand, returned from and read again',
    run: async ({ db }) => {
      const stream = numbers(db, 7).stream(2)
      return [await stream.next(), await stream.next(), await stream.return?.(), await stream.next()]
    },
  },
  {
    name: 'of an insert, an update and a delete that return rows',
    run: async ({ db }) => [
      await collect(
        db
          .insertInto('link')
          .values([10, 11, 12].map((id) => ({ id, parent: null })))
          .returning('id')
          .stream(2),
      ),
      await collect(db.updateTable('account').set({ balance: 1 }).returning(['id', 'balance']).stream(1)),
      await collect(db.deleteFrom('pet').where('owner_id', '=', 1).returning('name').stream(10)),
    ],
  },
  {
    name: 'broken off while it writes has written all the same',
    run: async ({ db }) => {
      const rows = Array.from({ length: 50 }, (_, n) => ({ id: 100 + n, parent: null }))
      for await (const { id } of db.insertInto('link').values(rows).returning('id').stream(5)) if (id === 102) break
      return db
        .selectFrom('link')
        .select((eb) => eb.fn.countAll().as('rows'))
        .execute()
    },
  },
  {
    name: 'through a plugin',
    run: ({ open }) => {
      const db = open({ plugins: [new CamelCasePlugin()] })
      return collect(db.selectFrom('person').selectAll().where('id', '=', 1).stream())
    },
  },
  {
    name: 'on a connection of its own keeps to it',
    run: ({ db }) =>
      db.connection().execute(async (one) => {
        await sql`set search_path = archive`.execute(one)
        const rows = await collect(one.selectFrom('person').select('first_name').stream())
        await sql`reset search_path`.execute(one)
        return rows
      }),
  },
  {
    name: 'with a chunk size that is none',
    run: ({ db }) =>
      Promise.all([0, -1, 1.5].map((chunk) => caught(collect(db.selectFrom('person').select('id').stream(chunk))))),
  },
])
