// What a statement's caller is told where it is not the server that says it.

import {
  CommitOutcomeUnknownError,
  ConnectionLostError,
  type MooringsError,
  StatementCancelledError,
  StatementError,
  StatementTimeoutError,
} from '@moorings/core'

export function outOfStep(): ConnectionLostError {
  return new ConnectionLostError('The connection was given up: its statement ended in a way that leaves it out of step')
}

export function ranOutside(cause: unknown): CommitOutcomeUnknownError {
  return new CommitOutcomeUnknownError(
    'BEGIN was refused, and the statement sent behind it was carried out all the same, outside of a transaction',
    { cause },
  )
}

export function behindCursor(): MooringsError {
  return new StatementError(
    'A cursor on this connection waits for its reader: read it to its end first, or use another connection',
    { code: 'CURSOR_OPEN', sent: false },
  )
}

export function leftOpen(): MooringsError {
  return new StatementError('A transaction is begun with sql.begin() or on a connection from sql.reserve()', {
    code: 'UNSAFE_TRANSACTION',
  })
}

export function timedOut(timeoutMs: number): MooringsError {
  return new StatementTimeoutError(`The statement took longer than its limit of ${timeoutMs} ms`, { code: '57014' })
}

export function cancelled(reason: unknown): MooringsError {
  return new StatementCancelledError('The statement was cancelled by its signal', { code: '57014', cause: reason })
}
