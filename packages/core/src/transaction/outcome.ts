// What became of a transaction whose COMMIT was not answered: asked through another connection, for as long as it takes
// to have one, within a limit.

import type { CommitOutcome, CommitTicket, Connection } from '../driver.js'
import { ConnectionLostError, type MooringsError, PoolClosedError } from '../errors.js'
import { publish } from '../events.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'

/** Between two questions that could not be answered. */
const PAUSE_MS = 100

/** @param ticket undefined: not known, and nobody can be asked */
export async function askOutcome<C extends Connection>(
  pool: Pool<C>,
  ticket: CommitTicket | 'nothing' | undefined,
): Promise<CommitOutcome> {
  // To run it again does no harm.
  if (ticket === 'nothing') return 'rolled-back'
  if (ticket === undefined || pool.driver.outcomeOf === undefined) return 'unknown'
  const { clock } = pool.deadlines
  const startedAt = clock.now()
  const { outcome, error } = await ask(pool, ticket, startedAt + pool.resilience.transaction.outcomeTimeoutMs)
  pool.transactions.resolved[outcome]++
  publish('moorings:commit:resolved', pool.identity, () => ({
    transactionId: ticket.transactionId,
    outcome,
    tookMs: clock.now() - startedAt,
    error,
  }))
  return outcome
}

interface Answer {
  readonly outcome: CommitOutcome
  /** Why it could not be found out. */
  readonly error: MooringsError | undefined
}

async function ask<C extends Connection>(pool: Pool<C>, ticket: CommitTicket, until: number): Promise<Answer> {
  const { deadlines, driver } = pool
  const late = () => new ConnectionLostError('What became of the transaction could not be found out in time')
  for (;;) {
    const leftMs = Math.ceil(until - deadlines.clock.now())
    if (leftMs <= 0) return { outcome: 'unknown', error: late() }
    try {
      const question = ({ connection }: Lease<C>) =>
        deadlines.limit(leftMs, late, async (signal) => {
          try {
            return (await driver.outcomeOf?.(ticket, connection, signal)) ?? 'unknown'
          } finally {
            // A question that is still under way is nobody's.
            if (signal.aborted) connection.destroy(late())
          }
        })
      // First: those who wait may wait for the locks of what is asked about. And in a pool that is suspended, where the
      // time of those who wait stands still, ours does not.
      const outcome = await deadlines.limit(leftMs, late, (signal) =>
        pool.lease(question, { signal, timeoutMs: leftMs, urgent: true }),
      )
      return { outcome, error: undefined }
    } catch (cause) {
      const error = driver.classify(cause, 'statement')
      // Nothing will be had from it any more.
      if (error instanceof PoolClosedError) return { outcome: 'unknown', error }
      if (until - deadlines.clock.now() <= PAUSE_MS) return { outcome: 'unknown', error }
    }
    await new Promise<void>((resolve) => deadlines.awaited(PAUSE_MS, () => resolve()))
  }
}
