// What the proxy does at a message: cut the connection just before or just after it.

import type { Direction, Message } from './framing.js'
import type { Matcher } from './matchers.js'
import type { ConnectionState } from './session.js'

/** What the client gets: a reset (RST), an orderly end (FIN), or silence on an open socket. */
export type CutHow = 'reset' | 'fin' | 'swallow'

export interface CutOptions {
  direction: Direction
  match: Matcher
  /** `before`: the message does not arrive. `after`: it arrives, and nothing that comes later does. */
  when: 'before' | 'after'
  how: CutHow
  /** Default 1; as many messages as fit, over all connections, are cut at. */
  times?: number
}

export interface Cut {
  /** How many times it has cut so far. */
  readonly fired: number
  remove(): void
}

export class Rules {
  readonly #rules = new Set<Rule>()

  add(options: CutOptions): Cut {
    const rule = new Rule(options, () => this.#rules.delete(rule))
    this.#rules.add(rule)
    return rule
  }

  /** The rule that fires at this message; it counts as fired with this. */
  at(message: Message, connection: ConnectionState): CutOptions | undefined {
    for (const rule of this.#rules) if (rule.takes(message, connection)) return rule.options
    return undefined
  }

  clear(): void {
    this.#rules.clear()
  }
}

class Rule implements Cut {
  readonly options: CutOptions
  readonly remove: () => void
  fired = 0

  constructor(options: CutOptions, remove: () => void) {
    this.options = options
    this.remove = remove
  }

  takes(message: Message, connection: ConnectionState): boolean {
    const { direction, match, times = 1 } = this.options
    if (this.fired >= times || message.direction !== direction || !match(message, connection)) return false
    this.fired += 1
    return true
  }
}
