// A transaction as a whole: BEGIN, body, COMMIT, as often as it takes and is allowed. Each attempt has a connection and a
// transaction of its own; the body of one has settled before the next begins.

import type { Deadline } from '../deadlines.js'
import type { Connection } from '../driver.js'
import { ConnectionLostError, type MooringsError, ReadOnlyEndpointError } from '../errors.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { Taking } from '../pool/stacks.js'
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
  around: Around<C>,
): Promise<T> {
  const startedAt = pool.deadlines.clock.now()
  const limits = new Limits(pool.deadlines, options)
  let retries: Retries<C> | undefined
  pool.retryBudget.begun()
  try {
    for (let attempt = 1; ; attempt++) {
      if (limits.over !== undefined) throw limits.over
      const tried = await tryOnce(pool, body, options, around, attempt, limits)
      if ('result' in tried) return tried.result
      retries ??= new Retries(pool, options, limits, startedAt)
      await limits.pause(retries.pauseAfter(tried.failed, attempt))
    }
  } finally {
    limits.end()
  }
}

/** A class, as it lives as long as the transaction: see its context. */
export class Around<C extends Connection> {
  /** Who gives it a connection. */
  readonly source: Source<C>
  readonly joined: boolean
  /** Where it was asked for. */
  readonly taking: Taking | undefined

  constructor(source: Source<C>, joined: boolean, taking: Taking | undefined) {
    this.source = source
    this.joined = joined
    this.taking = taking
  }
}

/** All of it in one: what runs for every transaction saves a promise for each function that is not async. */
async function tryOnce<C extends Connection, T>(
  pool: Pool<C>,
  body: TransactionBody<C, T>,
  options: ResolvedTransaction,
  { source, joined, taking }: Around<C>,
  attempt: number,
  limits: Limits,
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
    lease = await source.acquire({ signal: limits.signal, timeoutMs: Math.ceil(timeoutMs), patient, taking })
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
  let committing = false
  let tried: Attempt<T>
  try {
    if (limits.bounded) limits.whenOver = givingUp(lease)
    const begun = Transaction.begin(pool, lease, { settings, exactlyOnce, attempt, joined })
    transaction = begun instanceof Transaction ? begun : await begun
    limits.whenOver = undefined
    const result = await settled(pool, lease, transaction, body, limits)
    if (limits.over !== undefined) throw limits.over
    committing = true
    // COMMIT cannot be taken back: whether it happened is found out.
    if (limits.bounded) limits.whenOver = givingUp(lease, transaction)
    await transaction.commit()
    tried = { result }
  } catch (error) {
    tried = { failed: await failureOf(lease, committing ? undefined : transaction, error, limits) }
  }
  limits.whenOver = undefined
  if ('failed' in tried) {
    const { causes } = tried.failed
    const demoted = causes.some((cause) => cause instanceof ReadOnlyEndpointError) && !lease.lost && !lease.released
    // The others that lead there would be refused as well.
    if (demoted && settings.accessMode !== 'read only') pool.demoted(lease.connection)
  }
  lease.release()
  const finishing = transaction?.finish()
  if (finishing !== undefined) await finishing
  return tried
}

/**
 * Undoes what was begun, and tells what that has failed for. Never rejects.
 *
 * @param transaction undefined if there is nothing to be undone: BEGIN or COMMIT has failed
 */
async function failureOf<C extends Connection>(
  lease: Lease<C>,
  transaction: Transaction<C> | undefined,
  error: unknown,
  limits: Limits,
): Promise<Failure> {
  if (transaction === undefined) return { error, causes: [error] }
  try {
    const telling = transaction.telling(error)
    const lost =
      lease.lost && !(error instanceof ConnectionLostError && error.retry === 'never') ? lostOf(lease) : undefined
    const failure = await transaction.rollback(limits.over)
    if (failure !== undefined) attachRollbackError(telling, failure)
    // Where the connection went, or an earlier statement failed, what the body made of it matters less.
    // And one that still runs is not run beside itself, whatever failed in it before.
    const causes = lease.lost && lost === undefined ? [error] : [telling, lost, transaction.firstError]
    return { error: telling, causes }
  } catch (hostile) {
    // An error of the application's that lets nobody look at it.
    return { error: hostile, causes: [hostile] }
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
    if (limits.bounded) {
      limits.whenOver = (error) => {
        transaction.giveUp(error)
        fail(error)
      }
      if (limits.over !== undefined) {
        limits.whenOver(limits.over)
        return
      }
    }
    // It may have gone since it was begun: nothing could come of it.
    if (lease.lost) {
      fail(lostOf(lease))
      return
    }
    transaction.carry(
      () => body(transaction, transaction.context),
      (value) => {
        done()
        resolve(value)
      },
      fail,
    )
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
function givingUp<C extends Connection>(lease: Lease<C>, committing?: Transaction<C>): (error: MooringsError) => void {
  return (cause) => {
    if (!lease.lost && !lease.released) {
      const why = 'The connection was given up, as its transaction had to end'
      lease.connection.destroy(new ConnectionLostError(why, { cause }))
    }
    committing?.hurry()
  }
}

/** @param limitMs undefined when the pool was closed, and nobody waits any longer */
function stillRunning(reason: MooringsError, limitMs: number | undefined): ConnectionLostError {
  const on =
    limitMs === undefined ? 'was still going on when the pool was closed' : `went on for more than ${limitMs} ms`
  const message = `The connection was lost, and the body of its transaction ${on}: it is not run again`
  return new ConnectionLostError(message, { code: reason.code, cause: reason, retry: 'never' })
}
