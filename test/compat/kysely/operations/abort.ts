// Aborting: what kysely 0.29 does with a signal, before, while and after a query runs. A query waits for a lock that the
// operation holds behind the dialect's back, so that "while" is a state that can be seen, not a pause.

import { sql } from 'kysely'
import type { Admin } from '../../../support/admin.js'
import { until } from '../../../support/until.js'
import { about, type Context, caught, collect } from '../operation.js'

const lock = 7
const strategies = ['ignore query', 'cancel query', 'kill session'] as const

class Impatience extends Error {}

function waiting(admin: Admin) {
  return admin.query<{ pid: number }>(
    `select pid from pg_locks join pg_database d on d.oid = database
      where locktype = 'advisory' and not granted and datname = current_database()`,
  )
}

async function untilWaiting(admin: Admin): Promise<void> {
  await until(async () => (await waiting(admin)).length === 1, { what: 'the query to wait for the lock' })
}

async function untilNoneWaits(admin: Admin): Promise<void> {
  await until(async () => (await waiting(admin)).length === 0, { what: 'the query to be gone' })
}

/** Runs with the lock held; it is given back however `run` ends. */
async function holding<T>(admin: Admin, run: () => Promise<T>): Promise<T> {
  await admin.query(`select pg_advisory_lock(${lock})`)
  try {
    return await run()
  } finally {
    await admin.query('select pg_advisory_unlock_all()')
  }
}

/** The stock dialect may hand out a killed session once more before it notices. */
function onceItWorks<T>(query: () => Promise<T>): Promise<T> {
  return until(query, { what: 'queries to work again' })
}

const waitingInsert = sql<{ id: number }>`
  insert into link select 10, null from pg_advisory_xact_lock(${sql.lit(lock)}) returning id`

function links({ db }: Context) {
  return db.selectFrom('link').select('id').orderBy('id').execute()
}

