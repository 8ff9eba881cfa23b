// The wires between the clients and the servers, on which several conditions may lie at a time: a slow one in which a
// COMMIT is cut. A proxy can only be restored as a whole; so it is, and what else lies on it is put there again.

import type { FaultProxy } from '../support/proxy.js'

/** Puts something on the wire to the server in that place. */
export type Condition = (proxy: FaultProxy, place: number) => unknown

export class Wires {
  readonly #proxies: readonly FaultProxy[]
  readonly #held = new Set<Condition>()
  #renewed: Promise<void> = Promise.resolve()

  constructor(proxies: readonly FaultProxy[]) {
    this.#proxies = proxies
  }

  /** Connections of which a client or a server still holds an end. */
  get open(): number {
    return this.#proxies.reduce((sum, { open }) => sum + open, 0)
  }

  /** At once, on every wire. */
  all(strike: Condition): void {
    for (const [place, proxy] of this.#proxies.entries()) strike(proxy, place)
  }

  /** On every wire, for as long as `lasts` takes. */
  async during(condition: Condition, lasts: () => Promise<void>): Promise<void> {
    this.#held.add(condition)
    this.all(condition)
    try {
      await lasts()
    } finally {
      this.#held.delete(condition)
      await this.restore()
    }
  }

  /** Ends what nobody holds any more, also connections that are left over from a black hole. */
  restore(): Promise<void> {
    this.#renewed = this.#renewed.then(async () => {
      for (const [place, proxy] of this.#proxies.entries()) {
        await proxy.restore()
        for (const condition of this.#held) condition(proxy, place)
      }
    })
    return this.#renewed
  }
}
