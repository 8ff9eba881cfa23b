// A transaction, or a savepoint in it, as a place where work is done: one at a time. While a nested one is open nothing
// may be sent through the one around it, and a second nested one waits for its turn.

import type { Deadlines } from '../deadlines.js'
import { NestedTransactionOpenError, TransactionEndedError } from '../errors.js'

export class Level {
  /** Of its savepoint; empty for the transaction itself. */
  readonly name: string
  readonly outer: Level | undefined
  /** Why what is done in it must not be kept, although its body may not know. */
  spoilt: { readonly by: unknown } | undefined
  #ended = false
  #inner: Level | undefined
  readonly #line: (() => void)[] = []

  constructor(name: string, outer: Level | undefined) {
    this.name = name
    this.outer = outer
  }

  /** The nested one that is open. */
  get inner(): Level | undefined {
    return this.#inner
  }

  /** @throws NestedTransactionOpenError, TransactionEndedError */
  assertUsable(): void {
    for (let at: Level | undefined = this; at !== undefined; at = at.outer) {
      if (!at.#ended) continue
      throw new TransactionEndedError('This nested transaction has ended: nothing can be sent through it')
    }
    if (this.#inner === undefined) return
    throw new NestedTransactionOpenError(
      'A nested transaction is open inside this one: use its own handle, or wait until it has ended',
    )
  }

  /** Resolves when no nested one is open, first come first served. Not to be called when none is. */
  turn(deadlines: Deadlines, limitMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        deadlines.delete(deadline)
        resolve()
      }
      const deadline = deadlines.awaited(limitMs, () => {
        this.#line.splice(this.#line.indexOf(go), 1)
        reject(
          new NestedTransactionOpenError(
            `Another nested transaction of the same one did not end within ${limitMs} ms: they run one after the other`,
          ),
        )
      })
      this.#line.push(go)
    })
  }

  /** To be called when no other is open. */
  enter(name: string): Level {
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
    if (this.#inner === undefined) this.#line.shift()?.()
  }
}
