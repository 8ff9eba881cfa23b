// Which loads are put on, by how many callers, over which wires.

import { type Load, loads } from './loads.js'
import { type WireName, wireNames } from './wire.js'

export interface Plan {
  readonly loads: readonly Load[]
  /** Undefined: those that a load is usually put on by. */
  readonly callers: readonly number[] | undefined
  /** Undefined: those that a load is usually put on over. */
  readonly wires: readonly WireName[] | undefined
  readonly connections: number
  readonly rounds: number
  /** That do not count, as caches and pools fill. */
  readonly warmUpRounds: number
  readonly turnMs: number
  readonly warmUp: WarmUp
  /** One setting for each load only, so that each wire and each number of callers is seen: shows that it runs. */
  readonly quick: boolean
  /** A folder for profiles of the subjects' processor time. */
  readonly profiles: string | undefined
}

/** In milliseconds, for compilers, on a wire that takes no time; 0: they are not waited for. */
export interface WarmUp {
  /** Of a new process. */
  readonly firstMs: number
  /** By the callers of each setting: memory was read after the one before, which throws compiled code away. */
  readonly againMs: number
}

export interface Setting {
  readonly wire: WireName
  readonly callers: number
}

const callerNumbers = [1, 10, 100]
/** What most is known by: how the lesser loads go, and whether a longer wire changes anything. */
const middle = 10

export const usual = { loads, connections: 10 } as const

/** Those under one load, in order. */
export function settingsOf({ loads, wires, callers, quick }: Plan, load: Load): Setting[] {
  const all = (wires ?? wireNames).flatMap((wire) => (callers ?? callerNumbers).map((callers) => ({ wire, callers })))
  // By a step that meets another wire and another number each time.
  if (quick) return all.slice((loads.indexOf(load) * ((callers ?? callerNumbers).length + 1)) % all.length).slice(0, 1)
  return wires === undefined && callers === undefined ? all.filter((setting) => isUsual(load, setting)) : all
}

function isUsual({ lesser }: Load, { wire, callers }: Setting): boolean {
  if (callers === middle) return !lesser || wire === 'loopback'
  return !lesser && wire !== '5ms'
}
