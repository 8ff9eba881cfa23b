// Connections that leave politely: each says goodbye to its server within a limit, or is destroyed.

import type { Deadlines } from '../deadlines.js'
import type { Connection } from '../driver.js'
import { ConnectionLostError, type MooringsError } from '../errors.js'
import type { CloseReason } from '../events.js'
import type { HookCalls } from './hook-calls.js'

/** A courtesy to the server, when a statement is still running at the end. */
const CANCEL_TIMEOUT_MS = 1_000

export class Farewells {
  readonly #deadlines: Deadlines
  readonly #hooks: HookCalls
  readonly #leaving = new Map<Connection, Promise<void>>()
  readonly #cancelling = new Set<Promise<void>>()
  #hurry = () => {}
  /** Ends the wait for hooks. */
  readonly #hurried = new Promise<void>((resolve) => {
    this.#hurry = resolve
  })

  constructor(deadlines: Deadlines, hooks: HookCalls) {
    this.#deadlines = deadlines
    this.#hooks = hooks
  }

  /** Those still at it. */
  get size(): number {
    return this.#leaving.size
  }

  say(connection: Connection, limitMs: number, reason: CloseReason): void {
    const goodbye = this.#deadlines
      .limit(limitMs, unanswered, (signal) => this.#goodbye(connection, reason, signal))
      .catch(() => connection.destroy(unanswered()))
      .finally(() => this.#leaving.delete(connection))
    this.#leaving.set(connection, goodbye)
  }

  /** Without a hook the connection is fenced at once: whoever still holds it cannot use it. */
  async #goodbye(connection: Connection, reason: CloseReason, signal: AbortSignal): Promise<void> {
    if (this.#hooks.has('beforeClose')) {
      await Promise.race([this.#hooks.beforeClose(connection, reason, signal), this.#hurried])
    }
    await connection.close(signal)
  }

  /** Asks the server to stop: it would go on with the statement of a client that is gone. */
  cancel(connection: Connection): void {
    const cancelled = this.#deadlines
      .limit(CANCEL_TIMEOUT_MS, unanswered, (signal) => connection.cancel(signal))
      .catch(() => {})
      .finally(() => this.#cancelling.delete(cancelled))
    this.#cancelling.add(cancelled)
  }

  /** No more waiting. */
  destroy(reason: MooringsError): void {
    this.#hurry()
    for (const connection of this.#leaving.keys()) connection.destroy(reason)
  }

  /** Resolves when all that are under way now are over. */
  async over(): Promise<void> {
    await Promise.all([...this.#leaving.values(), ...this.#cancelling])
  }
}

/** Why a connection goes that does not answer what it was asked. */
export function unanswered(): ConnectionLostError {
  return new ConnectionLostError('The connection did not answer in time')
}
