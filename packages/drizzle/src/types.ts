// Types an application names when it passes databases and transactions around.

/**
 * The `tx` that `db.transaction` hands out.
 *
 * @example
 * async function debit(tx: TransactionOf<typeof db>, id: number, amount: number) { … }
 */
export type TransactionOf<Database extends { transaction: (body: never) => unknown }> = Parameters<
  Parameters<Database['transaction']>[0]
>[0]
