// The handle of a transaction that goes on being used in what is nested in it, as it may be with postgres.js and with
// Kysely: there all of them are one connection. What it means is for the call chain to say.

import type { Inside, TransactionScope } from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import type { PostgresPool } from './pool.js'

type Scope = TransactionScope<PostgresConnection>

export class OneHandle {
  readonly #pool: PostgresPool
  /** Made when it is needed: there is a handle for each statement of Kysely's. */
  #nested: WeakSet<Scope> | undefined

  constructor(pool: PostgresPool) {
    this.#pool = pool
  }

  /** It was begun by this handle, wherever that was used. */
  nests(scope: Scope): void {
    this.#nested ??= new WeakSet()
    this.#nested.add(scope)
  }

  /**
   * What it means in the current call chain: its own transaction, or the nested one in that which the chain is inside of. A
   * chain that is not in the transaction (it is around it, or has begun it without a body) means the transaction itself.
   */
  meant(own: Inside<PostgresConnection>): Inside<PostgresConnection> {
    const { scopes } = this.#pool
    const { current } = scopes
    if (current?.scope.context !== own.scope.context || current.scope === own.scope) return own
    const within = scopes.find(({ scope }) => scope === own.scope || this.#nested?.has(scope) === true)
    return within === undefined ? own : current
  }
}
