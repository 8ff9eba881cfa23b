// What is known of the way to an endpoint: whether a pooler stands on it that lends a server's session for one transaction
// only, and whether what was prepared is found again there. All connections that lead there share it.

import { ConnectError, type Deadlines } from '@moorings/core'
import { plain } from './codec.js'
import type { PostgresConnection } from './connection.js'

/** A pooler answers at once, unless it has no session left to lend: then each is lent for long. */
const ASK_MS = 1_000
/** Under load it may by chance lend the same session to the same connection, however often it is asked. */
const ROUNDS = 2
const AGAIN_MS = 60_000

/** Makes another connection to the same place. */
export type Beside = (signal: AbortSignal) => Promise<PostgresConnection>

export class Route {
  /** How long a server's session is lent for. Nothing but a proof makes it `transaction`, and for good. */
  lends: 'session' | 'transaction' = 'session'
  /** Whether what was prepared by its name is found again. */
  keepsPrepared = true
  readonly #deadlines: Deadlines
  #asking: Promise<void> | undefined
  #askAgainAt = 0

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  /**
   * Finds out how long a session is lent for, by its backends: when two connections meet the same one while both are there,
   * or one connection meets another than before, it is for a transaction. Never rejects.
   *
   * @returns whether that was found just now
   */
  async learn(connection: PostgresConnection, beside: Beside): Promise<boolean> {
    if (this.lends === 'transaction') return false
    const asking = this.#asking
    if (asking !== undefined) {
      await this.#within(3 * ASK_MS, () => asking).catch(() => {})
      return false
    }
    const now = this.#deadlines.clock.now()
    if (now < this.#askAgainAt) return false
    this.#askAgainAt = now + AGAIN_MS
    this.#asking = this.#ask(connection, beside)
      .catch(() => {})
      .finally(() => {
        this.#asking = undefined
      })
    await this.#asking
    // By now: TypeScript holds it to what it was.
    return this.lends !== 'session'
  }

  async #ask(connection: PostgresConnection, beside: Beside): Promise<void> {
    const met = new Set([await backendOf(connection)])
    const other = await this.#within(ASK_MS, beside)
    try {
      const others = new Set<unknown>()
      for (let round = 0; round < ROUNDS; round++) {
        others.add(await this.#within(ASK_MS, () => backendOf(other)))
        met.add(await backendOf(connection))
        if (met.size > 1 || others.size > 1 || [...met].some((backend) => others.has(backend))) {
          this.lends = 'transaction'
          break
        }
      }
      await this.#within(ASK_MS, (signal) => other.close(signal))
    } finally {
      other.destroy(late())
    }
  }

  #within<T>(limitMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.#deadlines.limit(limitMs, late, work)
  }
}

/** Not to be cancelled: a pooler may end a connection that waits for a session and is asked to stop. */
async function backendOf(connection: PostgresConnection): Promise<unknown> {
  const text = 'select pg_catalog.pg_backend_pid() as pid'
  const { rows } = await connection.execute({ text }, { site: 'connect', codec: plain, timeoutMs: 0 })
  return rows[0]?.pid
}

function late(): ConnectError {
  return new ConnectError(`The pooler on the way did not answer within ${ASK_MS} ms`)
}
