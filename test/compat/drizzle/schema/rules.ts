// Tables that exist for their constraints: generated columns, deferred keys, exclusion, another schema.

import { sql } from 'drizzle-orm'
import { customType, integer, jsonb, numeric, pgSchema, pgTable, serial, text } from 'drizzle-orm/pg-core'

export const audit = pgSchema('audit')

export const events = audit.table('events', {
  id: integer().primaryKey().generatedAlwaysAsIdentity(),
  kind: text().notNull(),
  kindLength: integer('kind_length').generatedAlwaysAs(sql`length("kind")`),
  payload: jsonb().notNull().default({}),
})

/** Its unique constraint on the owner is checked at COMMIT. */
export const accounts = pgTable('accounts', {
  id: serial().primaryKey(),
  owner: text().notNull(),
  balance: numeric({ precision: 12, scale: 2 }).notNull().default('0'),
})

/** Its foreign key is checked at COMMIT. */
export const transfers = pgTable('transfers', {
  id: serial().primaryKey(),
  accountId: integer('account_id').notNull(),
  amount: numeric({ precision: 12, scale: 2 }).notNull(),
})

export const tstzrange = customType<{ data: string }>({ dataType: () => 'tstzrange' })

/** No two bookings may overlap. */
export const bookings = pgTable('bookings', {
  id: serial().primaryKey(),
  room: text().notNull(),
  during: tstzrange().notNull(),
})
