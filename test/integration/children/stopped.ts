// Programs that are stopped for longer than every limit they have, and go on.

import type { Db } from '../orms.js'
import { ended, note, type Order, openAll, order, pause, program, report, until } from './stage.js'

/** All far shorter than the test stops us for. */
const resilience = {
  pool: {
    ...{ min: 2, max: 2, overflow: 0, acquireTimeoutMs: 1_000, connectTimeoutMs: 1_000 },
    ...{ validateAfterIdleMs: 200, validationTimeoutMs: 500, keepaliveMs: 150, closeTimeoutMs: 1_000 },
  },
  statement: { timeoutMs: 1_200 },
}

async function pids(db: Db): Promise<unknown[]> {
  const both = [1, 2].map(() =>
    db.transaction(async (tx) => {
      await tx.query('select pg_sleep(0.1)')
      return tx.query('select pg_backend_pid() as pid')
    }),
  )
  return (await Promise.all(both)).flat().map(({ pid }) => pid)
}

interface Program {
  readonly stop: Order
  /** What is under way while we are stopped. */
  readonly meanwhile: (db: Db) => Promise<unknown>
  /** When that is so. */
  readonly leased: number
  readonly waiting: number
}

const programs: Record<string, Program> = {
  'idle connections': {
    stop: 'stop',
    meanwhile: async () => {},
    leased: 0,
    waiting: 0,
  },
  'a statement whose answer came meanwhile': {
    stop: 'stop',
    meanwhile: (db) => db.query('select 1 as n from pg_sleep(0.4)'),
    leased: 1,
    waiting: 0,
  },
  'a waiter whose turn came meanwhile': {
    stop: 'stop',
    async meanwhile(db) {
      const before = [1, 2].map(() => db.query('select pg_sleep(0.4)'))
      const waiting = db.query('select 2 as n')
      await Promise.all(before)
      return waiting
    },
    leased: 2,
    waiting: 1,
  },
  'backends killed meanwhile': {
    stop: 'stop, and kill all',
    meanwhile: async () => {},
    leased: 0,
    waiting: 0,
  },
}

const dbs = openAll(resilience)
await Promise.all(dbs.map((db) => db.pool.start()))
const before = await Promise.all(dbs.map(pids))
// Signs of life may be under way at any time.
await pause(200)
const { stop, meanwhile, leased, waiting } = programs[program] ?? {}
if (stop === undefined || meanwhile === undefined) throw new Error(`no such program: ${program}`)
const calls = dbs.map((db) => ended(meanwhile(db)))
await until(() => dbs.every(({ pool }) => pool.stats().leased === leased && pool.stats().waiting === waiting))
await order(stop)
for (const [i, db] of dbs.entries()) {
  const value = (await calls[i]) ?? (await ended(db.query('select 3 as n')))
  const after = await ended(pids(db))
  const { lost, created, timeouts } = db.pool.stats()
  const sameBackends = Array.isArray(after) && String(after.sort()) === String(before[i]?.sort())
  note(i === 0 ? 'drizzle' : 'kysely', { value, sameBackends, lost, created, timeouts })
}
await Promise.all(dbs.map((db) => db.close()))
await report()
