// Puts together what is known of a deadlock: what the server tells its victim, and what the other connections of this
// process were asked. Values are in none of it.

import type { Duplex } from 'node:stream'
import {
  type Deadlock,
  type DeadlockError,
  DeadlockLog,
  type DeadlockSide,
  type Endpoint,
  fingerprint,
} from '@moorings/core'
import { checkedIn, relationIn, waitsIn } from './deadlock-detail.js'
import type { BackendKey } from './wire.js'

/** A connection, as far as a deadlock is concerned. */
export interface Side {
  readonly endpoint: Endpoint
  readonly backendKey: BackendKey | undefined
  /** What it was asked last, as far as it may be known to somebody else's deadlock. */
  readonly lately: string | undefined
}

export class Deadlocks {
  readonly log: DeadlockLog = new DeadlockLog()
  /** Those that live. */
  readonly #connections = new Set<Side>()
  /** By the victim: what each of the others was asked, by its process. */
  readonly #met = new WeakMap<Side, ReadonlyMap<number, string>>()

  watch(connection: Side, socket: Duplex): void {
    this.#connections.add(connection)
    socket.once('close', () => this.#connections.delete(connection))
    if (socket.destroyed) this.#connections.delete(connection)
  }

  /**
   * The server has just said so to the victim, which still keeps the others from going on. The error is known when the
   * victim is ready again: by then they may have done anything.
   */
  met(victim: Side): void {
    const { endpoint } = victim
    const asked = new Map<number, string>()
    for (const { endpoint: other, backendKey, lately } of this.#connections) {
      const isThere = other.host === endpoint.host && other.port === endpoint.port
      if (isThere && backendKey !== undefined && lately !== undefined) asked.set(backendKey.pid, lately)
    }
    this.#met.set(victim, asked)
  }

  /** Before anybody has heard of the error: what is known of the deadlock is put on it. */
  noted(error: DeadlockError, victim: Side, text: string): void {
    const asked = this.#met.get(victim)
    this.#met.delete(victim)
    const where = fieldOf(error.cause, 'where')
    const waits = waitsIn(fieldOf(error.cause, 'detail'))
    // Behind a pooler the process that the server speaks of is not the one that we were told of: then nobody is known.
    const isKnown = victim.backendKey !== undefined && waits[0]?.pid === victim.backendKey.pid
    const sides = waits.map(({ pid, lockMode, waitsFor, objects }, at): DeadlockSide => {
      const statement = at === 0 ? text : isKnown ? asked?.get(pid) : undefined
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
