// Work that is to be done outside of any transaction (propagation `supports`, `never`, `notSupported`), told the same as
// the body of one: there is one attempt, and nothing to wait for the end of.

import { begun } from '../begun.js'
import type { Connection } from '../driver.js'
import { toldBy } from '../errors/causes.js'
import type { Pool } from '../pool/pool.js'
import { outsideTransaction, type TransactionContext } from '../scope.js'
import { type AfterEnd, tellFailed } from './after.js'
import { Limits } from './limits.js'
import type { ResolvedTransaction } from './transaction-options.js'

/**
 * What its limits end is the wait for it: a statement of its own is ended by `signal`, where it is given that.
 *
 * @param outside runs it outside of what is around it
 */
export async function withNone<C extends Connection, T>(
  pool: Pool<C>,
  work: (context: TransactionContext) => Promise<T> | T,
  options: ResolvedTransaction,
  outside: <R>(run: () => R) => R = outsideTransaction,
): Promise<T> {
  const limits = new Limits(pool.deadlines, options)
  const over = new AbortController()
  const noted: Promise<void>[] = []
  const context: TransactionContext = {
    attempt: 1,
    signal: over.signal,
    afterCommit: (run) => {
      noted.push(atOnce(pool, run))
    },
    afterRollback: () => {},
  }
  try {
    return await limits.hold(() => outside(() => begun(() => work(context))))
  } catch (error) {
    if (limits.over !== undefined) over.abort(limits.over)
    throw error
  } finally {
    limits.end()
    await Promise.all(noted)
  }
}

/** What it throws stops nothing, as after a COMMIT. */
async function atOnce<C extends Connection>({ driver, identity }: Pool<C>, run: AfterEnd): Promise<void> {
  try {
    await run()
  } catch (cause) {
    tellFailed(identity, toldBy(cause, driver), 'committed')
  }
}
