// The plan of a run: which fault comes when, for how long, and how. All of it is decided by the seed, before anything
// happens, so that the machine has no say in it.

import { seeded, shuffled } from '../soak/random.js'
import { networkFaults, slowness } from './network-faults.js'
import type { Scene } from './scene.js'
import { serverFaults } from './server-faults.js'
import { commitFaults, sessionFaults } from './session-faults.js'

export interface Dice {
  /** A time in milliseconds, made shorter by the run's tempo. */
  ms(least: number, most: number): number
  /** A whole number. */
  number(least: number, most: number): number
  pick<T>(all: readonly [T, ...T[]]): T
}

export interface Fault {
  readonly name: string
  /** Decides all there is to decide. */
  plan(dice: Dice): Planned
}

export interface Planned {
  /** What was decided, for the reader. */
  readonly how: string
  /** Resolves when it is over, and everything as it was. */
  strike(scene: Scene): Promise<unknown>
}

/** One that strikes. */
export interface Strike extends Planned {
  readonly lane: string
  /** Since the end of the one before in its lane. */
  readonly pauseMs: number
  readonly name: string
}

/** In a lane one fault comes after the other; those of several lanes overlap. */
export interface Lane {
  readonly name: string
  readonly faults: readonly Fault[]
  /** From one fault's end to the next, in milliseconds: at least, at most. */
  readonly pauseMs: readonly [number, number]
}

export const lanes: readonly Lane[] = [
  { name: 'servers', faults: serverFaults, pauseMs: [3_000, 8_000] },
  { name: 'network', faults: networkFaults, pauseMs: [2_000, 8_000] },
  { name: 'speed', faults: slowness, pauseMs: [4_000, 12_000] },
  { name: 'COMMITs', faults: commitFaults, pauseMs: [500, 3_000] },
  { name: 'sessions', faults: sessionFaults, pauseMs: [500, 4_000] },
]

/**
 * Without an end. Of the faults of a lane each comes once before any comes again.
 *
 * @param tempo 1, or less for a run in which all times are shorter
 */
export function* strikes({ name, faults, pauseMs }: Lane, seed: number, tempo: number): Generator<Strike, never> {
  const random = seeded(seed ^ Math.imul(numberOf(name), 0x9e3779b1))
  const between = (least: number, most: number) => least + random() * (most - least)
  const dice: Dice = {
    ms: (least, most) => Math.round(between(least, most) * tempo),
    number: (least, most) => Math.floor(between(least, most + 1)),
    pick: ([first, ...others]) => [first, ...others][Math.floor(random() * (others.length + 1))] ?? first,
  }
  for (;;) {
    for (const fault of shuffled(faults, random)) {
      yield { lane: name, pauseMs: dice.ms(...pauseMs), name: fault.name, ...fault.plan(dice) }
    }
  }
}

/** Of its own for each lane, so that another fault in one of them leaves the others as they are. */
function numberOf(name: string): number {
  return [...name].reduce((number, letter) => Math.imul(number, 31) + letter.charCodeAt(0), 1)
}
