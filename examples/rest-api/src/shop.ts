// One pool, and both ORMs on it.

import { readFile } from 'node:fs/promises'
import type { ResilienceOptions } from '@moorings/core'
import { drizzle, type ResilientDatabase } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { errors } from './messages.js'
import { type OrderTables, users } from './tables.js'

const schema = { users }

export interface Shop {
  readonly pool: PostgresPool
  /** Drizzle. */
  readonly accounts: ResilientDatabase<typeof schema>
  /** Kysely. */
  readonly sales: Kysely<OrderTables>
}

/** Opens no connection before the first query. Whoever opens it closes `pool`. */
export function openShop(url: string, limits: ResilienceOptions['pool'] = {}): Shop {
  const pool = createPool(url, {
    resilience: {
      // Nobody waits half a minute for a web page: rather a 503 that says when to come again.
      pool: { max: 10, acquireTimeoutMs: 2_000, ...limits },
      statement: { timeoutMs: 5_000 },
      errors,
    },
  })
  return {
    pool,
    accounts: drizzle({ client: pool, schema }),
    sales: new Kysely<OrderTables>({ dialect: new ResilientPostgresDialect({ client: pool }) }),
  }
}

/** Where they are not there yet. */
export async function createTables({ accounts }: Shop): Promise<void> {
  await accounts.$client.unsafe(await readFile(new URL('../schema.sql', import.meta.url), 'utf8'))
}

/** Something to sell, where there is nothing yet. */
export async function fillShelves({ sales }: Shop): Promise<void> {
  const products = [
    { sku: 'anchor', stock: 3 },
    { sku: 'rope', stock: 100 },
  ]
  await sales
    .insertInto('products')
    .values(products)
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
