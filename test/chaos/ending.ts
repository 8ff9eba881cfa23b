// What must be true once the faults are over: everybody is served again, and in the end nothing is left.

import { epoch } from '../faults-matrix/messages.js'
import { until } from '../support/until.js'
import type { Anomaly } from './check.js'
import { type Load, limitMs, promptMs } from './loads.js'
import type { Wires } from './wires.js'

/**
 * Ends the loads, and closes them.
 *
 * @param patienceMs what each thing may take, on top of a caller's limit
 */
export async function ending(loads: readonly Load[], wires: Wires, patienceMs: number): Promise<Anomaly[]> {
  const anomalies = await Promise.all(loads.map((load) => ended(load, wires, patienceMs)))
  // What a client left behind in a black hole the network forgets, too.
  const noSockets = async () => {
    await wires.restore()
    return wires.open === 0
  }
  const open = await missed(noSockets, patienceMs, () => `${wires.open} sockets outlive all clients`)
  return [...anomalies.flat(), ...open]
}

async function ended({ system, ground, process }: Load, wires: Wires, patienceMs: number): Promise<Anomaly[]> {
  const admin = ground.admin()
  const sessions = async (where: string) => {
    await wires.restore()
    return (await admin.query(`select from pg_stat_activity where usename = $1 and ${where}`, [ground.place.user]))
      .length
  }
  const told = (text: string) => () => `${system}: ${text}`
  try {
    const [calm, from] = [epoch(), process.calls.length]
    const served = () =>
      process.calls
        .slice(from)
        .some(({ began, ended, error }) => began > calm && ended !== undefined && error === undefined)
    const back = await missed(served, patienceMs, told(`nobody is served ${patienceMs} ms after the last fault`))
    await process.ask({ ask: 'end' }, limitMs + patienceMs + promptMs)
    const idle = async () => (await sessions(`state <> 'idle'`)) === 0
    const rest = await missed(idle, patienceMs, told('sessions are not at rest although nobody asks anything'))
    await process.ask({ ask: 'close' }, patienceMs)
    const none = async () => (await sessions('true')) === 0
    const gone = await missed(none, patienceMs, told('sessions outlive the closed pool'))
    const how = await process.leave(patienceMs)
    const end = how === 'code 0' ? [] : [left(`${system}: its process does not end by itself, but ${how ?? 'goes on'}`)]
    return [...back, ...rest, ...gone, ...end]
  } finally {
    await admin.end()
  }
}

function left(text: string): Anomaly {
  return { kind: 'left', text }
}

async function missed(condition: () => unknown, timeoutMs: number, text: () => string): Promise<Anomaly[]> {
  const what = 'the end'
  return until(condition, { what, timeoutMs, intervalMs: 50 }).then(
    () => [],
    () => [left(text())],
  )
}
