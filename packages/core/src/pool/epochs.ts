// The pool's generations. A connection carries the one in which its connect began; raising it outdates all older ones,
// or those that lead to one endpoint.

import type { Endpoint } from '../driver.js'
import { endpointName } from '../endpoint-name.js'

export class Epochs {
  #now = 0
  /** The oldest generation still wanted: everywhere, and at an endpoint. */
  #oldest = 0
  readonly #oldestAt = new Map<string, number>()

  get now(): number {
    return this.#now
  }

  raise(endpoint?: Pick<Endpoint, 'host' | 'port'>): void {
    this.#now++
    if (endpoint !== undefined) this.#oldestAt.set(endpointName(endpoint), this.#now)
    else {
      this.#oldest = this.#now
      this.#oldestAt.clear()
    }
  }

  outdated(epoch: number, endpoint: Endpoint): boolean {
    return epoch < this.#oldest || epoch < (this.#oldestAt.get(endpointName(endpoint)) ?? 0)
  }
}
