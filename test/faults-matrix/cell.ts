// One cell of the matrix: a system in a process of its own, a load on it, a fault from outside, and what has come of it.

import { setTimeout as pause } from 'node:timers/promises'
import type { Opening } from '../faults/history.js'
import { until } from '../support/until.js'
import type { Fault } from './faults.js'
import { type Ground, type Grounds, hostName } from './ground.js'
import { type Measures, measure } from './measures.js'
import { epoch } from './messages.js'
import { ProcessUnderLoad } from './process-under-load.js'

export interface Timing {
  /** What a caller waits for a call. */
  readonly limitMs: number
  /** On top of it: who has not ended by then hangs. */
  readonly graceMs: number
  /** How long the load goes on after the fault. */
  readonly afterMs: number
  /** By how much faults last longer than they say. */
  readonly scale: number
}

export const fullTiming: Timing = { limitMs: 2_000, graceMs: 6_000, afterMs: 5_000, scale: 1 }
export const quickTiming: Timing = { limitMs: 1_000, graceMs: 2_000, afterMs: 1_500, scale: 0.3 }

/** What was measured, or why nothing was. */
export type Cell = Measures | { readonly failed: string }

export const workers = 8
const connections = workers
const opening: Opening = { accounts: 100, balance: 10_000 }
/** Done before the fault: everything is compiled, connected and prepared. */
const warmUp = 60
/** For what takes no time when nothing is wrong. */
const promptMs = 15_000
/** For a fault, with all that belongs to it. */
const strikeMs = 60_000

export async function runCell(grounds: Grounds, fault: Fault, system: string, timing: Timing): Promise<Cell> {
  let ground: Ground | undefined
  try {
    ground = await grounds.prepare(fault.way ?? 'one host', opening)
    const cell = await under(ground, fault, system, timing)
    await ground.clear()
    return cell
  } catch (error) {
    await ground?.clear().catch(() => {})
    // Nobody knows what state they are in.
    if (ground) await grounds.discard(ground.set)
    return { failed: error instanceof Error ? error.message : String(error) }
  }
}

async function under(ground: Ground, fault: Fault, system: string, timing: Timing): Promise<Measures> {
  const { limitMs, graceMs, afterMs } = timing
  const place = { ...ground.place, connections, limitMs }
  const names = { [hostName]: ground.addresses.slice(0, 1) }
  const load = new ProcessUnderLoad({ system, place, workers, graceMs, accounts: opening.accounts, seed: 1, names })
  const order = load.ask.bind(load)
  try {
    await order({ ask: 'go' }, promptMs)
    const warm = () => load.operations.size >= warmUp
    await until(warm, { what: 'the load to get going', timeoutMs: promptMs })
    if (fault.atRest) await order({ ask: 'rest' }, promptMs)
    await strike(ground, fault, load, timing)
    const backAt = epoch()
    if (fault.atRest) await order({ ask: 'go' }, promptMs)
    await pause(afterMs)
    await order({ ask: 'end' }, limitMs * 4 + graceMs + promptMs)
    await load.kill()
    const { calls, operations, uncaught } = load
    return measure({
      ...{ calls, operations: [...operations.values()], uncaught, backAt, hungMs: limitMs + graceMs, opening },
      ...(await ground.holdings()),
    })
  } finally {
    await load.kill()
  }
}

async function strike(ground: Ground, fault: Fault, load: ProcessUnderLoad, { scale }: Timing): Promise<void> {
  const { set, place, proxies, addresses } = ground
  const [proxy] = proxies
  if (!proxy) throw new Error('there is no way to the database')
  const { primary } = set
  const admin = ground.admin()
  try {
    // It has a connection before the fault keeps others from having one.
    await admin.query('select 1')
    const striking = fault.strike({
      ...{ set, primary, admin, user: place.user, proxy },
      get standby() {
        const [standby] = set.standbys
        if (!standby) throw new Error('there is no standby')
        return standby
      },
      lasts: (ms) => pause(ms * scale),
      name: (means) =>
        load.ask(
          { ask: 'name', name: hostName, means: means === 'hangs' ? means : [addresses[means] ?? ''] },
          promptMs,
        ),
    })
    const over = new AbortController()
    const late = pause(strikeMs, undefined, { signal: over.signal }).then(() => {
      throw new Error(`the fault did not end within ${strikeMs} ms`)
    })
    late.catch(() => {})
    await Promise.race([striking, late]).finally(() => over.abort())
  } finally {
    await admin.end()
  }
}
