// Who lends connections to statements and transactions: a pool, which has many, or a session, which has one.

import type { Connection } from '../driver.js'
import type { Lease } from '../pool/lease.js'
import type { AcquireOptions } from '../pool/setup.js'
import type { Ambient } from '../scope.js'
import type { TransactionScope } from '../transaction/transaction.js'

export interface Source<C extends Connection = Connection> {
  /** The transaction that a statement of the current call chain is to be part of, rather than have a connection of its own. */
  readonly joinable: Ambient<TransactionScope<C>> | undefined
  /** A lease for a single statement, if one can be had at once. */
  tryAcquire(): Lease<C> | undefined
  acquire(options?: AcquireOptions): Promise<Lease<C>>
  /** Who lends for a statement of that text, where that makes a difference. */
  lenderOf?(text: string): Source<C>
  /** Whether what it lends for are reads, as far as their text tells: where a standby carries one out, it may do so twice. */
  readonly repeatable?: boolean
}
