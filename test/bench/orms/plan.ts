// Which loads are put on, by how many callers, over which wires.

import { type Load, loads } from './loads.js'
import { type WireName, wireNames } from './wire.js'

export interface Plan {
  readonly loads: readonly Load[]
  readonly callers: readonly number[]
  readonly wires: readonly WireName[]
  readonly connections: number
  readonly rounds: number
  /** That do not count, as caches and pools fill. */
  readonly warmUpRounds: number
  readonly turnMs: number
  /** For compilers, on a wire that takes no time, before anything else; 0: they are not waited for. */
  readonly warmUpMs: number
  /** One setting for each load only, so that each wire and each number of callers is seen: shows that it runs. */
  readonly quick: boolean
  /** A folder for profiles of the subjects' processor time. */
  readonly profiles: string | undefined
}

export interface Setting {
  readonly wire: WireName
  readonly callers: number
}

export const usual = { loads, callers: [1, 10, 100], wires: wireNames, connections: 10 } as const

/** Those under one load, in order. */
export function settingsOf(plan: Plan, load: Load): Setting[] {
  const { wires, callers, quick } = plan
  const all = wires.flatMap((wire) => callers.map((callers) => ({ wire, callers })))
  if (!quick) return all
  // By a step that meets another wire and another number each time.
  const place = plan.loads.indexOf(load) * (callers.length + 1)
  return all.slice(place % all.length).slice(0, 1)
}
