// One statement outside of any transaction, and whether it is sent again on another connection when its own was lost: only
// if it surely was not carried out, or may be carried out twice. Made when that happens for the first time; as long as
// nothing fails a statement has nothing to do with it.

import type { Connection } from '../driver.js'
import { AcquireAbortedError, ConnectionLostError } from '../errors.js'
import { publish } from '../events.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { Source } from '../session/source.js'

export class Resends<C extends Connection = Connection> {
  readonly #pool: Pool<C>
  readonly #repeatable: (lease: Lease<C>) => boolean
  #made = 0
  /** How long its connections were waited for, and how long it has run on them. */
  #waitedMs: number
  #ranMs = 0
  /** The newest loss after which nobody knows whether it was carried out. */
  #doubt: ConnectionLostError | undefined

  /**
   * @param waitedMs how long its first connection was waited for
   * @param repeatable whether carrying it out once more does no harm, after it was lost on that lease
   */
  constructor(pool: Pool<C>, waitedMs: number, repeatable: (lease: Lease<C>) => boolean) {
    this.#pool = pool
    this.#waitedMs = waitedMs
    this.#repeatable = repeatable
  }

  /** Whether it is to be sent again after this. Then it is counted, paid for and told; the lease is still to be released. */
  again(error: unknown, lease: Lease<C>): boolean {
    const { resilience, deadlines, retryBudget, statements, identity, closed } = this.#pool
    // An error of this class may also be about a connection of the server's own (a foreign table's).
    if (!(error instanceof ConnectionLostError) || error.retry !== 'reconnect' || !lease.lost) return false
    if (error.sent !== false) this.#doubt = error
    const ranMs = deadlines.clock.now() - lease.takenAt
    this.#ranMs += ranMs
    const { timeoutMs, maxResends } = resilience.statement
    const { reclaimLeaks, leakAfterMs } = resilience.pool
    const late = timeoutMs > 0 && this.#ranMs >= timeoutMs
    // It would be taken away once more.
    const reclaimed = reclaimLeaks && ranMs >= leakAfterMs
    if (closed || this.#made >= maxResends || late || reclaimed) return false
    if (error.sent !== false && !this.#repeatable(lease)) return false
    if (!retryBudget.take()) {
      statements.overBudget++
      return false
    }
    const attempt = ++this.#made
    statements.resent++
    publish('moorings:statement:resent', identity, () => ({ id: lease.id, attempt, error }))
    return true
  }

  /** What the caller is told for an error that is the last one: doubt about an earlier try goes before a try not made. */
  told(error: unknown): unknown {
    const untried = error instanceof ConnectionLostError && error.sent === false
    return untried ? (this.#doubt ?? error) : error
  }

  /** Another connection, within what is left of the time that a caller waits for one. */
  async acquire(source: Source<C>, signal?: AbortSignal): Promise<Lease<C>> {
    const { resilience, deadlines } = this.#pool
    const askedAt = deadlines.clock.now()
    const timeoutMs = Math.max(1, Math.ceil(resilience.pool.acquireTimeoutMs - this.#waitedMs))
    try {
      return await source.acquire({ brief: true, timeoutMs, signal, patient: true })
    } catch (error) {
      throw error instanceof AcquireAbortedError ? error : (this.#doubt ?? error)
    } finally {
      this.#waitedMs += deadlines.clock.now() - askedAt
    }
  }

  /** What is left of the statement's own limit; undefined where it has none. */
  get timeoutMs(): number | undefined {
    const { timeoutMs } = this.#pool.resilience.statement
    return timeoutMs === 0 ? undefined : Math.max(1, Math.ceil(timeoutMs - this.#ranMs))
  }
}
