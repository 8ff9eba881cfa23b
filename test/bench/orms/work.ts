// Callers in a closed loop: each asks for the next thing when it has its answer.

import type { Load } from './loads.js'
import type { Client } from './subject.js'

/** What callers have done by turns, and how long each thing has taken them. */
export interface Done {
  readonly operations: number
  readonly seconds: number
}

/**
 * Lets so many callers ask for so long.
 *
 * @param took gets the milliseconds of every single thing
 */
export async function letAsk(
  client: Client,
  load: Load,
  callers: number,
  milliseconds: number,
  took: number[],
): Promise<Done> {
  const before = took.length
  const begun = performance.now()
  const end = begun + milliseconds
  await Promise.all(Array.from({ length: callers }, (_, caller) => ask(client, load, caller, end, took)))
  return { operations: took.length - before, seconds: (performance.now() - begun) / 1e3 }
}

async function ask(client: Client, load: Load, caller: number, end: number, took: number[]): Promise<void> {
  const operations = client.of(caller)
  // No two of them at the same place of the same table for long.
  let n = caller * 1_013
  for (let now = performance.now(); now < end; n++) {
    await load.ask(operations, n)
    const answered = performance.now()
    took.push(answered - now)
    now = answered
  }
}
