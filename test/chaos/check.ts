// The checker: holds what the callers of one load were told against what its database holds, and what else must be true
// of it in the end. Knows no database.

import type { Entry, Holdings, Opening, Transfer } from '../faults/history.js'
import { judge } from '../faults/verdict.js'
import type { Call, Operation } from '../faults-matrix/messages.js'

/** What has struck, in the calls' time. */
export interface Struck {
  readonly name: string
  readonly began: number
  readonly ended: number
}

export interface Recorded {
  readonly calls: readonly Call[]
  readonly operations: readonly Operation[]
  /** What nobody caught, in words. */
  readonly uncaught: readonly string[]
  readonly opening: Opening
  readonly holdings: Holdings
  /** The ids of the rows in the log. */
  readonly log: readonly string[]
  readonly struck: readonly Struck[]
  /** A call that takes longer hangs. */
  readonly hungMs: number
}

/** The kinds of the verdict over transfers, said of rows that are appended as well, and `uncaught`. */
export interface Anomaly {
  readonly kind: string
  readonly text: string
}

export interface Checked {
  /** Empty when everybody was told the truth, and in time. */
  readonly anomalies: readonly Anomaly[]
  readonly acknowledged: number
  readonly rejected: number
  readonly unknown: number
  /** Of those told as unknown: how many are there. */
  readonly unknownButThere: number
}

export function check(recorded: Recorded): Checked {
  const { operations, holdings, opening, log, uncaught, calls, hungMs } = recorded
  const entries = (kind: Operation['kind']) =>
    operations.filter((operation) => operation.kind === kind).map((operation) => entryOf(operation, recorded.struck))
  const bank = judge(entries('transfer'), holdings, opening)
  // A row is a transfer of nothing.
  const rows = judge(
    entries('append'),
    { journal: log.map(rowOf), balances: new Map([[0, 0]]) },
    { accounts: 0, balance: 0 },
  )
  const anomalies: Anomaly[] = [...bank.findings, ...rows.findings]
  for (const { id, kind, told, error = '' } of operations) {
    if (kind === 'read' && told === 'strange') anomalies.push({ kind: 'strange error', text: `${id}: ${error}` })
    if (kind === 'read' && told === 'hung') anomalies.push({ kind: 'hang', text: id })
  }
  for (const { began, ended = began } of calls) {
    if (ended - began > hungMs) anomalies.push({ kind: 'hang', text: `a call took ${Math.round(ended - began)} ms` })
  }
  for (const text of uncaught) anomalies.push({ kind: 'uncaught', text })
  const sum = (told: 'acknowledged' | 'rejected' | 'unknown') => bank.told[told] + rows.told[told]
  return {
    anomalies,
    acknowledged: sum('acknowledged'),
    rejected: sum('rejected'),
    unknown: sum('unknown'),
    unknownButThere: bank.unknownButThere + rows.unknownButThere,
  }
}

function entryOf(
  { id, transfer, told, error, began, ended = Number.POSITIVE_INFINITY }: Operation,
  struck: readonly Struck[],
): Entry {
  return {
    transfer: transfer ?? rowOf(id),
    told,
    error,
    // There are many operations, and of few of them anybody asks.
    get struck() {
      const met = struck.filter((one) => one.began <= ended && one.ended >= began)
      return met.map(({ name, began: since }) => `${name} (${ago(since - began)} it began)`)
    },
    // Standbys are promoted and servers crash all the time.
    unknowable: true,
  }
}

function ago(ms: number): string {
  return `${Math.round(Math.abs(ms))} ms ${ms < 0 ? 'before' : 'after'}`
}

function rowOf(id: string): Transfer {
  return { id, debited: 0, credited: 0, amount: 0 }
}
