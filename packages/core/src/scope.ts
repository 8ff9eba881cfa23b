// What the current call chain is inside of: carried by AsyncLocalStorage through everything the chain awaits or starts.
// The leases it holds, so that a wait for itself can be told; and the transaction it is in, so that others may join.

import { AsyncLocalStorage } from 'node:async_hooks'
import { assertFunction, begun, isLazy } from './begun.js'
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

interface Frame {
  /** Undefined where the chain has stepped outside of every transaction. */
  readonly pool: object | undefined
  readonly lease: () => Lease | undefined
  readonly context: () => TransactionContext | undefined
  /** Whether what the frame stands for goes on. */
  readonly open: () => boolean
  outer: Frame | undefined
}

const frames = new AsyncLocalStorage<Frame>()

let following = false

/**
 * Has call chains followed from now on: to be called well before `enter`. Before Node 24, what was waiting for something when
 * the first use was made has nothing of its own to note things on when it goes on, and what is noted there is everybody's.
 */
export function followCallChains(): void {
  if (following) return
  following = true
  const nowhere = {
    pool: undefined,
    lease: () => undefined,
    context: () => undefined,
    open: () => false,
    outer: undefined,
  }
  frames.run(nowhere, () => {})
}

/** A place in a call chain where it may turn out to be inside of something, once that has begun. */
class Place implements Frame {
  pool: object = this
  context: () => TransactionContext | undefined = () => undefined
  open: () => boolean = () => true
  outer = outer()
  readonly lease = (): undefined => undefined
}

export type { Place }

/** The current call chain, and what follows in it. To be called before the first `await` of what is called in it. */
export function placeHere(): Place {
  const place = new Place()
  frames.enterWith(place)
  return place
}

/** What is over is let go of: work that goes on starting new work would make an endless chain. */
function outer(): Frame | undefined {
  const top = openFrom(frames.getStore())
  for (let at = top; at !== undefined; at = at.outer) at.outer = openFrom(at.outer)
  return top
}

function openFrom(frame: Frame | undefined): Frame | undefined {
  let at = frame
  while (at !== undefined && !at.open()) at = at.outer
  return at
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
  readonly #ambients = new WeakMap<Frame, () => Ambient<Scope> | undefined>()
  readonly #sessions = new WeakMap<Frame, Session>()

  /** @param pool by which frames are known to be its own */
  constructor(pool: object) {
    this.#pool = pool
  }

  /** Runs the body as one that holds this lease, if there is one, and is inside of that transaction, if it is in one. */
  run<T>(lease: Lease | undefined, ambient: Ambient<Scope> | undefined, body: () => T): T {
    return frames.run(
      this.#frame(() => lease, ambient && (() => ambient)),
      body,
    )
  }

  /**
   * The same for what follows in the current call chain, where there is no body to run: an async function that calls this
   * before its first `await` does so for whoever called it, too.
   *
   * Both may come later.
   */
  enter(lease: () => Lease | undefined, ambient?: () => Ambient<Scope> | undefined): void {
    frames.enterWith(this.#frame(lease, ambient))
  }

  /** Runs the body as one that is inside of that session, and of no transaction that is around it. */
  runIn<T>(session: Session, body: () => T): T {
    const frame: Frame = {
      pool: this.#pool,
      lease: () => session.lease,
      context: () => undefined,
      open: () => session.around,
      outer: outer(),
    }
    this.#sessions.set(frame, session)
    return frames.run(frame, body)
  }

  /** From now on what is called at that place is inside of the transaction, while that is open. */
  settle(place: Place, ambient: Ambient<Scope>): void {
    place.pool = this.#pool
    place.context = () => ambient.context
    place.open = ambient.open
    this.#ambients.set(place, () => ambient)
  }

  /** The innermost transaction the current call chain is inside of. */
  get current(): Ambient<Scope> | undefined {
    for (let at = frames.getStore(); at !== undefined; at = at.outer) {
      if (at.pool === undefined) return undefined
      if (at.pool !== this.#pool) continue
      const ambient = this.#ambients.get(at)?.()
      if (ambient?.open() === true) return ambient
      if (this.#sessions.get(at)?.around === true) return undefined
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
      const ambient = at.pool === this.#pool ? this.#ambients.get(at)?.() : undefined
      if (ambient?.open() === true && meant(ambient)) return ambient
    }
    return undefined
  }

  /** The session the current call chain is inside of, unless there is a transaction in between. */
  get session(): Session | undefined {
    for (let at = frames.getStore(); at !== undefined; at = at.outer) {
      if (at.pool !== this.#pool) continue
      const session = this.#sessions.get(at)
      if (session?.around === true) return session
      if (this.#ambients.get(at)?.()?.open() === true) return undefined
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

  #frame(lease: () => Lease | undefined, ambient: (() => Ambient<Scope> | undefined) | undefined): Frame {
    const frame: Frame = {
      pool: this.#pool,
      lease,
      context: () => ambient?.()?.context,
      // Also while both are still to come.
      open: () => {
        const held = lease()
        const inside = ambient?.()
        return held === undefined && inside === undefined ? true : held?.released === false || inside?.open() === true
      },
      outer: outer(),
    }
    if (ambient !== undefined) this.#ambients.set(frame, ambient)
    return frame
  }
}

function context(): TransactionContext | undefined {
  for (let at = frames.getStore(); at !== undefined; at = at.outer) {
    if (at.pool === undefined) return undefined
    const found = at.open() ? at.context() : undefined
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
  const outside = { pool: undefined, lease: () => undefined, context: () => undefined, open, outer: around }
  return frames.run(outside, () => {
    const value = body()
    return isLazy(value) ? begun(() => value) : value
  })
}
