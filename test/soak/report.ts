// A soak as a person reads it: a line now and then, and a table at the end.

import type { Counts, Progress } from './messages.js'
import { allowedBytes } from './questions.js'
import type { SoakResult } from './soak.js'

type Tallied = Readonly<Record<string, number>>

export function progressLine({ tally, counts, heapBytes }: Progress, seconds: number): string {
  return [
    `${Math.round(seconds)} s`,
    `operations ${number(tally.settled)}`,
    `errors provoked ${number(sum(tally.provoked))}, by faults: ${list(tally.byFaults)}`,
    `pool: ${poolOf(counts)}`,
    `heap ${megabytes(heapBytes)}`,
    ...(tally.wrong > 0 ? [`WRONG ${tally.wrong}`] : []),
  ].join('   ')
}

export function summary(result: SoakResult, faults: Tallied, seconds: number): string {
  const { before, after, backends, rows } = result
  const { tally, counts } = after
  const done = tally.settled - before.tally.settled
  const grown = after.heapBytes - before.heapBytes
  const lines: [string, string][] = [
    ['operations', `${number(tally.started)}, of them ${number(tally.settled)} settled, in ${Math.round(seconds)} s`],
    ['errors provoked', list(tally.provoked)],
    ['errors by faults', list(tally.byFaults)],
    ['faults', list(faults)],
    ['pool at the end', `${counts.leased} leases out, ${counts.waiting} waiting, ${counts.connecting} connecting`],
    ['leases', `${number(counts.acquired)} taken, ${number(counts.returned)} given back`],
    ['connections', `${number(counts.created)} made, ${number(counts.closed)} closed (${number(counts.lost)} lost)`],
    [
      '',
      `${counts.idle} idle by the pool's count, ${backends.atRest} by pg_stat_activity, ${backends.closed} once closed`,
    ],
    ...Object.entries(rows).map(([kind, seen]): [string, string] => {
      const { acknowledged, uncertain } = tally
      const known = `${number(acknowledged[kind] ?? 0)} acknowledged, ${number(uncertain[kind] ?? 0)} uncertain`
      return [`rows ${kind}`, kind in acknowledged ? `${number(seen)} (${known})` : number(seen)]
    }),
    ['heap after gc', `${megabytes(before.heapBytes)} before, ${megabytes(after.heapBytes)} after`],
    ['', `${number(grown)} bytes in ${number(done)} operations, at most ${number(allowedBytes(done))}`],
  ]
  return lines.map(([label, text]) => `${label.padEnd(18)}${text}`).join('\n')
}

function poolOf({ idle, leased, connecting, waiting, created, lost }: Counts): string {
  return `${idle} idle, ${leased} leased, ${connecting} connecting, ${waiting} waiting, ${number(created)} made, ${number(lost)} lost`
}

function list(counts: Tallied): string {
  const entries = Object.entries(counts).sort(([, a], [, b]) => b - a)
  return entries.map(([name, count]) => `${name} ${number(count)}`).join(', ') || 'none'
}

function sum(counts: Tallied): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}

function number(value: number): string {
  return value.toLocaleString('en')
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
