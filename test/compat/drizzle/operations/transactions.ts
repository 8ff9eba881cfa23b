// db.transaction: commit, rollback, configuration, and what callers see of both.

import { AsyncLocalStorage } from 'node:async_hooks'
import { eq, sql, TransactionRollbackError } from 'drizzle-orm'
import { type Context, errorOf, failing, type Operation, operation } from '../operation.js'
import { accounts, tags, transfers, users } from '../schema/index.js'

const tagNames = async ({ db }: Context) =>
  (await db.select({ name: tags.name }).from(tags).orderBy(tags.id)).map(({ name }) => name)

const settings = sql`select current_setting('transaction_isolation') as isolation,
  current_setting('transaction_read_only') as read_only, current_setting('transaction_deferrable') as deferrable`

export const transactions: readonly Operation[] = [
  operation('commit keeps what was written', async (context) => {
    await context.db.transaction(async (tx) => {
      await tx.insert(tags).values({ name: 'first' })
      await tx.insert(tags).values({ name: 'second' })
    })
    return tagNames(context)
  }),
  operation('its value is what the callback returned', async ({ db }) => ({
    nothing: await db.transaction(async () => {}),
    value: await db.transaction(async () => 42),
    array: await db.transaction(async () => [1, [2]]),
    object: await db.transaction(async (tx) => ({ rows: await tx.select().from(tags) })),
    query: await db.transaction((tx) => tx.select().from(tags).orderBy(tags.id)),
    sync: await db.transaction((() => 'not a promise') as never),
  })),
  operation('an error thrown rolls back and comes out as it is', async (context) => {
    const thrown = new TypeError('mine')
    const caught = await errorOf(
      context.db.transaction(async (tx) => {
        await tx.insert(tags).values({ name: 'gone' })
        throw thrown
      }),
    )
    return { same: caught === thrown, tags: await tagNames(context) }
  }),
  operation('anything can be thrown', async (context) => {
    const caught: unknown[] = []
    for (const thrown of ['text', 7, null, undefined, { plain: 'object' }]) {
      caught.push(
        await errorOf(
          context.db.transaction(async (tx) => {
            await tx.insert(tags).values({ name: `gone ${thrown}` })
            throw thrown
          }),
        ),
      )
    }
    return { caught, tags: await tagNames(context) }
  }),
  operation('an error thrown before the first await rolls back', async (context) => {
    const thrown = new Error('synchronous')
    const caught = await errorOf(
      context.db.transaction((() => {
        throw thrown
      }) as never),
    )
    return { same: caught === thrown, tags: await tagNames(context) }
  }),
  operation('tx.rollback() rolls back with an error of its own', async (context) => {
    const caught = await errorOf(
      context.db.transaction(async (tx) => {
        await tx.insert(tags).values({ name: 'gone' })
        tx.rollback()
      }),
    )
    return { isRollback: caught instanceof TransactionRollbackError, caught, tags: await tagNames(context) }
  }),
  operation('every isolation level is in force', async ({ db }) => {
    const seen: unknown[] = [await db.transaction((tx) => tx.execute(settings))]
    for (const isolationLevel of ['read uncommitted', 'read committed', 'repeatable read', 'serializable'] as const) {
      seen.push(await db.transaction((tx) => tx.execute(settings), { isolationLevel }))
    }
    return seen
  }),
  operation('access mode and deferrable are in force, alone and together', async ({ db }) => {
    const configs = [
      { accessMode: 'read only' },
      { accessMode: 'read write' },
      { deferrable: true },
      { deferrable: false },
      { isolationLevel: 'serializable', accessMode: 'read only', deferrable: true },
    ] as const
    const seen: unknown[] = []
    for (const config of configs) seen.push(await db.transaction((tx) => tx.execute(settings), config))
    return [...seen, await db.execute(settings)]
  }),
  operation('setTransaction in the callback', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.setTransaction({ isolationLevel: 'serializable', accessMode: 'read only' })
      return tx.execute(settings)
    }),
  ),
  failing('an isolation level that does not exist', '42601', ({ db }) =>
    db.transaction(async () => 'ran', { isolationLevel: 'strict' as never }),
  ),
  failing('an empty configuration', '42601', ({ db }) => db.transaction(async () => 'ran', {})),
  operation('a repeatable read sees one state', ({ db }) =>
    db.transaction(
      async (tx) => {
        const before = await tx.$count(tags)
        await db.insert(tags).values({ name: 'from outside' })
        return { before, after: await tx.$count(tags), outside: await db.$count(tags) }
      },
      { isolationLevel: 'repeatable read' },
    ),
  ),
  operation('the root db is another connection and does not see inside', ({ db }) =>
    db.transaction(async (tx) => {
      await tx.insert(tags).values({ name: 'uncommitted' })
      return { inside: await tx.$count(tags), outside: await db.$count(tags) }
    }),
  ),
  operation('queries in a transaction run on one connection', ({ db }) =>
    db.transaction(async (tx) => {
      const pids = await Promise.all(
        [1, 2, 3].map(() => tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)),
      )
      return new Set(pids.map(([row]) => row?.pid)).size
    }),
  ),
  operation('queries sent at once in a transaction run in order', ({ db }) =>
    db.transaction(async (tx) => {
      const results = await Promise.all([
        tx.insert(tags).values({ name: 'one' }).returning(),
        tx.update(tags).set({ name: 'two' }).where(eq(tags.name, 'one')).returning(),
        tx.select().from(tags).where(eq(tags.name, 'two')),
        tx.delete(tags).where(eq(tags.name, 'two')).returning(),
        tx.$count(tags),
      ])
      return results
    }),
  ),
  operation('a statement not awaited is part of its transaction', async (context) => {
    await context.db.transaction(async (tx) => {
      tx.insert(tags)
        .values({ name: 'not awaited' })
        .then(() => {})
    })
    return tagNames(context)
  }),
  operation('a query through a transaction that has ended', async ({ db }) => {
    const ended = await db.transaction(async (tx) => ({
      select: () => tx.select({ id: users.id }).from(users).limit(1),
    }))
    return errorOf(ended.select())
  }),
  operation('transactions at once do not mix', async (context) => {
    const { db } = context
    const outcomes = await Promise.allSettled(
      Array.from({ length: 12 }, (_, index) =>
        db.transaction(async (tx) => {
          await tx.insert(tags).values({ id: 100 + index, name: `at once ${index}` })
          if (index % 3 === 0) throw new Error(`no ${index}`)
          return tx
            .select()
            .from(tags)
            .where(eq(tags.id, 100 + index))
        }),
      ),
    )
    return { outcomes, tags: await tagNames(context) }
  }),
  failing('a failed statement swallowed still fails the transaction', '23505', ({ db }) =>
    db.transaction(async (tx) => {
      await errorOf(tx.insert(tags).values({ name: 'logic' }))
      return 'looks well'
    }),
  ),
  operation('a failed statement swallowed keeps nothing', async (context) => {
    const caught = await errorOf(
      context.db.transaction(async (tx) => {
        await tx.insert(tags).values({ name: 'before' })
        const swallowed = await errorOf(tx.execute(sql`select 1 / 0`))
        return { swallowed }
      }),
    )
    return { caught, tags: await tagNames(context) }
  }),
  operation('after a swallowed failure the next statement is refused', async (context) => {
    const seen: unknown[] = []
    const caught = await errorOf(
      context.db.transaction(async (tx) => {
        seen.push(await errorOf(tx.execute(sql`select 1 / 0`)))
        seen.push(await errorOf(tx.select().from(tags)))
        return 'looks well'
      }),
    )
    return { seen, caught, tags: await tagNames(context) }
  }),
  failing('after a swallowed failure the refusal is what comes out', '25P02', ({ db }) =>
    db.transaction(async (tx) => {
      await errorOf(tx.execute(sql`select 1 / 0`))
      await tx.execute(sql`select 1`)
    }),
  ),
  operation('a body runs once, even if it fails', async ({ db }) => {
    const runs = { commit: 0, unique: 0, readOnly: 0, thrown: 0, atCommit: 0 }
    const count = (name: keyof typeof runs) => {
      runs[name] += 1
    }
    const caught = [
      await errorOf(db.transaction(async () => count('commit'))),
      await errorOf(
        db.transaction(async (tx) => {
          count('unique')
          await tx.insert(tags).values({ name: 'logic' })
        }),
      ),
      await errorOf(
        db.transaction(
          async (tx) => {
            count('readOnly')
            await tx.insert(tags).values({ name: 'no' })
          },
          { accessMode: 'read only' },
        ),
      ),
      await errorOf(
        db.transaction(async () => {
          count('thrown')
          throw Object.assign(new Error('mine'), { code: '40001' })
        }),
      ),
      await errorOf(
        db.transaction(async (tx) => {
          count('atCommit')
          await tx.insert(transfers).values({ accountId: 99, amount: '1' })
        }),
      ),
    ]
    return { runs, caught }
  }),
  operation('money moved between accounts, or not at all', async ({ db }) => {
    const move = (amount: string) =>
      db.transaction(async (tx) => {
        const [from] = await tx.select().from(accounts).where(eq(accounts.owner, 'left')).for('update')
        await tx
          .update(accounts)
          .set({ balance: sql`${accounts.balance} - ${amount}` })
          .where(eq(accounts.id, from?.id ?? 0))
        if (Number(from?.balance) < Number(amount)) tx.rollback()
        await tx
          .update(accounts)
          .set({ balance: sql`${accounts.balance} + ${amount}` })
          .where(eq(accounts.owner, 'right'))
        return 'moved'
      })
    const moves = [await errorOf(move('30.50')), await errorOf(move('1000'))]
    return { moves, accounts: await db.select().from(accounts).orderBy(accounts.id) }
  }),
  operation('an AsyncLocalStorage of the application follows into bodies and results', async ({ db, sql: client }) => {
    const storage = new AsyncLocalStorage<number>()
    const seen = (index: number) =>
      storage.run(index, async () => {
        const inside = await db.transaction(async (tx) => {
          await tx.select().from(tags)
          return [storage.getStore(), await tx.transaction(async () => storage.getStore())]
        })
        const begun = await client.begin(async () => storage.getStore())
        return [...inside, begun, await db.$count(tags).then(() => storage.getStore()), storage.getStore()]
      })
    return Promise.all(Array.from({ length: 30 }, (_, index) => seen(index)))
  }),
  operation('a connection that failed a transaction serves the next one', async (context) => {
    const one = context.drizzle({ connection: { url: context.url } })
    const seen: unknown[] = []
    for (const fail of [true, false, true, false]) {
      seen.push(
        await errorOf(one.transaction(async (tx) => tx.execute(fail ? sql`select 1 / 0` : sql`select 1 as fine`))),
      )
    }
    return { seen, users: await one.select({ id: users.id }).from(users).orderBy(users.id) }
  }),
]
