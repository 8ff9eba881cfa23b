// What is to be done once a transaction has ended: noted while it runs, kept or dropped with the savepoints it was noted
// in, and done in order when the connection is back.

import type { MooringsError } from '../errors.js'
import { type EventDetails, hears, type PoolIdentity, publish } from '../events.js'
import { outsideTransaction } from '../scope.js'
import type { Level } from './level.js'

export type AfterEnd = () => unknown

/**
 * What a callback of the application's threw stops nothing, but must not go by unheard: with nobody listening it is a
 * warning of the process. That names the error and no more: its message is the application's.
 */
export function tellFailed(
  pool: PoolIdentity,
  error: MooringsError,
  after: EventDetails['moorings:after:failed']['after'],
): void {
  if (hears('moorings:after:failed')) publish('moorings:after:failed', pool, () => ({ error, after }))
  else {
    const name = error.cause instanceof Error ? error.cause.name : error.name
    const callback = after === 'retry' ? 'onRetry' : after === 'committed' ? 'afterCommit' : 'afterRollback'
    process.emitWarning(
      `A callback given to ${callback} failed (${name}), and nobody listens for that: set resilience.logger, or subscribe to moorings:after:failed`,
      { type: 'MooringsWarning', code: 'MOORINGS_AFTER_FAILED', detail: `pool: ${pool.pool}` },
    )
  }
}

interface Noted {
  readonly on: 'commit' | 'rollback'
  readonly run: AfterEnd
  /** Where it was noted. */
  readonly level: Level
  /** Its savepoint was rolled back. */
  undone: boolean
}

export class After {
  #noted: Noted[] | undefined

  note(on: 'commit' | 'rollback', run: AfterEnd, level: Level): void {
    this.#noted ??= []
    this.#noted.push({ on, run, level, undone: false })
  }

  /** How many were noted so far, for `undoneSince`. */
  get mark(): number {
    return this.#noted?.length ?? 0
  }

  /** What was noted in it since belongs to work that was rolled back. */
  undoneSince(mark: number, level: Level): void {
    for (const noted of this.#noted?.slice(mark) ?? []) if (noted.level.isIn(level)) noted.undone = true
  }

  /** What was noted in it belongs to work that was rolled back; what was noted beside it meanwhile does not. */
  undoneIn(level: Level): void {
    for (const noted of this.#noted ?? []) if (noted.level.isIn(level)) noted.undone = true
  }

  /**
   * One after the other. The transaction is over, whatever they do.
   *
   * @param how undefined if that is not known: then nothing is done
   * @param failed told what one of them threw
   */
  async run(how: 'committed' | 'rolled-back' | undefined, failed: (error: unknown) => void): Promise<void> {
    const all = this.#noted
    this.#noted = undefined
    if (how === undefined || all === undefined) return
    for (const { on, run, undone } of all) {
      if ((how === 'committed' && !undone ? 'commit' : 'rollback') !== on) continue
      try {
        // Also of the transaction around one of its own, which might undo it.
        await outsideTransaction(run)
      } catch (error) {
        failed(error)
      }
    }
  }
}
