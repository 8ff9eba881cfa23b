// A transaction as a whole: BEGIN, body, COMMIT, as often as it takes and is allowed. Each attempt has a connection and a
// transaction of its own; the body of one has settled before the next begins.

import type { Deadline } from '../deadlines.js'
import type { Connection } from '../driver.js'
import { ConnectionLostError, type MooringsError, ReadOnlyEndpointError } from '../errors.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { TransactionContext } from '../scope.js'
import type { Source } from '../session/source.js'
import { Limits } from './limits.js'
import { type Failure, Retries } from './retries.js'
import { attachRollbackError } from './roll-back.js'
import { Transaction } from './transaction.js'
import type { ResolvedTransaction } from './transaction-options.js'

/** What a transaction does. It may be run several times: what it does elsewhere than in the database is not undone. */
export type TransactionBody<C extends Connection, T> = (
  transaction: Transaction<C>,
  context: TransactionContext,
) => Promise<T> | T

type Attempt<T> = { readonly result: T } | { readonly failed: Failure }

export async function runAttempts<C extends Connection, T>(
  pool: Pool<C>,
  body: TransactionBody<C, T>,
  options: ResolvedTransaction,
  { source, joined }: { readonly source: Source<C>; readonly joined: boolean },
): Promise<T> {
  const limits = new Limits(pool.deadlines, options)
  const retries = new Retries(pool, options, limits)
  pool.retryBudget.begun()
  try {
    for (let attempt = 1; ; attempt++) {
      if (limits.over !== undefined) throw limits.over
      const tried = await tryOnce(pool, body, options, { source, attempt, joined, limits })
      if ('result' in tried) return tried.result
      await limits.pause(retries.pauseAfter(tried.failed, attempt))
    }
  } finally {
    limits.end()
  }
}

interface Around<C extends Connection> {
  /** Who gives it a connection. */
  readonly source: Source<C>
  readonly attempt: number
  readonly joined: boolean
  readonly limits: Limits
}

async function tryOnce<C extends Connection, T>(
  pool: Pool<C>,
  body: TransactionBody<C, T>,
  options: ResolvedTransaction,
  { source, attempt, joined, limits }: Around<C>,
): Promise<Attempt<T>> {
  const { settings, exactlyOnce } = options
  const timeoutMs = Math.max(
    1,
    Math.min(options.acquireTimeoutMs ?? pool.resilience.pool.acquireTimeoutMs, limits.leftMs),
  )
  let lease: Lease<C>
  try {
    // One that was begun already waits for a server to come back, when others are refused.
    const patient = attempt > 1
    lease = await source.acquire({ signal: limits.signal, timeoutMs: Math.ceil(timeoutMs), patient })
  } catch (error) {
    // It has waited as long as it may: nothing is gained by waiting again.
    throw limits.over ?? error
  }
  // It ended in the moment the lease was handed over: nobody would hear of it while BEGIN is waited for.
  const over = limits.due()
  if (over !== undefined) {
    lease.release()
    throw over
  }
  let transaction: Transaction<C> | undefined
  let tried: Attempt<T>
  try {
    limits.whenOver = givingUp(lease)
    transaction = await Transaction.begin(pool, lease, { settings, exactlyOnce, attempt, joined })
    limits.whenOver = undefined
    tried = await carryOut(pool, lease, transaction, body, limits)
  } catch (error) {
    tried = { failed: { error, causes: [error] } }
  }
  if ('failed' in tried) {
    const { causes } = tried.failed
    const demoted = causes.some((cause) => cause instanceof ReadOnlyEndpointError) && !lease.lost && !lease.released
    // The others that lead there would be refused as well.
    if (demoted && settings.accessMode !== 'read only') pool.demoted(lease.connection)
  }
  lease.release()
  await transaction?.finish()
  return tried
}

async function carryOut<C extends Connection, T>(
  pool: Pool<C>,
  lease: Lease<C>,
  transaction: Transaction<C>,
  body: TransactionBody<C, T>,
  limits: Limits,
): Promise<Attempt<T>> {
  let result: T
  try {
    result = await settled(pool, lease, transaction, body, limits)
    if (limits.over !== undefined) throw limits.over
  } catch (error) {
    const telling = transaction.telling(error)
    const lost =
      lease.lost && !(error instanceof ConnectionLostError && error.retry === 'never') ? lostOf(lease) : undefined
    const failure = await transaction.rollback(limits.over)
    if (failure !== undefined) attachRollbackError(telling, failure)
    // Where the connection went, or an earlier statement failed, what the body made of it matters less.
    // And one that still runs is not run beside itself, whatever failed in it before.
    const causes = lease.lost && lost === undefined ? [error] : [telling, lost, transaction.firstError]
    return { failed: { error: telling, causes } }
  }
  // COMMIT cannot be taken back: whether it happened is found out.
  const giveUp = givingUp(lease)
  limits.whenOver = (error) => {
    giveUp(error)
    transaction.hurry()
  }
  try {
    await transaction.commit()
    return { result }
  } catch (error) {
    return { failed: { error, causes: [error] } }
  } finally {
    limits.whenOver = undefined
  }
}

/** The body, until it has settled; but not beyond the transaction's limits, nor for ever when its connection is gone. */
function settled<C extends Connection, T>(
  pool: Pool<C>,
  lease: Lease<C>,
  transaction: Transaction<C>,
  body: TransactionBody<C, T>,
  limits: Limits,
): Promise<T> {
  const { deadlines, resilience } = pool
  const { settleTimeoutMs } = resilience.transaction
  return new Promise((resolve, reject) => {
    let patience: Deadline | undefined
    const done = () => {
      lease.whenLost = undefined
      limits.whenOver = undefined
      if (patience !== undefined) deadlines.delete(patience)
    }
    const fail = (error: unknown) => {
      done()
      reject(error)
    }
    lease.whenLost = (reason) => {
      lease.whenLost = undefined
      transaction.giveUp(reason)
      patience = deadlines.awaited(settleTimeoutMs, (closed) =>
        fail(stillRunning(reason, closed === undefined ? settleTimeoutMs : undefined)),
      )
    }
    limits.whenOver = (error) => {
      transaction.giveUp(error)
      fail(error)
    }
    if (limits.over !== undefined) {
      limits.whenOver(limits.over)
      return
    }
    // It may have gone since it was begun: nothing could come of it.
    if (lease.lost) {
      fail(lostOf(lease))
      return
    }
    transaction
      .carry(() => body(transaction, transaction.context))
      .then((value) => {
        done()
        resolve(value)
      }, fail)
  })
}

function lostOf<C extends Connection>(lease: Lease<C>): unknown {
  try {
    return void lease.connection
  } catch (error) {
    return error
  }
}

/** While the server's answer to BEGIN or COMMIT is waited for there is nothing to be stopped: its connection has to end. */
function givingUp<C extends Connection>(lease: Lease<C>): (error: MooringsError) => void {
  return (cause) => {
    if (lease.lost || lease.released) return
    const why = 'The connection was given up, as its transaction had to end'
    lease.connection.destroy(new ConnectionLostError(why, { cause }))
  }
}

/** @param limitMs undefined when the pool was closed, and nobody waits any longer */
function stillRunning(reason: MooringsError, limitMs: number | undefined): ConnectionLostError {
  const on =
    limitMs === undefined ? 'was still going on when the pool was closed' : `went on for more than ${limitMs} ms`
  const message = `The connection was lost, and the body of its transaction ${on}: it is not run again`
  return new ConnectionLostError(message, { code: reason.code, cause: reason, retry: 'never' })
}
