// The exclusive right to one connection, until released or lost. After that it rejects every use, for ever.

import type { Connection } from '../driver.js'
import { ConnectionLostError, LeaseReleasedError } from '../errors.js'

/** What `pool.acquire()` gives: the connection is the caller's alone until `release()`. */
export class Lease<C extends Connection> {
  readonly #connection: C
  #giveBack: (() => void) | undefined

  constructor(connection: C, giveBack: () => void) {
    this.#connection = connection
    this.#giveBack = giveBack
  }

  /**
   * The connection, to be used at once and not kept.
   *
   * @throws LeaseReleasedError after release
   * @throws ConnectionLostError once the connection is gone, with the server's own reason as `code`
   */
  get connection(): C {
    if (this.#giveBack === undefined) throw new LeaseReleasedError()
    const { lost } = this.#connection
    if (lost !== undefined) {
      throw new ConnectionLostError(`The connection is gone: ${lost.message}`, {
        code: lost.code,
        cause: lost.cause ?? lost,
      })
    }
    return this.#connection
  }

  get released(): boolean {
    return this.#giveBack === undefined
  }

  /** Whether its connection is gone. The lease must be released all the same. */
  get lost(): boolean {
    return this.#connection.lost !== undefined
  }

  /** Gives the connection back. Harmless the second time. */
  release(): void {
    const giveBack = this.#giveBack
    this.#giveBack = undefined
    giveBack?.()
  }

  [Symbol.dispose](): void {
    this.release()
  }
}
