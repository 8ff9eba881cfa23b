// A driver to nowhere for our own pool: a connection is there at once, does nothing, and is never lost by itself. What
// is left of a borrow and a return is the pool's own work.

import {
  type Connection,
  ConnectionLostError,
  type Driver,
  type Endpoint,
  type MooringsError,
  type Result,
  StatementError,
} from '@moorings/core'

type LostListener = (reason: MooringsError, how: 'lost' | 'destroyed') => void

const endpoint: Endpoint = Object.freeze({ host: 'nowhere', port: 0 })
const nothing: Result = Object.freeze({ rows: [], command: undefined, count: undefined })

let connections = 0

export class NullConnection implements Connection {
  readonly id: number = ++connections
  readonly endpoint: Endpoint = endpoint
  readonly role = undefined
  lost: MooringsError | undefined
  readonly activity = 'idle'
  readonly transactionStatus = 'idle'
  readonly waitingSince = undefined
  readonly statements = 0
  readonly sessionState = 'clean'
  readonly ticket = undefined
  #onLost: LostListener | undefined

  declare(): void {}
  keepState(): void {}

  async execute(): Promise<Result> {
    return nothing
  }
  async begin(): Promise<void> {}
  async commit(): Promise<'committed'> {
    return 'committed'
  }
  async rollback(): Promise<void> {}
  async savepoint(): Promise<void> {}
  async rollbackTo(): Promise<void> {}
  async release(): Promise<void> {}

  async ping(): Promise<void> {}
  async reset(): Promise<void> {}
  async cancel(): Promise<void> {}
  stop(): void {}
  ref(): void {}
  unref(): void {}

  async close(): Promise<void> {
    this.destroy(new ConnectionLostError('The pool has closed this connection'))
  }

  destroy(reason: MooringsError): void {
    if (this.lost !== undefined) return
    this.lost = reason
    this.#onLost?.(reason, 'destroyed')
  }

  onLost(listener: LostListener): void {
    this.#onLost = listener
  }
}

export const nullDriver: Driver<NullConnection> = {
  system: 'postgresql',
  endpoints: [endpoint],
  target: 'any',
  connect: async () => new NullConnection(),
  classify: (error) => new StatementError('Nothing fails here', { cause: error }),
}
