// What a cell of the matrix says, from what the callers were told and what the database holds. Knows neither.

import type { Entry, Holdings, Opening } from '../faults/history.js'
import { counted, judge } from '../faults/verdict.js'
import type { Call, Operation } from './messages.js'

export interface Observed {
  readonly calls: readonly Call[]
  readonly operations: readonly Operation[]
  readonly uncaught: readonly string[]
  /** When the database was (again) as it had been, in the calls' time. */
  readonly backAt: number
  /** A call that takes longer hangs. */
  readonly hungMs: number
  readonly opening: Opening
  readonly holdings: Holdings
  /** The ids of the rows in the log. */
  readonly log: readonly string[]
}

export interface Measures {
  readonly calls: number
  /** Operations that their callers take for done. */
  readonly done: number
  readonly errors: number
  /** The longest call that ended. */
  readonly worstMs: number
  /** From the end of the fault to the first success; undefined for never. */
  readonly backMs: number | undefined
  readonly hung: number
  readonly uncaught: number
  /** Acknowledged and not there. */
  readonly lost: number
  /** There more than once. */
  readonly duplicated: number
  /** Sums and balances that are not what the transfers that are there add up to. */
  readonly torn: number
  /** By what they say, the most frequent first. */
  readonly said: Readonly<Record<string, number>>
}

export function measure(observed: Observed): Measures {
  const { calls, operations, uncaught, backAt, hungMs } = observed
  const ended = calls.flatMap(({ began, ended, error }) => (ended === undefined ? [] : [{ began, ended, error }]))
  const errors = ended.flatMap(({ error }) => error ?? [])
  const successes = ended.filter(({ ended, error }) => error === undefined && ended >= backAt)
  const firstSuccess = Math.min(...successes.map(({ ended }) => ended))
  const bank = counted(judge(historyOf(operations), observed.holdings, observed.opening).findings)
  const rows = tally(observed.log)
  const acknowledged = operations.filter(({ told }) => told === 'acknowledged')
  const lostRows = acknowledged.filter(({ id, kind }) => kind === 'append' && !rows.has(id))
  const repeatedRows = [...rows.values()].filter((count) => count > 1)
  return {
    calls: calls.length,
    done: acknowledged.length,
    errors: errors.length,
    worstMs: Math.max(0, ...ended.map(({ began, ended }) => ended - began)),
    backMs: successes.length === 0 ? undefined : firstSuccess - backAt,
    hung: calls.filter(({ began, ended }) => ended === undefined || ended - began > hungMs).length,
    uncaught: uncaught.length,
    lost: (bank.lost ?? 0) + lostRows.length,
    duplicated: (bank.duplicate ?? 0) + repeatedRows.length,
    torn: (bank.altered ?? 0) + (bank.sum ?? 0) + (bank.balance ?? 0),
    said: Object.fromEntries([...tally([...errors, ...uncaught])].sort(([, a], [, b]) => b - a)),
  }
}

function historyOf(operations: readonly Operation[]): Entry[] {
  return operations.flatMap(({ transfer, told }) =>
    transfer === undefined ? [] : [{ transfer, told, struck: [], unknowable: true }],
  )
}

function tally(texts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}
