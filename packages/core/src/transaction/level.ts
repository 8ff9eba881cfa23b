// A transaction, or a savepoint in it, as a place where work is done: one at a time. While a nested one is open nothing
// may be sent through the one around it, and a second nested one waits for its turn.

import type { Deadlines } from '../deadlines.js'
import { type MooringsError, NestedTransactionOpenError, TransactionEndedError } from '../errors.js'
import type { Limits } from './limits.js'

export class Level {
  /** Of its savepoint; empty for the transaction itself. */
  readonly name: string
  readonly outer: Level | undefined
  /** Why what is done in it must not be kept, although its body may not know. */
  spoilt: { readonly by: unknown } | undefined
  /** What was done in it was rolled back by itself. */
  undone = false
  #ended = false
  #inner: Level | undefined
  /** The turn was given to one that has not entered yet. */
  #given = false
  #line: (() => void)[] | undefined

  constructor(name: string, outer: Level | undefined) {
    this.name = name
    this.outer = outer
  }

  /** The nested one that is open. */
  get inner(): Level | undefined {
    return this.#inner
  }

  /** Whether one that asks now has to wait for its turn. */
  get taken(): boolean {
    return this.#inner !== undefined || this.#given
  }

  /** Whether neither it nor one around it has ended. */
  get live(): boolean {
    let at: Level | undefined = this
    while (at !== undefined && !at.#ended) at = at.outer
    return at === undefined
  }

  /** Whether it is that one, or somewhere inside of it. */
  isIn(level: Level): boolean {
    let at: Level | undefined = this
    while (at !== undefined && at !== level) at = at.outer
    return at !== undefined
  }

  /** @throws TransactionEndedError */
  assertLive(): void {
    if (!this.live) throw new TransactionEndedError('This nested transaction has ended: nothing can be sent through it')
  }

  /** @throws NestedTransactionOpenError, TransactionEndedError */
  assertUsable(): void {
    this.assertLive()
    if (this.#inner === undefined) return
    throw new NestedTransactionOpenError(
      'A nested transaction is open inside this one: use its own handle, or wait until it has ended',
    )
  }

  /**
   * Resolves when no nested one is open, first come first served. Not to be called when none is.
   *
   * @param limits of the one that waits, which may end it before
   */
  turn(deadlines: Deadlines, limitMs: number, limits?: Limits): Promise<void> {
    return new Promise((resolve, reject) => {
      if (limits?.over !== undefined) {
        reject(limits.over)
        return
      }
      const go = () => {
        deadlines.delete(deadline)
        if (limits !== undefined) limits.whenOver = undefined
        resolve()
      }
      const leave = (error: MooringsError) => {
        if (limits !== undefined) limits.whenOver = undefined
        this.#line?.splice(this.#line.indexOf(go), 1)
        reject(error)
      }
      const deadline = deadlines.awaited(limitMs, (closed) =>
        leave(
          closed ??
            new NestedTransactionOpenError(
              `Another nested transaction of the same one did not end within ${limitMs} ms: they run one after the other`,
            ),
        ),
      )
      this.#line ??= []
      this.#line.push(go)
      if (limits === undefined) return
      limits.whenOver = (error) => {
        deadlines.delete(deadline)
        leave(error)
      }
    })
  }

  /** To be called when no other is open. */
  enter(name: string): Level {
    this.#given = false
    this.#inner = new Level(name, this)
    return this.#inner
  }

  /** Harmless the second time. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    const { outer } = this
    if (outer === undefined || outer.#inner !== this) return
    outer.#inner = undefined
    outer.pass()
  }

  /** Gives the turn to the next, if no nested one is open: to be called also by who got it and could not use it. */
  pass(): void {
    if (this.#inner !== undefined) return
    const next = this.#line?.shift()
    this.#given = next !== undefined
    next?.()
  }
}
