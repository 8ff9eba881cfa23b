// A long result taken in chunks, and what the process weighs in the midst of it. Needs --expose-gc.

import { ResilientPostgresDialect } from '@moorings/kysely'
import { createClient, createPool } from '@moorings/postgres'
import { Kysely, sql as kyselySql } from 'kysely'
import { note, program, report, url } from './stage.js'

const chunkSize = 1_000
const rows = 200 * chunkSize
const text = `select n, repeat('x', 100) as filler from generate_series(1, ${rows}) n`

const pool = createPool(url, { resilience: { pool: { min: 0, max: 1, overflow: 0 } } })
const kysely = new Kysely<unknown>({ dialect: new ResilientPostgresDialect({ client: pool }) })

function weigh(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

/** Between two chunks, where nothing but the last one is anybody's. */
const weights: number[] = []
let taken = 0
function take(count: number): void {
  taken += count
  if (taken % (20 * chunkSize) === 0) weights.push(weigh())
}

if (program === 'cursor') {
  for await (const chunk of createClient(pool).unsafe(text).cursor(chunkSize)) take(chunk.length)
} else {
  const query = kyselySql<{ n: number }>`${kyselySql.raw(text)}`.compile(kysely)
  for await (const { rows } of kysely.getExecutor().stream<{ n: number }>(query, chunkSize)) take(rows.length)
}
const [first = 0] = weights
note('taken', taken)
note('grownBytes', Math.max(...weights) - first)
await kysely.destroy()
await pool.close()
await report()
