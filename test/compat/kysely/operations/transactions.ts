// db.transaction().

import { type Kysely, sql, type Transaction } from 'kysely'
import { about, caught } from '../operation.js'
import type { Database } from '../schema/database.js'

function links(db: Kysely<Database>): Promise<{ id: number }[]> {
  return db.selectFrom('link').select('id').orderBy('id').execute()
}

function add(db: Kysely<Database>, id: number, parent: number | null = null) {
  return db.insertInto('link').values({ id, parent }).execute()
}

async function settings(trx: Transaction<Database>): Promise<unknown> {
  const { rows } = await sql`select current_setting('transaction_isolation') as isolation,
    current_setting('transaction_read_only') as read_only`.execute(trx)
  return rows
}

const levels = ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const

export const transactionOperations = about('transaction', [
  {
    name: 'commits, and gives what its function returns',
    run: async ({ db }) => {
      const returned = await db.transaction().execute(async (trx) => {
        await add(trx, 10)
        return { inside: await links(trx), isTransaction: trx.isTransaction }
      })
      return [returned, await links(db)]
    },
  },
  {
    name: 'that returns nothing',
    run: ({ db }) => db.transaction().execute(async () => {}),
  },
  {
    name: 'is undone by a thrown error, which arrives as it was thrown',
    run: async ({ db }) => {
      const thrown = new RangeError('mine')
      const error = await caught(
        db.transaction().execute(async (trx) => {
          await add(trx, 10)
          throw thrown
        }),
      )
      return [error === thrown, error, await links(db)]
    },
  },
  {
    name: 'is undone by something thrown that is no error',
    run: async ({ db }) => [
      await caught(
        db.transaction().execute(async (trx) => {
          await add(trx, 10)
          throw 'a string'
        }),
      ),
      await links(db),
    ],
  },
  {
    name: 'is undone by a statement that fails',
    run: async ({ db }) => [
      await caught(
        db.transaction().execute(async (trx) => {
          await add(trx, 10)
          await add(trx, 1)
        }),
      ),
      await links(db),
    ],
  },
  ...levels.map((level) => ({
    name: `with isolation level ${level}`,
    run: ({ db }: { db: Kysely<Database> }) => db.transaction().setIsolationLevel(level).execute(settings),
  })),
  {
    name: 'with access mode read only and read write',
    run: async ({ db }) => [
      await db.transaction().setAccessMode('read only').execute(settings),
      await db.transaction().setAccessMode('read write').execute(settings),
    ],
  },
  {
    name: 'with isolation level and access mode, and none left over for the next',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      return [
        await db.transaction().setIsolationLevel('serializable').setAccessMode('read only').execute(settings),
        await db.transaction().execute(settings),
      ]
    },
  },
  {
    name: 'with an isolation level that PostgreSQL does not have',
    throws: true,
    run: ({ db }) => db.transaction().setIsolationLevel('snapshot').execute(settings),
  },
  {
    name: 'that only reads refuses to write',
    throws: true,
    run: ({ db }) =>
      db
        .transaction()
        .setAccessMode('read only')
        .execute((trx) => add(trx, 10)),
  },
  {
    name: 'sees nothing of another one before that commits',
    run: ({ db }) =>
      db.transaction().execute(async (one) => {
        await add(one, 10)
        return [await db.transaction().execute((other) => links(other)), await links(db), await links(one)]
      }),
  },
  {
    name: 'goes on being usable after an error within a savepoint made by hand',
    run: async ({ db }) => {
      const errors: unknown[] = []
      await db.transaction().execute(async (trx) => {
        await add(trx, 10)
        await sql`savepoint here`.execute(trx)
        errors.push(await caught(add(trx, 1)))
        await sql`rollback to savepoint here`.execute(trx)
        await add(trx, 11)
      })
      return [errors, await links(db)]
    },
  },
  {
    name: 'after an error refuses further statements',
    run: async ({ db }) => {
      const errors: unknown[] = []
      errors.push(
        await caught(
          db.transaction().execute(async (trx) => {
            errors.push(await caught(add(trx, 1)), await caught(links(trx)))
            throw new Error('enough')
          }),
        ),
      )
      return errors
    },
  },
  {
    name: 'whose error is swallowed is not committed',
    // kysely 0.28 takes the server's ROLLBACK for a commit.
    run: async ({ db }) => [
      await caught(
        db.transaction().execute(async (trx) => {
          await add(trx, 10)
          await caught(add(trx, 1))
          return 'as if nothing had happened'
        }),
      ),
      await links(db),
    ],
  },
  {
    name: 'whose COMMIT fails by a deferred constraint is undone',
    run: async ({ db }) => [
      await caught(db.transaction().execute((trx) => add(trx, 10, 99))),
      await links(db),
      await db.transaction().execute((trx) => links(trx)),
    ],
  },
  {
    name: 'whose COMMIT fails leaves its connection fit for the next',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      return [
        await caught(db.transaction().execute((trx) => add(trx, 10, 99))),
        await db.transaction().execute(async (trx) => {
          await add(trx, 11)
          return links(trx)
        }),
      ]
    },
  },
  {
    name: 'runs its queries one after another when they are started at once',
    run: ({ db }) =>
      db.transaction().execute((trx) =>
        Promise.all(
          [1, 2, 3].map(async (n) => {
            const { rows } = await sql<{ n: number }>`select ${n}::int as n, txid_current_if_assigned() as xid`.execute(
              trx,
            )
            return rows
          }),
        ),
      ),
  },
  {
    name: 'of several queries at once, one of which fails',
    run: async ({ db }) => {
      const settled = await db
        .transaction()
        .execute(async (trx) => Promise.all([add(trx, 10), add(trx, 1), add(trx, 11)]))
        .catch((error: unknown) => error)
      return [settled, await links(db)]
    },
  },
  {
    name: 'stays on one connection, the same for all its statements',
    run: ({ db }) =>
      db.transaction().execute(async (trx) => {
        const pids = new Set<number>()
        for (let turn = 0; turn < 5; turn += 1) {
          const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(trx)
          for (const { pid } of rows) pids.add(pid)
        }
        return pids.size
      }),
  },
  {
    name: 'inside a transaction, a second one, a connection and destroy are refused',
    run: ({ db }) =>
      db.transaction().execute(async (trx) => {
        const attempts = [
          () => trx.transaction(),
          () => trx.startTransaction(),
          () => trx.connection(),
          () => trx.destroy(),
        ]
        return Promise.all(attempts.map((attempt) => caught((async () => attempt())())))
      }),
  },
  {
    name: 'used after its end refuses',
    run: async ({ db }) => {
      const escaped: Transaction<Database>[] = []
      await db.transaction().execute(async (trx) => {
        escaped.push(trx)
      })
      await caught(
        db.transaction().execute(async (trx) => {
          escaped.push(trx)
          throw new Error('undone')
        }),
      )
      return Promise.all(escaped.map((trx) => caught(links(trx))))
    },
  },
  {
    name: 'of which twenty wait for two connections',
    run: async ({ open }) => {
      const db = open({ max: 2 })
      await Promise.all(Array.from({ length: 20 }, (_, n) => db.transaction().execute((trx) => add(trx, 100 + n))))
      return links(db)
    },
  },
  {
    name: 'ended by hand with raw COMMIT',
    run: async ({ db }) => {
      const results: unknown[] = []
      await db.transaction().execute(async (trx) => {
        await add(trx, 10)
        results.push(await sql`commit`.execute(trx))
      })
      return [results, await links(db)]
    },
  },
  {
    name: 'ended by hand with raw ROLLBACK',
    run: async ({ db }) => {
      const results: unknown[] = []
      const error = await caught(
        db.transaction().execute(async (trx) => {
          await add(trx, 10)
          results.push(await sql`rollback`.execute(trx))
        }),
      )
      return [results, error, await links(db)]
    },
  },
  {
    name: 'local settings end with it',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const path = async (on: Kysely<Database>) => (await sql`show search_path`.execute(on)).rows
      const inside = await db.transaction().execute(async (trx) => {
        await sql`set local search_path = archive`.execute(trx)
        return path(trx)
      })
      return [inside, await path(db)]
    },
  },
])
