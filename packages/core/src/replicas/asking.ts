// Where a server's log is, asked through its pool; and beside that while others hold all of its connections: how much a
// replica shows has nothing to do with how busy it is, or the primary.

import type { Deadlines } from '../deadlines.js'
import type { Connection, LogPosition } from '../driver.js'
import { AcquireTimeoutError, isMooringsError, QueueFullError } from '../errors.js'
import { unanswered } from '../pool/farewells.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'

/**
 * - `busy`: it is up, but had no connection for the question
 * - `silent`: it cannot be reached, or did not answer
 */
export type Answer = Told | 'busy' | 'silent'

export interface Told {
  readonly position: LogPosition
  /** No later than it was read. */
  readonly at: number
}

export class Asking<C extends Connection> {
  readonly #deadlines: Deadlines
  readonly #beside = new Set<Promise<unknown>>()
  readonly #ended = new AbortController()
  readonly #silent = new WeakSet<Pool<C>>()

  /** @param deadlines not a replica's, which forgets them when it is closed by itself */
  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines
  }

  /** Within the pool's `validationTimeoutMs` for each step. Never rejects. */
  async position(pool: Pool<C>): Promise<Answer> {
    // One question upon another would keep a process for ever that may end: the connect under way is to end first.
    if (this.#silent.has(pool) && pool.resilience.pool.allowExitOnIdle && pool.stats().connecting > 0) return 'silent'
    const answer = await this.#position(pool)
    if (answer === 'silent') this.#silent.add(pool)
    else this.#silent.delete(pool)
    return answer
  }

  async #position(pool: Pool<C>): Promise<Answer> {
    const limitMs = pool.resilience.pool.validationTimeoutMs
    const ask = ({ connection }: Lease<C>) =>
      this.#deadlines.limit(limitMs, unanswered, (signal) => read(pool, connection, signal))
    try {
      // Time stands still for those who wait for a pool that is suspended.
      return await this.#deadlines.limit(2 * limitMs, unanswered, (signal) =>
        pool.lease(ask, { timeoutMs: limitMs, signal, brief: true, urgent: true, patient: false }),
      )
    } catch (error) {
      return isBusy(error) ? this.#besides(pool, limitMs) : 'silent'
    }
  }

  async #besides(pool: Pool<C>, limitMs: number): Promise<Answer> {
    let over = false
    const late = () => {
      over = true
      return unanswered()
    }
    const answer = this.#deadlines.limit(limitMs, late, (limit) => {
      const signal = AbortSignal.any([limit, this.#ended.signal])
      const asked = pool.beside(signal, (connection) => read(pool, connection, signal))
      const settled = asked.catch(() => {}).finally(() => this.#beside.delete(settled))
      this.#beside.add(settled)
      return asked
    })
    // A server that has no room says so.
    return answer.catch(() => (over ? 'silent' : 'busy'))
  }

  /** Resolves when nothing of it is left. */
  async end(): Promise<void> {
    this.#ended.abort()
    await Promise.all(this.#beside)
  }
}

/** It would have a connection, were there not so many who want one. */
export function isBusy(error: unknown): boolean {
  if (!isMooringsError(error)) return false
  return (error instanceof QueueFullError || error instanceof AcquireTimeoutError) && error.pool.leased > 0
}

async function read<C extends Connection>(pool: Pool<C>, connection: C, signal: AbortSignal): Promise<Told> {
  const { driver, deadlines } = pool
  const at = deadlines.clock.now()
  const position = driver.logPosition === undefined ? 'unknown' : await driver.logPosition(connection, signal)
  return { position, at }
}
