// Nested transactions: what each depth keeps and undoes.

import { sql, TransactionRollbackError } from 'drizzle-orm'
import { type Context, errorOf, failing, type Operation, operation } from '../operation.js'
import { tags } from '../schema/index.js'

type Depth = 1 | 2 | 3

async function addedTags({ db }: Context): Promise<string[]> {
  const rows = await db.select({ name: tags.name }).from(tags).where(sql`${tags.id} > 4`).orderBy(tags.id)
  return rows.map(({ name }) => name)
}

/** Three transactions inside each other, each writing before and after the inner one; one depth fails at its end. */
async function nest(context: Context, failAt: Depth | 0, catchAt: Depth | 0, fail: () => never): Promise<unknown> {
  const guarded = async (depth: Depth, inner: () => Promise<unknown>) => (catchAt === depth ? errorOf(inner) : inner())
  const outcome = await errorOf(
    context.db.transaction(async (one) => {
      await one.insert(tags).values({ name: '1 before' })
      const inner = await guarded(1, () =>
        one.transaction(async (two) => {
          await two.insert(tags).values({ name: '2 before' })
          const innermost = await guarded(2, () =>
            two.transaction(async (three) => {
              await three.insert(tags).values({ name: '3' })
              if (failAt === 3) fail()
              return 'three'
            }),
          )
          await two.insert(tags).values({ name: '2 after' })
          if (failAt === 2) fail()
          return { two: innermost }
        }),
      )
      await one.insert(tags).values({ name: '1 after' })
      if (failAt === 1) fail()
      return { one: inner }
    }),
  )
  return { outcome, added: await addedTags(context) }
}

const throwing = (): never => {
  throw new Error('on purpose')
}
const rollingBack = (): never => {
  throw new TransactionRollbackError()
}

export const savepoints: readonly Operation[] = [
  operation('three deep, all commit', (context) => nest(context, 0, 0, throwing)),
  operation('three deep, the innermost fails and nobody catches', (context) => nest(context, 3, 0, throwing)),
  operation('three deep, the innermost fails and the middle catches', (context) => nest(context, 3, 2, throwing)),
  operation('three deep, the innermost fails and the outermost catches', (context) => nest(context, 3, 1, throwing)),
  operation('three deep, the middle fails and the outermost catches', (context) => nest(context, 2, 1, throwing)),
  operation('three deep, the middle fails and nobody catches', (context) => nest(context, 2, 0, throwing)),
  operation('three deep, the outermost fails after both inner ones', (context) => nest(context, 1, 0, throwing)),
  operation('three deep, the innermost rolls back and the middle catches', (context) =>
    nest(context, 3, 2, rollingBack),
  ),
  operation('tx.rollback() in a nested transaction undoes that one only', async (context) => {
    const outcome = await context.db.transaction(async (tx) => {
      await tx.insert(tags).values({ name: 'kept' })
      const caught = await errorOf(
        tx.transaction(async (nested) => {
          await nested.insert(tags).values({ name: 'undone' })
          nested.rollback()
        }),
      )
      return { caught, isRollback: caught instanceof TransactionRollbackError }
    })
    return { outcome, added: await addedTags(context) }
  }),
  operation('a failed statement undone by its nested transaction leaves the outer one usable', async (context) => {
    const caught = await context.db.transaction(async (tx) => {
      await tx.insert(tags).values({ name: 'kept' })
      const failure = await errorOf(tx.transaction((nested) => nested.insert(tags).values({ name: 'kept' })))
      await tx.insert(tags).values({ name: 'kept as well' })
      return failure
    })
    return { caught, added: await addedTags(context) }
  }),
  operation('a failed statement swallowed in a nested transaction fails that one', async (context) => {
    const outcome = await context.db.transaction(async (tx) => {
      const nested = await errorOf(
        tx.transaction(async (inner) => {
          await errorOf(inner.execute(sql`select 1 / 0`))
          return 'looks well'
        }),
      )
      await tx.insert(tags).values({ name: 'after' })
      return nested
    })
    return { outcome, added: await addedTags(context) }
  }),
  operation('nested transactions one after another', async (context) => {
    await context.db.transaction(async (tx) => {
      for (const name of ['a', 'b', 'c', 'd']) {
        await errorOf(
          tx.transaction(async (nested) => {
            await nested.insert(tags).values({ name })
            if (name === 'b') throw new Error('not b')
          }),
        )
      }
    })
    return addedTags(context)
  }),
  operation('nested transactions at once, all commit', async (context) => {
    const values = await context.db.transaction((tx) =>
      Promise.all(
        ['a', 'b', 'c'].map((name) =>
          tx.transaction(async (nested) => {
            await nested.insert(tags).values({ name: `${name} first` })
            await nested.insert(tags).values({ name: `${name} second` })
            return name
          }),
        ),
      ),
    )
    return { values, added: (await addedTags(context)).sort() }
  }),
  operation('nested transactions at once, one of them slower', async (context) => {
    const values = await context.db.transaction((tx) =>
      Promise.all(
        [3, 1, 2].map((statements) =>
          tx.transaction(async (nested) => {
            for (let index = 0; index < statements; index++) {
              await nested.insert(tags).values({ name: `${statements} ${index}` })
            }
            return statements
          }),
        ),
      ),
    )
    return { values, added: (await addedTags(context)).sort() }
  }),
  operation('a nested transaction gives its value', ({ db }) =>
    db.transaction(async (tx) => [
      await tx.transaction(async () => 'inner'),
      await tx.transaction(async () => undefined),
    ]),
  ),
  operation('a nested transaction ignores its configuration', ({ db }) =>
    db.transaction((tx) => {
      // Its type has no second parameter, but Drizzle's other drivers do, and so does code written for them.
      const configurable: { transaction: typeof db.transaction } = tx
      return configurable.transaction(
        async (nested) => nested.execute(sql`select current_setting('transaction_isolation') as level`),
        { isolationLevel: 'serializable' },
      )
    }),
  ),
  operation('a savepoint of the user’s own', async (context) => {
    await context.db.transaction(async (tx) => {
      await tx.execute(sql`savepoint mine`)
      await tx.insert(tags).values({ name: 'undone' })
      await tx.execute(sql`rollback to savepoint mine`)
      await tx.insert(tags).values({ name: 'kept' })
      await tx.execute(sql`release savepoint mine`)
    })
    return addedTags(context)
  }),
  failing('an error of a nested statement comes out of all of them', '22P02', ({ db }) =>
    db.transaction((one) => one.transaction((two) => two.transaction((three) => three.execute(sql`select 'x'::int`)))),
  ),
]
