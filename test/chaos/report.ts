// A run as a person reads it: a line now and then, and what has come of it.

import type { Call } from '../faults-matrix/messages.js'
import type { Anomaly, Struck } from './check.js'
import type { Load } from './loads.js'
import type { Strike } from './plan.js'
import type { ChaosResult } from './run.js'

type Counts = ReadonlyMap<string, number>

/** Anomalies told in words; of the rest only the number is. */
const inWords = 20
const errorsInWords = 8

export function strikeLine({ name, how }: Strike, seconds: number): string {
  return `${clock(seconds)}  ${name}: ${how}`
}

export function progressLine(loads: readonly Load[], seconds: number): string {
  const texts = loads.map(({ system, process }) => {
    const errors = process.calls.filter(({ error }) => error !== undefined).length
    return `${system}: ${number(process.calls.length)} calls, ${number(errors)} errors`
  })
  return `${clock(seconds)}  … ${texts.join('; ')}`
}

export function summary({ loads, struck, anomalies }: ChaosResult): string {
  const lines = loads.flatMap(({ system, process, ...checked }) => {
    const { acknowledged, rejected, unknown, unknownButThere } = checked
    const doubt = unknown > 0 ? ` (${number(unknownButThere)} of them there)` : ''
    const operations = [...process.operations.values()]
    const by = (kind: string) => number(operations.filter((operation) => operation.kind === kind).length)
    const errors = process.calls.flatMap(({ error }) => error ?? [])
    return [
      `${system}: ${by('transfer')} transfers, ${by('append')} rows, ${by('read')} looks, in ${number(process.calls.length)} calls`,
      `  told: acknowledged ${number(acknowledged)}, rolled back ${number(rejected)}, unknown ${number(unknown)}${doubt}`,
      `  longest call ${seconds(longestCall(process.calls))}, longest time without a success ${seconds(longestWait(process.calls))}; ${number(errors.length)} errors`,
      ...list(counted(errors))
        .slice(0, errorsInWords)
        .map((line) => `    ${line}`),
    ]
  })
  return [
    ...lines,
    `faults: ${number(struck.length)}`,
    ...list(faultsOf(struck)).map((line) => `    ${line}`),
    found(anomalies),
  ].join('\n')
}

function found(anomalies: readonly Anomaly[]): string {
  if (anomalies.length === 0) return 'anomalies: 0'
  const kinds = [...counted(anomalies.map(({ kind }) => kind))].map(([kind, count]) => `${kind} ${count}`)
  const words = anomalies.slice(0, inWords).map(({ kind, text }) => `    ${kind}: ${text}`)
  const rest = anomalies.length > inWords ? [`    … ${anomalies.length - inWords} more`] : []
  return [`ANOMALIES: ${anomalies.length} (${kinds.join(', ')})`, ...words, ...rest].join('\n')
}

function faultsOf(struck: readonly Struck[]): Counts {
  return counted(struck.map(({ name }) => name.slice(0, name.indexOf(':'))))
}

function counted(texts: readonly string[]): Counts {
  const counts = new Map<string, number>()
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}

function list(counts: Counts): string[] {
  return [...counts].sort(([, a], [, b]) => b - a).map(([name, count]) => `${number(count)} × ${name}`)
}

function longestCall(calls: readonly Call[]): number {
  return calls.reduce((most, { began, ended = began }) => Math.max(most, ended - began), 0)
}

/** From one success to the next. */
function longestWait(calls: readonly Call[]): number {
  let last: number | undefined
  let most = 0
  for (const { ended, error } of calls) {
    if (ended === undefined || error !== undefined) continue
    most = Math.max(most, ended - (last ?? ended))
    last = ended
  }
  return most
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

function clock(seconds: number): string {
  return `${seconds.toFixed(1).padStart(7)} s`
}

function number(value: number): string {
  return value.toLocaleString('en')
}
