// The exclusive right to one connection, until released or lost. After that it rejects every use, for ever.

import type { Connection, Role, SessionState } from '../driver.js'
import { ConnectionLostError, LeaseReleasedError, type MooringsError, SessionError } from '../errors.js'
import type { Stretch } from '../scope.js'
import type { Entry } from './roster.js'
import type { Taking } from './stacks.js'

/** Where it goes back to. */
export interface Home<C extends Connection> {
  giveBack(lease: Lease<C>, entry: Entry<C>): void
}

/** What `pool.acquire()` gives: the connection is the caller's alone until `release()`. */
export class Lease<C extends Connection = Connection> {
  /** By the pool's monotonic clock, in milliseconds. */
  readonly takenAt: number
  /** The stack of its taking, if one was kept: for a report, should it be held for too long. */
  taking: Taking | undefined
  /**
   * Taken for a single statement: what that leaves on the session stays, as it would without a pool of ours, where an
   * application of one connection may rely on it. What anybody else leaves is undone.
   */
  brief = true
  /** Whether it is reported when it is held for too long: not where a limit of its own sees to its end. */
  watched = true
  /** Called once, at the moment its connection is found gone. */
  whenLost: ((reason: MooringsError) => void) | undefined
  /** Whose connection it is a part of, if it was not had from a pool. */
  readonly session: Stretch | undefined
  readonly #entry: Entry<C>
  #home: Home<C> | undefined

  constructor(entry: Entry<C>, takenAt: number, home: Home<C>, session?: Stretch) {
    this.#entry = entry
    this.takenAt = takenAt
    this.#home = home
    this.session = session
  }

  /** A part of it for one piece of work: it goes back to the session that lends it. */
  part(session: Home<C> & Stretch, takenAt: number): Lease<C> {
    return new Lease(this.#entry, takenAt, session, session)
  }

  /**
   * The connection, to be used at once and not kept.
   *
   * @throws LeaseReleasedError after release
   * @throws ConnectionLostError once the connection is gone, with the server's own reason as `code`
   */
  get connection(): C {
    if (this.#home === undefined) throw new LeaseReleasedError()
    const { connection } = this.#entry
    const { lost } = connection
    if (lost !== undefined) {
      // Its session was made to end, and the connection with it.
      if (lost instanceof SessionError) throw lost
      throw new ConnectionLostError(`The connection is gone: ${lost.message}`, {
        code: lost.code,
        cause: lost.cause ?? lost,
        retry: lost instanceof ConnectionLostError ? lost.retry : 'reconnect',
        sent: false,
      })
    }
    return connection
  }

  /** The connection's, also when that is gone. */
  get id(): number {
    return this.#entry.connection.id
  }

  /** The role of its server, as that last showed it; also when the connection is gone. */
  get role(): Role | undefined {
    return this.#entry.connection.role
  }

  get released(): boolean {
    return this.#home === undefined
  }

  /** Whether its connection is gone. The lease must be released all the same. */
  get lost(): boolean {
    return this.#entry.connection.lost !== undefined
  }

  /**
   * Tells what is left on the session that the pool cannot see by itself, so that it is undone at the return: a function
   * that takes an advisory lock, say. What plain statements do (SET, LISTEN, temporary tables, `pg_advisory_lock`, …) is
   * seen without that.
   */
  declare(left: SessionState): void {
    this.connection.declare(left)
  }

  /** The connection is replaced when it comes back, rather than lent again. */
  invalidate(): void {
    if (this.#home !== undefined) this.#entry.stale = true
  }

  /** Whether the connection is to be replaced when it comes back. */
  get stale(): boolean {
    return this.#entry.stale
  }

  /** Gives the connection back. Harmless the second time. */
  release(): void {
    const home = this.#home
    this.#home = undefined
    home?.giveBack(this, this.#entry)
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