export const abortOperations = about('abort', [
  {
    name: 'before the query starts: its reason, and nothing is sent',
    run: async (context) => {
      const signal = AbortSignal.abort(new Impatience('now'))
      const insert = context.db.insertInto('link').values({ id: 10, parent: null })
      return [
        await caught(insert.execute({ signal })),
        await caught(insert.executeTakeFirst({ signal })),
        await caught(insert.executeTakeFirstOrThrow({ signal })),
        await caught(sql`insert into link values (10, null)`.execute(context.db, { signal })),
        await caught(context.db.executeQuery(insert, { signal })),
        await links(context),
      ]
    },
  },
  {
    name: 'with no reason given',
    throws: true,
    run: ({ db }) => db.selectFrom('link').selectAll().execute({ signal: AbortSignal.abort() }),
  },
  {
    name: 'a signal that never fires changes nothing',
    run: ({ db }) =>
      Promise.all(
        strategies.map((inflightQueryAbortStrategy) =>
          db
            .selectFrom('link')
            .selectAll()
            .orderBy('id')
            .execute({ signal: new AbortController().signal, inflightQueryAbortStrategy }),
        ),
      ),
  },
  {
    name: 'a signal that fires after the query changes nothing',
    run: async (context) => {
      const controller = new AbortController()
      const rows = await context.db.selectFrom('link').select('id').orderBy('id').execute({ signal: controller.signal })
      controller.abort()
      return [rows, await links(context)]
    },
  },
  {
    name: 'while it runs, ignored: the caller hears at once, the query goes through',
    run: async (context) => {
      const { admin, db } = context
      const controller = new AbortController()
      const error = await holding(admin, async () => {
        const running = caught(waitingInsert.execute(db, { signal: controller.signal }))
        await untilWaiting(admin)
        controller.abort(new Impatience('now'))
        const reason = await running
        await untilWaiting(admin)
        return reason
      })
      await until(async () => (await links(context)).length === 3, { what: 'the insert to go through' })
      return error
    },
  },
  ...(['cancel query', 'kill session'] as const).map((inflightQueryAbortStrategy) => ({
    name: `while it runs, ${inflightQueryAbortStrategy}: the caller hears at once, the server stops`,
    run: async (context: Context) => {
      const { admin, open } = context
      const db = open({ max: 1 })
      const controller = new AbortController()
      const error = await holding(admin, async () => {
        const running = caught(waitingInsert.execute(db, { signal: controller.signal, inflightQueryAbortStrategy }))
        await untilWaiting(admin)
        controller.abort(new Impatience('now'))
        const reason = await running
        await untilNoneWaits(admin)
        return reason
      })
      return [error, await onceItWorks(() => db.selectFrom('link').select('id').orderBy('id').execute())]
    },
  })),
  {
    name: 'while it runs, cancel query keeps the session and kill session does not',
    run: async ({ admin, open }) => {
      const same: unknown[] = []
      for (const inflightQueryAbortStrategy of ['cancel query', 'kill session'] as const) {
        const db = open({ max: 1 })
        const pid = async () => (await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(db)).rows[0]?.pid
        const before = await pid()
        const controller = new AbortController()
        await holding(admin, async () => {
          const running = caught(waitingInsert.execute(db, { signal: controller.signal, inflightQueryAbortStrategy }))
          await untilWaiting(admin)
          controller.abort()
          await running
          await untilNoneWaits(admin)
        })
        same.push([inflightQueryAbortStrategy, before === (await onceItWorks(pid))])
      }
      return same
    },
  },
  {
    name: 'within a transaction, cancel query: the reason undoes it',
    run: async (context) => {
      const { admin, db } = context
      const controller = new AbortController()
      const error = await holding(admin, () =>
        caught(
          db.transaction().execute(async (trx) => {
            await trx.insertInto('link').values({ id: 11, parent: null }).execute()
            const running = waitingInsert.execute(trx, {
              signal: controller.signal,
              inflightQueryAbortStrategy: 'cancel query',
            })
            const reason = caught(running)
            await untilWaiting(admin)
            controller.abort(new Impatience('now'))
            await reason
            // Before the ROLLBACK: once that is queued, the stock dialect no longer cancels what is ahead of it.
            await untilNoneWaits(admin)
            await running
          }),
        ),
      )
      return [error, await links(context)]
    },
  },
  {
    name: 'while it waits for a connection: the reason, and the connection is not lost',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const controller = new AbortController()
      const error = await db.connection().execute(async () => {
        const refused = caught(db.selectFrom('link').selectAll().execute({ signal: controller.signal }))
        controller.abort(new Impatience('now'))
        return refused
      })
      return [error, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'a connection: before it is had, and not once it is had',
    run: async ({ db }) => {
      const controller = new AbortController()
      const held = await db.connection().execute(
        async (one) => {
          controller.abort(new Impatience('now'))
          return one.selectFrom('link').select('id').orderBy('id').execute()
        },
        { signal: controller.signal },
      )
      return [held, await caught(db.connection().execute(async () => 'had', { signal: controller.signal }))]
    },
  },
  {
    name: 'a stream before it starts',
    throws: true,
    run: ({ db }) => {
      const signal = AbortSignal.abort(new Impatience('now'))
      return collect(db.selectFrom('link').selectAll().stream({ chunkSize: 1, signal }))
    },
  },
  {
    name: 'a stream between two rows, which gives its connection back',
    run: async ({ open }) => {
      const db = open({ max: 1 })
      const controller = new AbortController()
      const seen: unknown[] = []
      const error = await caught(
        (async () => {
          for await (const { id } of db
            .selectFrom('person')
            .select('id')
            .orderBy('id')
            .stream({ chunkSize: 1, signal: controller.signal })) {
            seen.push(id)
            if (id === 2) controller.abort(new Impatience('now'))
          }
        })(),
      )
      return [seen, error, await db.selectFrom('link').select('id').orderBy('id').execute()]
    },
  },
  {
    name: 'a stream with a signal that never fires',
    run: ({ db }) =>
      collect(
        db.selectFrom('link').select('id').orderBy('id').stream({ chunkSize: 1, signal: new AbortController().signal }),
      ),
  },
  {
    name: 'a strategy that does not exist',
    throws: true,
    run: ({ db }) => {
      const options = { signal: new AbortController().signal, inflightQueryAbortStrategy: 'panic' }
      // @ts-expect-error: what a caller without types may write
      return db.selectFrom('link').selectAll().execute(options)
    },
  },
])
