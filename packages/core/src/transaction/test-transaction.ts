// A transaction that a test plays in, and that is undone at the end, whatever was done in it. Begun in a test's own call
// chain, the application's use of the root database is in it as well; its transactions are savepoints.

import type { Connection } from '../driver.js'
import { TransactionEndedError } from '../errors.js'
import type { Place } from '../frames.js'
import type { Lease } from '../pool/lease.js'
import type { Pool } from '../pool/pool.js'
import type { Ambient } from '../scope.js'
import type { Source } from '../session/source.js'
import type { TransactionScope } from './transaction.js'

export class TestTransaction<C extends Connection = Connection> implements Source<C> {
  readonly #pool: Pool<C>
  readonly #ambient: Ambient<TransactionScope<C>>
  readonly #undo: () => Promise<void>

  private constructor(pool: Pool<C>, ambient: Ambient<TransactionScope<C>>, undo: () => Promise<void>) {
    this.#pool = pool
    this.#ambient = ambient
    this.#undo = undo
  }

  /**
   * @param place in the test's call chain
   * @throws whatever `pool.transaction` throws
   */
  static async begin<C extends Connection>(pool: Pool<C>, place: Place): Promise<TestTransaction<C>> {
    let undo = () => {}
    const undone = new Promise<never>((_, reject) => {
      undo = () => reject(new Undone())
    })
    // It may be over before anybody waits for it.
    undone.catch(() => {})
    let ended: Promise<void> = Promise.resolve()
    // Until the test has ended, also when its transaction is gone before: what is done then would stay.
    let open = true
    const ambient = await new Promise<Ambient<TransactionScope<C>>>((begun, failed) => {
      const body = (scope: TransactionScope<C>, context: Ambient<unknown>['context']): Promise<never> => {
        begun({ scope, context, joined: true, open: () => open, test: true })
        return undone
      }
      const options = { retry: false, exactlyOnce: false, timeoutMs: 0 } as const
      ended = pool.transaction(body, options).then(
        () => {},
        (error: unknown) => {
          if (!(error instanceof Undone)) failed(error)
        },
      )
    })
    pool.scopes.settle(place, ambient)
    return new TestTransaction(pool, ambient, async () => {
      undo()
      await ended
      open = false
    })
  }

  get joinable(): Ambient<TransactionScope<C>> | undefined {
    const { scope, open } = this.#ambient
    if (!open()) return undefined
    return this.#pool.scopes.find((ambient) => ambient.scope.context === scope.context) ?? this.#ambient
  }

  tryAcquire(): undefined {}

  async acquire(): Promise<Lease<C>> {
    throw new TransactionEndedError('This test was rolled back: nothing more can be sent through its handle')
  }

  /** Undoes everything. Harmless the second time. */
  async rollback(): Promise<void> {
    await this.#undo()
  }
}

class Undone extends Error {}
