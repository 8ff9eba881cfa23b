// The loads of a run: each a system in a process of its own, on a database of its own, and all on the same two servers.

import type { Opening } from '../faults/history.js'
import { type Ground, Grounds } from '../faults-matrix/ground.js'
import { ProcessUnderLoad } from '../faults-matrix/process-under-load.js'
import { until } from '../support/until.js'

export interface Load {
  readonly system: string
  readonly ground: Ground
  readonly process: ProcessUnderLoad
}

export interface LoadOptions {
  /** Decides what each transfer is. */
  readonly seed: number
  /** On top of a caller's limit: who has not ended by then hangs. */
  readonly patienceMs: number
}

export interface Loads {
  readonly all: readonly Load[]
  /** Whether look-ups of the servers' names get an answer. */
  namesHang(hang: boolean): Promise<void>
  stop(): Promise<void>
}

export const opening: Opening = { accounts: 40, balance: 10_000 }
/** What a caller waits for a call; every limit of a pool is set to it. */
export const limitMs = 2_000
/** For what takes no time when nothing is wrong. */
export const promptMs = 30_000
const workers = 8
/** Done before the first fault: everything is compiled, connected and prepared. */
const warmUp = 60
/** The servers' names, in the order of their places. */
const names = ['first.database.test', 'second.database.test']

/** Resolves when all of them are at work. */
export async function startLoads(systems: readonly string[], settings: LoadOptions): Promise<Loads> {
  const grounds = new Grounds()
  const all: Load[] = []
  const stop = async () => {
    await Promise.all(all.map(({ process }) => process.kill()))
    await grounds.close()
  }
  try {
    const prepared: { system: string; ground: Ground }[] = []
    for (const system of systems) {
      prepared.push({ system, ground: await grounds.prepare('several hosts', opening) })
    }
    for (const one of prepared) all.push({ ...one, process: start(one.system, one.ground, settings) })
    await Promise.all(all.map(warm))
  } catch (error) {
    await stop()
    throw error
  }
  const namesHang = async (hang: boolean) => {
    for (const { process, ground } of all) {
      for (const [name, address] of meanings(ground)) {
        await process.ask({ ask: 'name', name, means: hang ? 'hangs' : [address] }, promptMs)
      }
    }
  }
  return { all, namesHang, stop }
}

function start(system: string, ground: Ground, { seed, patienceMs }: LoadOptions): ProcessUnderLoad {
  return new ProcessUnderLoad({
    system,
    place: { ...ground.place, hosts: names, connections: workers, limitMs },
    ...{ workers, seed, graceMs: patienceMs, accounts: opening.accounts },
    names: Object.fromEntries(meanings(ground).map(([name, address]) => [name, [address]])),
  })
}

function meanings({ place }: Ground): [name: string, address: string][] {
  return place.hosts.map((address, at) => [names[at] ?? '', address])
}

async function warm({ process }: Load): Promise<void> {
  await process.ask({ ask: 'go' }, promptMs)
  const warmed = () => process.operations.size >= warmUp
  await until(warmed, { what: 'the load to get going', timeoutMs: promptMs })
}
