// A run: loads, faults on all lanes at once, and, when it is quiet again, the judgement.

import { setTimeout as pause } from 'node:timers/promises'
import { epoch } from '../faults-matrix/messages.js'
import { type Anomaly, type Checked, check, type Struck } from './check.js'
import { ending } from './ending.js'
import { type Load, limitMs, opening, startLoads } from './loads.js'
import { type Lane, type Strike, strikes } from './plan.js'
import type { Scene } from './scene.js'
import { Wires } from './wires.js'

export interface ChaosOptions {
  readonly seed: number
  /** How long faults strike. */
  readonly ms: number
  /** By their names. */
  readonly systems: readonly string[]
  readonly lanes: readonly Lane[]
  /** All times of the faults are multiplied by it. Default 1. */
  readonly tempo?: number
  /**
   * On top of a caller's limit: a call that has not ended by then hangs; and what everything may take that has to come to an
   * end. Default 18 s: Kysely's own transaction has no limit as a whole, but one for each of the statements that it sends.
   */
  readonly patienceMs?: number
  /** Ends it early. */
  readonly signal?: AbortSignal
  readonly onStrike?: (strike: Strike) => void
  /** Now and then. */
  readonly onProgress?: (loads: readonly Load[]) => void
}

export interface ChaosResult {
  readonly loads: readonly (Load & Checked)[]
  readonly struck: readonly Struck[]
  /** Of all loads, and of what is left when all is over; empty when all is well. */
  readonly anomalies: readonly Anomaly[]
}

const progressEveryMs = 15_000

/** @throws Error when a fault could not be made, or a process under load is gone */
export async function chaos(options: ChaosOptions): Promise<ChaosResult> {
  const { systems, seed, patienceMs = 18_000, onProgress } = options
  const { all, namesHang, stop } = await startLoads(systems, { seed, patienceMs })
  const progress = setInterval(() => onProgress?.(all), progressEveryMs)
  try {
    const [first] = all
    if (!first) throw new Error('there is no load')
    const { set } = first.ground
    const wires = new Wires(set.nodes.map(({ proxy }) => proxy))
    const clients = all.map(({ ground: { place } }) => place)
    const struck = await underFire({ set, wires, clients, namesHang }, options)
    const left = await ending(all, wires, patienceMs)
    const loads: (Load & Checked)[] = []
    for (const load of all) loads.push({ ...load, ...(await judged(load, struck, limitMs + patienceMs)) })
    const found = loads.flatMap(({ system, anomalies }) =>
      anomalies.map(({ kind, text }) => ({ kind, text: `${system}: ${text}` })),
    )
    return { loads, struck, anomalies: [...found, ...left] }
  } finally {
    clearInterval(progress)
    await stop()
  }
}

/** Resolves with what has struck, when time is up and everything is as it was. */
async function underFire(scene: Omit<Scene, 'lasts'>, options: ChaosOptions): Promise<Struck[]> {
  const { lanes, seed, ms, tempo = 1, signal, onStrike } = options
  const over = new AbortController()
  const end = AbortSignal.any([over.signal, ...(signal ? [signal] : [])])
  const lasts = (time: number) => pause(time, undefined, { signal: end }).catch(() => {})
  const struck: Struck[] = []
  const run = async (lane: Lane) => {
    for (const strike of strikes(lane, seed, tempo)) {
      await lasts(strike.pauseMs)
      if (end.aborted) return
      onStrike?.(strike)
      const began = epoch()
      await strike.strike({ ...scene, lasts })
      struck.push({ name: `${strike.name}: ${strike.how}`, began, ended: epoch() })
    }
  }
  const timeIsUp = setTimeout(() => over.abort(), ms)
  try {
    // One that fails ends the others, and is told when they have put back what they did.
    const outcomes = await Promise.allSettled(
      lanes.map((lane) =>
        run(lane).catch((error: unknown) => {
          over.abort()
          throw error
        }),
      ),
    )
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  } finally {
    clearTimeout(timeIsUp)
  }
  return struck
}

async function judged({ ground, process }: Load, struck: readonly Struck[], hungMs: number): Promise<Checked> {
  const { calls, operations, uncaught } = process
  const holdings = await ground.holdings()
  return check({ calls, operations: [...operations.values()], uncaught, opening, struck, hungMs, ...holdings })
}
