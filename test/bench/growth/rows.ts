// What a result of more and more rows takes of time and memory.

import { Child } from '../child.js'
import { spread } from '../spread.js'
import type { Grid } from './grid.js'
import { type GrowthPlan, stepsOf } from './growth.js'
import { makeMany } from './many.js'
import { ways } from './ways.js'

const rowSteps: readonly number[] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]

export interface Order {
  readonly way: string
  readonly url: string
  readonly rows: number
  readonly warmUpMs: number
  readonly turnMs: number
}

/** Bytes are the most at any time. */
export interface Cost {
  readonly milliseconds: number
  readonly rss: number
  readonly heap: number
}

/** Processes for each size and way: a large result is read once in each. */
const rounds = 3

export async function measureRows(url: string, plan: GrowthPlan): Promise<Grid[]> {
  const steps = stepsOf(rowSteps, plan)
  await makeMany(url, Math.max(...steps))
  const costs = new Map<string, Cost[]>()
  for (const rows of steps) {
    for (let round = 0; round < (plan.quick ? 1 : rounds); round++) {
      for (const way of ways) {
        const cost = await costOf({ way: way.name, url, rows, warmUpMs: plan.warmUpMs / 4, turnMs: plan.turnMs })
        const key = `${way.name} ${rows}`
        costs.set(key, [...(costs.get(key) ?? []), cost])
      }
    }
  }
  const grid = (figure: string, unit: string, drawn: Grid['drawn'], figureOf: (cost: Cost) => number): Grid => ({
    name: `growth-rows-${figure}`,
    title: 'growth: rows of one result',
    unit,
    along: 'rows',
    steps,
    drawn,
    lines: ways.map(({ name }) => ({
      name,
      values: steps.map((rows) => spread((costs.get(`${name} ${rows}`) ?? []).map(figureOf)).median),
    })),
  })
  return [
    grid('time', 'milliseconds', 'log', ({ milliseconds }) => milliseconds),
    grid('memory', 'most memory of the process, MB', 'log', ({ rss }) => rss / 2 ** 20),
    grid('heap', 'most heap, garbage included, MB', undefined, ({ heap }) => heap / 2 ** 20),
  ]
}

async function costOf(order: Order): Promise<Cost> {
  const child = new Child<Order>({
    name: order.way,
    file: new URL('rows-process.js', import.meta.url),
    args: [],
  })
  try {
    return await child.ask<Cost>(order)
  } finally {
    child.kill()
  }
}
