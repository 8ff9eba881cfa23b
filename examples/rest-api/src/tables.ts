// The tables of schema.sql, as each ORM knows them.

import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import type { ColumnType, Generated } from 'kysely'

/** Drizzle's. Problems point at the keys (`name`), whatever the columns are called. */
export const users = pgTable('users', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  email: text().notNull().unique('users_email_key'),
  name: text('full_name').notNull(),
  ordersPlaced: integer('orders_placed').notNull().default(0),
})

/** May be left out when inserting, as far as the types go: that it may not is for the database to say. */
type Required<Value> = ColumnType<Value, Value | null>

/** Kysely's. */
export interface OrderTables {
  products: { sku: string; stock: number }
  orders: { id: Generated<number>; user_id: Required<number>; sku: Required<string>; quantity: Required<number> }
}
