// How long a crowd of callers waits for connections of which there are enough: each pool in a process of its own, by turns.

import { Child } from '../child.js'
import { peers } from '../pool-peers.js'
import { type Spread, spread } from '../spread.js'
import { aligned, range } from '../table.js'
import type { Arrivals } from './arrivals.js'

export const arrivals: Arrivals = { callers: 1_000, connections: 50, workMs: 1, busy: 0.75 }

export interface CrowdPlan {
  readonly rounds: number
  readonly turnMs: number
  readonly warmUpMs: number
}

export type Order = { readonly ask: 'turn'; readonly milliseconds: number } | { readonly ask: 'end' }

/** Microseconds, from the call to the connection; undefined when nobody came. */
const figures = ['p50', 'p95', 'p99', 'longest'] as const
type Figure = (typeof figures)[number]

export type Turn = { readonly [figure in Figure]: number | undefined } & { readonly perSecond: number }

export type CrowdRow = { readonly [figure in Figure | 'perSecond']: Spread } & { readonly subject: string }

export async function measureCrowd({ rounds, turnMs, warmUpMs }: CrowdPlan): Promise<CrowdRow[]> {
  const runs: { readonly name: string; readonly child: Child<Order>; readonly turns: Turn[] }[] = []
  try {
    const file = new URL('crowd-process.js', import.meta.url)
    for (const name of Object.keys(peers))
      runs.push({ name, child: new Child({ name, file, args: [name] }), turns: [] })
    for (const { child } of runs) await child.ask<Turn>({ ask: 'turn', milliseconds: warmUpMs })
    for (let round = 0; round < rounds; round++) {
      // Another one begins each round: nobody always comes after the same one.
      const first = round % runs.length
      for (const { child, turns } of [...runs.slice(first), ...runs.slice(0, first)]) {
        turns.push(await child.ask<Turn>({ ask: 'turn', milliseconds: turnMs }))
      }
    }
    for (const { child } of runs) await child.end({ ask: 'end' })
    return runs.map(({ name, turns }) => rowOf(name, turns))
  } finally {
    for (const { child } of runs) child.kill()
  }
}

function rowOf(subject: string, turns: readonly Turn[]): CrowdRow {
  const of = (figure: Figure | 'perSecond') => spread(turns.map((turn) => turn[figure] ?? Number.NaN))
  return {
    subject,
    perSecond: of('perSecond'),
    p50: of('p50'),
    p95: of('p95'),
    p99: of('p99'),
    longest: of('longest'),
  }
}

export function crowdTable(rows: readonly CrowdRow[]): string {
  const { callers, connections, workMs, busy } = arrivals
  const share = `${busy * 100} % of them busy`
  const title = `crowd: ${callers} callers, ${connections} connections, ${workMs} ms of work, ${share}: waits in us`
  const heading = ['', ...figures.flatMap((figure) => [figure, '']), 'borrows/s']
  const lines = rows.map((row) => [
    row.subject,
    ...figures.flatMap((figure) => [row[figure].median.toFixed(1), range(row[figure], 1)]),
    row.perSecond.median.toFixed(0),
  ])
  return `${title}\n${aligned([heading, ...lines])}`
}
