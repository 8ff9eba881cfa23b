// What comes back from a borrower is made fit for the next one, within a limit, or it goes. One that was left as it was
// found never gets here.

import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import { ConnectionLostError, type MooringsError } from '../errors.js'
import { type CloseReason, type PoolIdentity, publish } from '../events.js'
import { type Farewells, unanswered } from './farewells.js'
import type { HookCalls } from './hook-calls.js'
import type { Lease } from './lease.js'
import type { Entry, Roster } from './roster.js'

/** Enough for ROLLBACK and RESET, which take the server no time, on a link that still works. */
const RESET_TIMEOUT_MS = 5_000

export interface ReturnsParts<C extends Connection> {
  readonly pool: PoolIdentity
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  readonly roster: Roster<C>
  readonly hooks: HookCalls
  readonly farewells: Farewells
  readonly fit: (entry: Entry<C>) => void
  /** Politely; whoever waits gets another. */
  readonly retire: (entry: Entry<C>, reason: CloseReason) => void
  /** At once. */
  readonly evict: (entry: Entry<C>, reason: CloseReason, error: MooringsError) => void
}

export class Returns<C extends Connection> {
  readonly #parts: ReturnsParts<C>
  readonly #tellsHook: boolean

  constructor(parts: ReturnsParts<C>) {
    this.#parts = parts
    this.#tellsHook = parts.hooks.has('afterRelease')
  }

  /** Whether the next borrower could have it as it is. Nothing is asked of the server to know. */
  clean({ connection }: Entry<C>, { brief }: Lease<C>): boolean {
    // What a beforeAcquire hook has set is for one borrow only.
    if (brief && !this.#parts.hooks.has('beforeAcquire') && connection.sessionState === 'dirty') {
      connection.keepState('statement')
    }
    return (
      connection.activity === 'idle' &&
      connection.transactionStatus === 'idle' &&
      connection.sessionState === 'clean' &&
      !this.#tellsHook
    )
  }

  tidy(entry: Entry<C>, heldMs: number): void {
    const { farewells, retire, evict, roster, fit, driver } = this.#parts
    const { connection } = entry
    if (connection.activity === 'running' || connection.transactionStatus === 'failed') {
      if (connection.activity === 'running') farewells.cancel(connection)
      evict(entry, 'unfit', new ConnectionLostError('The connection was released with work under way on it'))
      return
    }
    entry.state = 'resetting'
    this.#mend(entry, heldMs).then(
      (unwanted) => {
        if (!roster.has(entry)) return
        if (unwanted === undefined) fit(entry)
        else retire(entry, unwanted)
      },
      (error: unknown) => evict(entry, 'unfit', driver.classify(error, 'statement')),
    )
  }

  /** Why it is not to be kept, if it is not. */
  async #mend(entry: Entry<C>, heldMs: number): Promise<CloseReason | undefined> {
    const { hooks } = this.#parts
    const { connection } = entry
    const givenUp = new AbortController()
    entry.givenUp = givenUp
    const dirty = connection.sessionState === 'dirty'
    if (dirty || connection.activity !== 'idle' || connection.transactionStatus !== 'idle')
      await this.#reset(connection)
    if (connection.sessionState === 'spoilt') return 'unfit'
    // What was undone may have been the set-up's own.
    if (dirty) await hooks.setUp(connection, givenUp.signal)
    if (!this.#tellsHook || !this.#parts.roster.has(entry)) return undefined
    if ((await hooks.afterRelease(connection, heldMs, givenUp.signal)) === 'destroy') return 'hook'
    if (connection.activity !== 'idle' || connection.transactionStatus !== 'idle') return 'unfit'
    connection.keepState('set-up')
    return undefined
  }

  async #reset(connection: C): Promise<void> {
    const { deadlines, driver, pool } = this.#parts
    const startedAt = deadlines.clock.now()
    const tell = (error: MooringsError | undefined) =>
      publish('moorings:connection:reset', pool, () => ({
        id: connection.id,
        tookMs: deadlines.clock.now() - startedAt,
        error,
      }))
    try {
      await deadlines.limit(RESET_TIMEOUT_MS, unanswered, (signal) => connection.reset(signal))
      tell(undefined)
    } catch (error) {
      tell(driver.classify(error, 'statement'))
      throw error
    }
  }
}
