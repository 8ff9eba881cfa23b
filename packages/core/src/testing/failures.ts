// What transactions fail with, as a driver would classify it.

import {
  ConnectionLostError,
  DeadlockError,
  LockTimeoutError,
  ReadOnlyEndpointError,
  SerializationError,
  StatementError,
} from '../errors.js'

export function deadlock(message = 'deadlock detected'): DeadlockError {
  return new DeadlockError(message, { code: '40P01', retry: 'transaction' })
}

export function serialization(): SerializationError {
  return new SerializationError('could not serialize access', { code: '40001', retry: 'transaction' })
}

export function stalePlan(): StatementError {
  return new StatementError('cached plan must not change result type', { code: '0A000', retry: 'transaction' })
}

export function readOnly(): ReadOnlyEndpointError {
  return new ReadOnlyEndpointError('cannot execute INSERT in a read-only transaction', { code: '25006' })
}

export function lostConnection(): ConnectionLostError {
  return new ConnectionLostError('The server went away', { code: '57P01' })
}

export function lockTimeout(): LockTimeoutError {
  return new LockTimeoutError('lock not available', { code: '55P03' })
}
