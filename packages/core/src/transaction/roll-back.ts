// What it takes to roll back, all or up to a savepoint: what still runs is stopped first, the server's answer is waited for
// so long and no longer, and an error of ours does not hide the one it was done for.

import type { Connection } from '../driver.js'
import { ConnectionLostError, type MooringsError, StatementCancelledError } from '../errors.js'
import type { Pool } from '../pool/pool.js'

/** What statements are told that were still under way. */
export function left(): StatementCancelledError {
  return new StatementCancelledError('The transaction was rolled back while this statement was under way')
}

/** ROLLBACK would wait for what the body has left running, and then undo it. Returns whether there was anything. */
export function stopStrays(connection: Connection, why: MooringsError): boolean {
  if (connection.activity === 'idle') return false
  connection.stop(why)
  return true
}

/** Returns why it failed, or undefined. Never rejects. */
export function answered<C extends Connection>(
  { deadlines, driver, resilience }: Pool<C>,
  command: string,
  send: () => Promise<void>,
): Promise<MooringsError | undefined> {
  const { rollbackTimeoutMs } = resilience.transaction
  const late = () => new ConnectionLostError(`${command} was not answered within ${rollbackTimeoutMs} ms`)
  return deadlines.limit(rollbackTimeoutMs, late, send).then(
    () => undefined,
    (error: unknown) => driver.classify(error, 'statement'),
  )
}

/** Not enumerable: an application that logs or compares its own error must not find ours in it. */
export function attachRollbackError(error: unknown, rollbackError: MooringsError): void {
  if (typeof error !== 'object' || error === null || !Object.isExtensible(error)) return
  Object.defineProperty(error, 'rollbackError', { value: rollbackError, configurable: true, enumerable: false })
}
