// Nested transactions: savepoints in one that is open, one at a time at each level.

import { begun } from '../begun.js'
import type { Connection } from '../driver.js'
import { NestedTransactionOpenError } from '../errors.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { Ambient, TransactionContext } from '../scope.js'
import type { After } from './after.js'
import { type FirstError, joinedFailed } from './first-error.js'
import type { Level } from './level.js'
import type { Limits } from './limits.js'
import { answered, attachRollbackError, left, stopStrays } from './roll-back.js'
import type { TransactionScope } from './transaction.js'

/** The transaction that they are parts of. */
export interface Trunk<C extends Connection> {
  readonly pool: Pool<C>
  readonly lease: Lease<C>
  readonly context: TransactionContext
  readonly after: After
  readonly failed: FirstError
  /** Whether it has not ended. */
  readonly open: boolean
  /** @throws TransactionEndedError */
  assertOpen(): void
  ambient(scope: TransactionScope<C>, open: () => boolean): Ambient<TransactionScope<C>>
}

export class Nested<C extends Connection> {
  readonly #trunk: Trunk<C>
  readonly #outermost: Level
  readonly #levels = new WeakMap<TransactionScope<C>, Level>()
  #savepoints = 0

  /**
   * @param scope the transaction's own
   * @param outermost the level of the transaction itself
   */
  constructor(trunk: Trunk<C>, scope: TransactionScope<C>, outermost: Level) {
    this.#trunk = trunk
    this.#outermost = outermost
    this.#levels.set(scope, outermost)
  }

  /** The one the current call chain is in; the innermost that is open, if it is in none. */
  get here(): Level {
    let level = this.#around
    if (level !== undefined) return level
    for (level = this.#outermost; level.inner !== undefined; ) level = level.inner
    return level
  }

  get #around(): Level | undefined {
    const found = this.#trunk.pool.scopes.find(({ scope }) => this.#levels.has(scope))
    return found && this.#levels.get(found.scope)
  }

  async run<T>(
    outer: Level,
    body: (scope: TransactionScope<C>) => Promise<T> | T,
    label: string | undefined,
    limits: Limits | undefined,
  ): Promise<T> {
    const level = await this.#enter(outer, label, limits)
    const trunk = this.#trunk
    const { failed, lease, pool } = trunk
    const firstError = failed.value
    try {
      // Since it was entered, all of it may have come to an end.
      trunk.assertOpen()
      const { connection } = lease
      if (limits?.over !== undefined) throw limits.over
      let set = false
      try {
        const setting = connection.savepoint(level.name)
        if (setting !== undefined) await within(limits, setting)
        set = true
        const ambient = trunk.ambient(this.#scope(level), () => trunk.open && (level === outer.inner || level.undone))
        const result = await pool.scopes.run(lease, ambient, () => begun(() => body(ambient.scope)))
        this.#assertSound(level)
        if (limits?.over !== undefined) throw limits.over
        const releasing = connection.release(level.name)
        if (releasing !== undefined) await within(limits, releasing)
        return result
      } catch (error) {
        // What its body has left running must not become a part of what goes on.
        level.undone = true
        trunk.after.undoneIn(level)
        // One whose SAVEPOINT was refused has nothing to undo; of one that was not waited for any longer nobody knows.
        if (set || limits?.over !== undefined) await this.#undo(level, error, firstError)
        throw error
      }
    } finally {
      level.end()
    }
  }

  /** Not async: one that need not wait is entered before anything else can be sent. */
  #enter(outer: Level, label: string | undefined, limits: Limits | undefined): Level | Promise<Level> {
    this.#trunk.assertOpen()
    const { inner } = outer
    // From within the one that is open it would wait for what waits for it: it is refused at once.
    const fromWithin = inner !== undefined && this.#around?.isIn(inner) === true
    return outer.taken && !fromWithin ? this.#enterInTurn(outer, label, limits) : this.#enterNow(outer, label)
  }

  #enterNow(outer: Level, label: string | undefined): Level {
    this.#trunk.assertOpen()
    outer.assertUsable()
    // Throws when it is gone.
    void this.#trunk.lease.connection
    return outer.enter(`s${this.#savepoints++}${label === undefined ? '' : `_${label}`}`)
  }

  async #enterInTurn(outer: Level, label: string | undefined, limits: Limits | undefined): Promise<Level> {
    const { deadlines, resilience } = this.#trunk.pool
    await outer.turn(deadlines, resilience.pool.acquireTimeoutMs, limits)
    try {
      return this.#enterNow(outer, label)
    } catch (error) {
      outer.pass()
      throw error
    }
  }

  #assertSound(level: Level): void {
    const { failed, lease } = this.#trunk
    this.#trunk.assertOpen()
    level.assertLive()
    if (level.inner !== undefined) {
      throw new NestedTransactionOpenError(
        'This nested transaction was rolled back: its body ended while another in it was open. Await the inner one',
      )
    }
    if (level.spoilt !== undefined) throw joinedFailed(level.spoilt.by)
    // RELEASE would be refused, and say less than what failed first.
    if (lease.connection.transactionStatus === 'failed') throw failed.aborted()
  }

  async #undo(level: Level, error: unknown, firstError: unknown): Promise<void> {
    const { failed, lease, open, pool } = this.#trunk
    // With the connection gone there is nothing to undo, and the body's own error says more than ours would. Nor is there
    // when one around it was undone before, and its savepoint with that.
    if (!open || !level.live || lease.lost || lease.released) return
    const { connection } = lease
    stopStrays(connection, left())
    const failure = await answered(pool, 'ROLLBACK TO', async () => connection.rollbackTo(level.name))
    if (failure === undefined) failed.backTo(firstError)
    else {
      connection.destroy(failure)
      attachRollbackError(error, failure)
    }
  }

  #scope(level: Level): TransactionScope<C> {
    const trunk = this.#trunk
    const scope: TransactionScope<C> = {
      context: trunk.context,
      session: trunk.lease.session,
      get connection() {
        trunk.assertOpen()
        level.assertUsable()
        return trunk.lease.connection
      },
      // Of one that was undone nothing is left that could have failed.
      noteError: (error) => {
        if (level.live) trunk.failed.note(error)
      },
      assertSound: () => trunk.failed.assertNone(),
      spoil: (by) => {
        level.spoilt ??= { by }
      },
      get mark() {
        return { noted: trunk.after.mark, firstError: trunk.failed.value }
      },
      backTo: ({ noted, firstError }) => {
        trunk.after.undoneSince(noted, level)
        trunk.failed.backTo(firstError)
      },
      savepoint: (body, label, limits) => this.run(level, body, label, limits),
    }
    this.#levels.set(scope, level)
    return scope
  }
}

function within<T>(limits: Limits | undefined, sent: Promise<T>): Promise<T> {
  return limits === undefined ? sent : limits.hold(() => sent)
}
