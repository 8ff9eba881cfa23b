// Orders, through Kysely; and what they change of a user, through Drizzle, in the same transaction.

import { withTransaction } from '@moorings/kysely'
import { eq, sql } from 'drizzle-orm'
import { Hono } from 'hono'
import { bodyOf, idOf, newOrder, notFound } from './input.js'
import type { Shop } from './shop.js'
import { users } from './tables.js'

export function orderRoutes({ accounts, sales }: Shop): Hono {
  const app = new Hono()

  app.post('/', async (c) => {
    const { userId, sku, quantity } = await bodyOf(c, newOrder)
    const order = await withTransaction(
      sales,
      async (tx) => {
        const placed = await tx
          .insertInto('orders')
          .values({ user_id: userId, sku, quantity })
          .returningAll()
          .executeTakeFirstOrThrow()
        // Nothing of this has happened where the last of it fails.
        await accounts
          .update(users)
          .set({ ordersPlaced: sql`${users.ordersPlaced} + 1` })
          .where(eq(users.id, placed.user_id))
        await tx
          .updateTable('products')
          .set((eb) => ({ stock: eb('stock', '-', placed.quantity) }))
          .where('sku', '=', placed.sku)
          .execute()
        return placed
      },
      { timeoutMs: 5_000 },
    )
    return c.json(order, 201)
  })

  app.get('/:id', async (c) => {
    const order = await sales.selectFrom('orders').selectAll().where('id', '=', idOf(c)).executeTakeFirst()
    if (order === undefined) throw notFound()
    return c.json(order)
  })

  return app
}
