// What the current call chain is inside of: carried by AsyncLocalStorage through everything the chain awaits or starts.
// The leases it holds, so that a wait for itself can be told; and the transaction it is in, so that others may join.

import { assertFunction, begun, isLazy } from './begun.js'
import { type Frame, frames, InSession, Outside, type OwnFrame, outer, type Place, Work } from './frames.js'
import type { Lease } from './pool/lease.js'
import type { AfterEnd } from './transaction/after.js'

/** Of the transaction that is being run: what its body is told beside its handle. */
export interface TransactionContext {
  /** How often the body has been begun, from 1. */
  readonly attempt: number
  /** Fires when this attempt can come to nothing any more: its connection is gone, its time is up, its caller gave up. */
  readonly signal: AbortSignal
  /**
   * Runs `run` once the transaction is committed and its connection is back, in the order of the calls. It is forgotten
   * when the savepoint or the attempt it was noted in is rolled back. What it throws stops nothing: the transaction *is*
   * committed. `withTransaction` resolves after it.
   */
  afterCommit(run: AfterEnd): void
  /** As `afterCommit`, when the transaction, the attempt or the savepoint it was noted in was rolled back. */
  afterRollback(run: AfterEnd): void
}

/** Something a call chain is inside of, which a query may join. */
export interface Ambient<Scope> {
  readonly scope: Scope
  readonly context: TransactionContext
  /** Whether it was begun for everything in its call chain, or for its own handle only. */
  readonly joined: boolean
  /** Whether it has not ended. */
  readonly open: () => boolean
  /** Whether it is a test's own: what is asked for in it goes as if it was not there. */
  readonly test?: boolean | undefined
}

/** A stretch of work that a call chain may be inside of, on a connection that its statements are to run on. */
export interface Stretch {
  /** While it has one. */
  readonly lease: Lease | undefined
  /** Whether what is done in its call chain is its business. */
  readonly around: boolean
}

/** What call chains are inside of, as far as one pool is concerned. */
export class Scopes<Scope, Session extends Stretch> {
  readonly #pool: object

  /** @param pool by which frames are known to be its own */
  constructor(pool: object) {
    this.#pool = pool
  }

  /** Runs the body as one that holds this lease, if there is one, and is inside of that transaction, if it is in one. */
  run<T>(lease: Lease | undefined, ambient: Ambient<Scope> | undefined, body: () => T): T {
    const work = new Work(
      this.#pool,
      () => lease,
      () => ambient,
    )
    return frames.run(work, body)
  }

  /**
   * The same for what follows in the current call chain, where there is no body to run: an async function that calls this
   * before its first `await` does so for whoever called it, too.
   *
   * Both may come later.
   */
  enter(lease: () => Lease | undefined, ambient: () => Ambient<Scope> | undefined = () => undefined): void {
    frames.enterWith(new Work(this.#pool, lease, ambient))
  }

  /** Runs the body as one that is inside of that session, and of no transaction that is around it. */
  runIn<T>(session: Session, body: () => T): T {
    return frames.run(new InSession(this.#pool, session), body)
  }

  /** From now on what is called at that place is inside of the transaction, while that is open. */
  settle(place: Place, ambient: Ambient<Scope>): void {
    place.pool = this.#pool
    place.ambient = () => ambient
    place.open = ambient.open
  }

  /** The innermost transaction the current call chain is inside of. */
  get current(): Ambient<Scope> | undefined {
    for (let at = frames.getStore(); at !== undefined; at = at.outer) {
      if (at.pool === undefined) return undefined
      if (!this.#isOwn(at)) continue
      const ambient = at.ambient()
      if (ambient?.open() === true) return ambient
      if (at.session?.around === true) return undefined
    }
    return undefined
  }

  /**
   * The innermost transaction the current call chain is inside of, of those that are meant.
   *
   * @param beyond also where the chain has stepped outside of it
   */
  find(meant: (ambient: Ambient<Scope>) => boolean, beyond = true): Ambient<Scope> | undefined {
    for (let at = frames.getStore(); at !== undefined; at = at.outer) {
      if (at.pool === undefined && !beyond) return undefined
      const ambient = this.#isOwn(at) ? at.ambient() : undefined
      if (ambient?.open() === true && meant(ambient)) return ambient
    }
    return undefined
  }

  /** The session the current call chain is inside of, unless there is a transaction in between. */
  get session(): Session | undefined {
    for (let at = frames.getStore(); at !== undefined; at = at.outer) {
      if (!this.#isOwn(at)) continue
      if (at.session?.around === true) return at.session
      if (at.ambient()?.open() === true) return undefined
    }
    return undefined
  }

  /** The leases that the current call chain still holds, the innermost first. */
  get held(): Lease[] {
    const held: Lease[] = []
    for (let at = frames.getStore(); at !== undefined; at = at.outer) {
      const lease = at.pool === this.#pool ? at.lease() : undefined
      if (lease !== undefined && !lease.released && !held.includes(lease)) held.push(lease)
    }
    return held
  }

  /** What stands for something of this pool was noted here. */
  #isOwn(frame: Frame): frame is OwnFrame<Scope, Session> {
    return frame.pool === this.#pool
  }
}

function context(): TransactionContext | undefined {
  for (let at = frames.getStore(); at !== undefined; at = at.outer) {
    if (at.pool === undefined) return undefined
    const found = at.open() ? at.ambient()?.context : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * The transaction the current call chain is inside of, the innermost if there are several: begun by `withTransaction`, by
 * `db.transaction()` or by a pool.
 *
 * @example
 * logger.info({ attempt: currentTransaction()?.attempt }, 'booking')
 */
export function currentTransaction(): TransactionContext | undefined {
  return context()
}

/**
 * Runs `run` once the current transaction is committed; at once, and to its end, when there is none.
 *
 * @see TransactionContext.afterCommit
 * @example
 * await withTransaction(db, async (tx) => {
 *   await tx.insert(orders).values(order)
 *   await afterCommit(() => mailer.send(confirmation))
 * })
 */
export async function afterCommit(run: AfterEnd): Promise<void> {
  assertFunction(run, 'run')
  const current = context()
  if (current === undefined) await run()
  else current.afterCommit(run)
}

/** Runs `run` once the current transaction, or the savepoint this was called in, is rolled back; never when there is none. */
export function afterRollback(run: AfterEnd): void {
  assertFunction(run, 'run')
  context()?.afterRollback(run)
}

/**
 * Runs the body as if no transaction were around it: queries on the root database take a connection of their own.
 *
 * @example
 * await outsideTransaction(() => db.insert(audit).values(entry)) // stays, even if the transaction around it is rolled back
 */
export function outsideTransaction<T>(body: () => PromiseLike<T>): Promise<T>
export function outsideTransaction<T>(body: () => T): T
export function outsideTransaction<T>(body: () => PromiseLike<T> | T): PromiseLike<T> | T {
  const around = outer()
  // What has stepped outside before goes on as long as what is around that: to ask it as well would be to ask twice.
  const open = () => {
    for (let at = around; at !== undefined; at = at.outer) if (at.pool !== undefined && at.open()) return true
    return false
  }
  return frames.run(new Outside(open, around), () => {
    const value = body()
    return isLazy(value) ? begun(() => value) : value
  })
}
