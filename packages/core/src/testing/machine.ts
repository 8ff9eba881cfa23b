// The transaction behind the handle that a body is given.

import { Transaction, type TransactionScope } from '../transaction/transaction.js'
import type { FakeConnection } from './fake-connection.js'

export function machine(scope: TransactionScope<FakeConnection>): Transaction<FakeConnection> {
  if (scope instanceof Transaction) return scope
  throw new Error('this is a nested transaction')
}
