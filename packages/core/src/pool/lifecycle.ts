// Where the pool stands, and where it can go from there.

import type { PoolState } from './setup.js'

const next: Readonly<Record<PoolState, readonly PoolState[]>> = {
  new: ['running', 'closing'],
  running: ['suspended', 'closing'],
  suspended: ['running', 'closing'],
  closing: ['closed'],
  closed: [],
}

export class Lifecycle {
  #state: PoolState = 'new'

  get state(): PoolState {
    return this.#state
  }

  /** Connections are made and lent. */
  get running(): boolean {
    return this.#state === 'running'
  }

  get closed(): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  move(to: PoolState): void {
    if (!next[this.#state].includes(to)) throw new Error(`a pool that is ${this.#state} cannot become ${to}`)
    this.#state = to
  }
}
