// Asks the server's catalogue, on a connection of the pool that nobody else has meanwhile.

import { AsyncResource } from 'node:async_hooks'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Driver } from '../driver.js'
import { StatementTimeoutError } from '../errors.js'
import type { AcquireOptions } from '../pool/setup.js'

export interface CatalogueParts<C extends Connection> {
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  /** Runs the body with a connection of the pool. */
  readonly lease: <T>(body: (lease: { readonly connection: C }) => Promise<T>, options: AcquireOptions) => Promise<T>
}

export class Catalogue<C extends Connection> {
  readonly #parts: CatalogueParts<C>
  readonly #end = new AbortController()
  /** In nobody's async context: it is not the business of whoever happened to violate the constraint first. */
  readonly #scope = new AsyncResource('moorings:constraints')

  constructor(parts: CatalogueParts<C>) {
    this.#parts = parts
  }

  /**
   * Waits for a connection for as long as that takes, and then for the answer.
   *
   * @param limitMs of the answer
   * @param urgent whether it goes before those who wait for a connection
   */
  ask<T>(question: (connection: C, signal: AbortSignal) => Promise<T>, limitMs: number, urgent: boolean): Promise<T> {
    const { lease, deadlines } = this.#parts
    const late = () => new StatementTimeoutError(`The catalogue was not read within ${limitMs} ms`)
    return this.#scope.runInAsyncScope(() =>
      lease(
        ({ connection }) =>
          deadlines.limit(limitMs, late, (signal) => question(connection, AbortSignal.any([signal, this.#end.signal]))),
        { signal: this.#end.signal, brief: true, urgent },
      ),
    )
  }

  get ended(): boolean {
    return this.#end.signal.aborted
  }

  /** The pool closes. */
  end(): void {
    this.#end.abort()
  }
}
