// Ten thousand callers at once on ten connections, and what the process weighs before and after. Needs --expose-gc.

import { counts, note, openAll, pause, program, report, url } from './stage.js'

const crowd = 10_000

async function weigh(): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < 4; i++) {
    await pause(20)
    globalThis.gc?.()
    least = Math.min(least, process.memoryUsage().heapUsed)
  }
  return least
}

const [drizzle, kysely] = openAll({ pool: { min: 0, max: 10, overflow: 0, acquireTimeoutMs: 60_000 } }, url)
const db = program === 'kysely' ? kysely : drizzle
if (db === undefined) throw new Error('no such ORM')

let served = 0
const call = async (i: number) => {
  if (i % 10 === 0) await db.transaction((tx) => tx.insert(`${i}`))
  else if (i % 10 === 1) await db.insert(`${i}`)
  else {
    const [row] = await db.query(`select ${i} as n`)
    if (row?.n !== i) throw new Error(`${i} got ${String(row?.n)}`)
  }
  served++
}

async function all(count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => call(i)))
}

// Compiles what runs often, and fills what is kept for good.
await all(1_500)
const before = await weigh()
served = 0
const calls = all(crowd)
await pause(0)
note('at once', db.pool.stats().waiting)
await calls
note('served', served)
note('counts', counts(db.pool))
const backends = `select count(*)::int as n from pg_stat_activity
                   where datname = current_database() and application_name = 'scene'`
const [row] = await db.query(backends)
note('backends', row?.n)
note('grownBytes', (await weigh()) - before)
note('totals', db.pool.stats())
await db.close()
await report()
