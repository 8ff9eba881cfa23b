// What went through a connection, counted as it arrived at the proxy (also what was then swallowed or cut off).

import type { Direction, Message } from './framing.js'

export interface Traffic {
  readonly bytes: Readonly<Record<Direction, number>>
  /** By the messages' names, for example `messages['to-server'].Parse`; what never came is absent. */
  readonly messages: Readonly<Record<Direction, Readonly<Record<string, number>>>>
  /**
   * How many times the server spoke after the client had: the times somebody waited for the wire. A batch sent at once
   * and answered at once is one; setting up a connection counts too, a request that was never answered does not.
   */
  readonly roundTrips: number
}

export class TrafficCounter implements Traffic {
  readonly bytes = { 'to-server': 0, 'to-client': 0 }
  readonly messages: Record<Direction, Record<string, number>> = { 'to-server': {}, 'to-client': {} }
  roundTrips = 0
  #clientSpokeLast = false

  countBytes(direction: Direction, bytes: number): void {
    this.bytes[direction] += bytes
    if (direction === 'to-client' && this.#clientSpokeLast) this.roundTrips += 1
    this.#clientSpokeLast = direction === 'to-server'
  }

  countMessage({ direction, name }: Message): void {
    const counts = this.messages[direction]
    counts[name] = (counts[name] ?? 0) + 1
  }
}

export function sumTraffic(all: Iterable<Traffic>): Traffic {
  const sum = new TrafficCounter()
  for (const { bytes, messages, roundTrips } of all) {
    sum.roundTrips += roundTrips
    for (const direction of ['to-server', 'to-client'] as const) {
      sum.bytes[direction] += bytes[direction]
      const counts = sum.messages[direction]
      for (const [name, count] of Object.entries(messages[direction])) counts[name] = (counts[name] ?? 0) + count
    }
  }
  return sum
}
