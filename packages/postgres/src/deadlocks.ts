// Puts together what is known of a deadlock: what the server tells its victim, and what the other connections of this
// process were asked. Values are in none of it.

import type { Duplex } from 'node:stream'
import { type Deadlock, type DeadlockError, DeadlockLog, type DeadlockSide, fingerprint } from '@moorings/core'
import type { PostgresConnection } from './connection.js'
import { checkedIn, relationIn, waitsIn } from './deadlock-detail.js'

export class Deadlocks {
  readonly log: DeadlockLog = new DeadlockLog()
  /** Those that live. */
  readonly #connections = new Set<PostgresConnection>()

  watch(connection: PostgresConnection, socket: Duplex): void {
    this.#connections.add(connection)
    socket.once('close', () => this.#connections.delete(connection))
    if (socket.destroyed) this.#connections.delete(connection)
  }

  /** Before anybody has heard of the error: what is known of the deadlock is put on it. */
  noted(error: DeadlockError, victim: PostgresConnection, text: string): void {
    const where = fieldOf(error.cause, 'where')
    const waits = waitsIn(fieldOf(error.cause, 'detail'))
    // Behind a pooler the process that the server speaks of is not the one that we were told of: then nobody is known.
    const isKnown = victim.backendKey !== undefined && waits[0]?.pid === victim.backendKey.pid
    const sides = waits.map(({ pid, lockMode, waitsFor, objects }, at): DeadlockSide => {
      const statement = at === 0 ? text : isKnown ? this.#statementOf(pid, victim) : undefined
      const relation = at === 0 ? relationIn(where) : undefined
      return { pid, statement: shown(statement), waitsFor, lockMode, relation, objects }
    })
    const alone: DeadlockSide = {
      pid: victim.backendKey?.pid,
      statement: shown(text),
      waitsFor: undefined,
      lockMode: undefined,
      relation: relationIn(where),
      objects: [],
    }
    const deadlock: Deadlock = { sides: sides.length === 0 ? [alone] : sides, checked: checkedIn(where) }
    Object.assign(error, { deadlock })
    this.log.noted(deadlock)
  }

  /** What another connection of this process to the same server was asked, when it was in the victim's way. */
  #statementOf(pid: number, { endpoint }: PostgresConnection): string | undefined {
    for (const connection of this.#connections) {
      const { host, port } = connection.endpoint
      if (connection.backendKey?.pid === pid && host === endpoint.host && port === endpoint.port) {
        return connection.lately
      }
    }
    return undefined
  }
}

function shown(statement: string | undefined): string | undefined {
  return statement === undefined || statement === '' ? undefined : fingerprint(statement)
}

/** Of the driver's own error, which may be anything where the application throws in its name. */
function fieldOf(error: unknown, name: 'detail' | 'where'): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  try {
    const value: unknown = Reflect.get(error, name)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
