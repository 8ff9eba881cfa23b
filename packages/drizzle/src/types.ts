// Types an application names when it passes databases and transactions around.

import type { TransactionContext, TransactionOptions } from '@moorings/core'

/**
 * The `tx` that `db.transaction` hands out.
 *
 * @example
 * async function debit(tx: TransactionOf<typeof db>, id: number, amount: number) { … }
 */
export type TransactionOf<Database extends { transaction: (body: never) => unknown }> = Parameters<
  Parameters<Database['transaction']>[0]
>[0]

/**
 * The `db` that `withSession` hands out: all of the database but `$client`.
 *
 * @example
 * async function load(db: SessionOf<typeof db>, rows: Row[]) { … }
 */
export type SessionOf<Database> = Omit<Database, '$client'>

/** A Drizzle database whose transactions are ours: what they may be told, and what their body is given. */
export type Resilient<Database extends { transaction: (body: never) => unknown }> = {
  /** As Drizzle's, with all that a transaction of ours may be told. The body's second argument is the attempt it is. */
  transaction<T>(
    body: (tx: TransactionOf<Database>, context: TransactionContext) => Promise<T>,
    options?: TransactionOptions,
  ): Promise<T>
} & Database
