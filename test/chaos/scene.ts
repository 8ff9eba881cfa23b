// What faults have at hand: servers, the wires to them, the clients' users and the names that they look up.

import type { Replicated } from '../support/replicated.js'
import type { Wires } from './wires.js'

export interface Scene {
  readonly set: Replicated
  readonly wires: Wires
  /** One for each load, with a database that has its name. */
  readonly clients: readonly { readonly user: string; readonly database: string }[]
  /** Resolves when so much time has passed, or the run is to end. */
  lasts(ms: number): Promise<void>
  /** Whether look-ups of the servers' names get an answer. */
  namesHang(hang: boolean): Promise<void>
}
