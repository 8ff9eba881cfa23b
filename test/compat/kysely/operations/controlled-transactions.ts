// db.startTransaction(): begun, saved and ended by calls.

import { type ControlledTransaction, type Kysely, sql } from 'kysely'
import { about, caught } from '../operation.js'
import type { Database } from '../schema/database.js'

function links(db: Kysely<Database>): Promise<{ id: number }[]> {
  return db.selectFrom('link').select('id').orderBy('id').execute()
}

function add(db: Kysely<Database>, id: number, parent: number | null = null) {
  return db.insertInto('link').values({ id, parent }).execute()
}

function state(trx: ControlledTransaction<Database>) {
  return { isCommitted: trx.isCommitted, isRolledBack: trx.isRolledBack, isTransaction: trx.isTransaction }
}

export const controlledTransactionOperations = about('startTransaction', [
  {
    name: 'commit',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      await add(trx, 10)
      const before = [state(trx), await links(trx), await links(db)]
      const answer = await trx.commit().execute()
      return [before, answer, state(trx), await links(db)]
    },
  },
  {
    name: 'rollback',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      await add(trx, 10)
      const answer = await trx.rollback().execute()
      return [answer, state(trx), await links(db)]
    },
  },
  {
    name: 'isolation level and access mode',
    run: async ({ db }) => {
      const trx = await db.startTransaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute()
      const { rows } = await sql`select current_setting('transaction_isolation') as isolation,
        current_setting('transaction_read_only') as read_only`.execute(trx)
      const error = await caught(add(trx, 10))
      await trx.rollback().execute()
      return [rows, error]
    },
  },
  {
    name: 'savepoint, and rollback to it',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      await add(trx, 10)
      const saved = await trx.savepoint('one').execute()
      await add(saved, 11)
      await saved.rollbackToSavepoint('one').execute()
      await add(trx, 12)
      await trx.commit().execute()
      return links(db)
    },
  },
  {
    name: 'an error within a savepoint is undone with it',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      await add(trx, 10)
      const saved = await trx.savepoint('one').execute()
      const error = await caught(add(saved, 1))
      const refused = await caught(links(saved))
      await saved.rollbackToSavepoint('one').execute()
      const seen = await links(trx)
      await trx.commit().execute()
      return [error, refused, seen, await links(db)]
    },
  },
  {
    name: 'releaseSavepoint keeps the work and forgets the name',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      const saved = await trx.savepoint('one').execute()
      await add(saved, 10)
      const released = await saved.releaseSavepoint('one').execute()
      await add(released, 11)
      const error = await caught(saved.rollbackToSavepoint('one').execute())
      await trx.rollback().execute()
      return [error, await links(db)]
    },
  },
  {
    name: 'savepoints within savepoints, with names that need quoting',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      const outer = await trx.savepoint('Outer "one"').execute()
      await add(outer, 10)
      const inner = await outer.savepoint('inner; drop table x').execute()
      await add(inner, 11)
      await inner.rollbackToSavepoint('inner; drop table x').execute()
      await outer.releaseSavepoint('Outer "one"').execute()
      await trx.commit().execute()
      return links(db)
    },
  },
  {
    name: 'one name for two savepoints means the later, until that is released',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      const first = await trx.savepoint('same').execute()
      await add(trx, 10)
      const second = await first.savepoint('same').execute()
      await add(trx, 11)
      await second.releaseSavepoint('same').execute()
      await first.rollbackToSavepoint('same').execute()
      await trx.commit().execute()
      return links(db)
    },
  },
  {
    name: 'commit after a savepoint that was left open',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      const saved = await trx.savepoint('open').execute()
      await add(saved, 10)
      await saved.commit().execute()
      return [state(trx), state(saved), await links(db)]
    },
  },
  {
    name: 'used after commit or rollback refuses queries and further ends',
    run: async ({ db }) => {
      const committed = await db.startTransaction().execute()
      await committed.commit().execute()
      const undone = await db.startTransaction().execute()
      await undone.rollback().execute()
      const errors: unknown[] = []
      for (const trx of [committed, undone]) {
        errors.push(
          await caught(links(trx)),
          await caught(trx.commit().execute()),
          await caught(trx.rollback().execute()),
          await caught(trx.savepoint('late').execute()),
        )
      }
      return errors
    },
  },
  {
    name: 'commit after a failed statement',
    // kysely 0.28 takes the server's ROLLBACK for a commit.
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      await add(trx, 10)
      await caught(add(trx, 1))
      const error = await caught(trx.commit().execute())
      return [error, state(trx), await caught(links(trx)), await links(db)]
    },
  },
  {
    name: 'commit that fails by a deferred constraint, then rollback',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      await add(trx, 10, 99)
      const error = await caught(trx.commit().execute())
      const before = state(trx)
      const answer = await caught(trx.rollback().execute())
      return [error, before, answer, state(trx), await links(db)]
    },
  },
  {
    name: 'its connection serves the next one after each kind of end',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const first = await db.startTransaction().execute()
      await first.commit().execute()
      const second = await db.startTransaction().execute()
      await caught(add(second, 1))
      await second.rollback().execute()
      const third = await db.startTransaction().execute()
      await add(third, 10)
      await third.commit().execute()
      return links(db)
    },
  },
  {
    name: 'withSchema reads another schema within it',
    run: async ({ db }) => {
      const trx = await db.startTransaction().execute()
      const rows = await trx.withSchema('archive').selectFrom('person').selectAll().execute()
      await trx.commit().execute()
      return rows
    },
  },
])
