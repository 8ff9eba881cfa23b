// Programs that end: each leaves its pools in some state, closes them, and must then end by itself.

import { once } from 'node:events'
import { createClient } from '@moorings/postgres'
import { counts, ended, note, openAll, order, program, report, until } from './stage.js'

const small = { pool: { min: 0, max: 2, overflow: 0, closeTimeoutMs: 300 } }

const programs: Record<string, () => Promise<void>> = {
  async unused() {
    openAll()
  },

  async 'used and closed'() {
    const dbs = openAll()
    for (const db of dbs) {
      await db.query('select 1')
      await db.transaction((tx) => tx.insert('mark'))
    }
    await Promise.all(dbs.map((db) => db.close()))
  },

  async 'black hole mid-statement'() {
    const dbs = openAll({ ...small, statement: { timeoutMs: 300 } })
    // Both connections are there before the wire is gone.
    await Promise.all(dbs.flatMap((db) => [1, 2].map(() => db.query('select pg_sleep(0.1)'))))
    await order('swallow')
    await Promise.all(dbs.flatMap((db) => [ended(db.query('select 2')), ended(db.transaction((tx) => tx.insert('x')))]))
    await until(() => dbs.every((db) => db.pool.stats().leased === 0))
    note(
      'counts',
      dbs.map((db) => counts(db.pool)),
    )
    await Promise.all(dbs.map((db) => db.close()))
  },

  async 'black hole, closed with the statement under way'() {
    const dbs = openAll(small)
    for (const db of dbs) await db.query('select 1')
    await order('swallow')
    const under = dbs.map((db) => ended(db.query('select 2')))
    await until(() => dbs.every((db) => db.pool.stats().leased === 1))
    await Promise.all(dbs.map((db) => db.close()))
    await Promise.all(under)
  },

  async 'black hole, closed while the server is asked to stop'() {
    const dbs = openAll({ ...small, statement: { timeoutMs: 200, cancelTimeoutMs: 20_000 } })
    for (const db of dbs) await db.query('select 1')
    await order('swallow')
    await Promise.all(dbs.map((db) => ended(db.query('select 2'))))
    await Promise.all(dbs.map((db) => db.close()))
  },

  async 'black hole, closed while the server is asked to stop a COPY'() {
    const dbs = openAll({ ...small, statement: { timeoutMs: 200 } })
    const streams = await Promise.all(dbs.map((db) => createClient(db.pool)`copy marks from stdin`.writable()))
    await order('swallow')
    await Promise.all(streams.map((stream) => ended(once(stream, 'close'))))
    await Promise.all(dbs.map((db) => db.close()))
  },

  async 'closed with leases out'() {
    const dbs = openAll(small)
    const out = dbs.flatMap((db) => [
      ended(db.query('select pg_sleep(60)')),
      ended(db.transaction((tx) => tx.query('select pg_sleep(60)'))),
    ])
    await until(() => dbs.every((db) => db.pool.stats().leased === 2))
    await Promise.all(dbs.map((db) => db.close()))
    await Promise.all(out)
  },

  async 'closed with leases that never come back'() {
    const dbs = openAll(small)
    for (const db of dbs) {
      await db.pool.acquire()
      await createClient(db.pool).reserve()
    }
    await Promise.all(dbs.map((db) => db.close()))
    note(
      'counts',
      dbs.map((db) => counts(db.pool)),
    )
  },

  async 'closed with waiters'() {
    const dbs = openAll(small)
    const all = dbs.flatMap((db) => Array.from({ length: 20 }, () => ended(db.query('select pg_sleep(0.05)'))))
    await until(() => dbs.every((db) => db.pool.stats().leased === 2 && db.pool.stats().waiting > 0))
    await Promise.all(dbs.map((db) => db.close()))
    await Promise.all(all)
  },

  async 'closed during connect'() {
    const dbs = openAll(small)
    await order('silent')
    const waiting = dbs.map((db) => ended(db.query('select 1')))
    await until(() => dbs.every((db) => db.pool.stats().connecting === 1))
    await Promise.all(dbs.map((db) => db.close()))
    await Promise.all(waiting)
  },

  async 'closed during back-off'() {
    const dbs = openAll({ pool: { ...small.pool, min: 2 } })
    await order('closed')
    const waiting = dbs.map((db) => ended(db.query('select 1')))
    await until(() => dbs.every((db) => db.pool.stats().connecting === 0))
    await Promise.all(dbs.map((db) => db.close()))
    await Promise.all(waiting)
  },

  async 'closed in the moment of the first call, twice'() {
    const dbs = openAll(small)
    const calls = dbs.map((db) => ended(db.query('select 1')))
    await Promise.all(dbs.flatMap((db) => [db.close(), db.pool.close()]))
    await Promise.all(calls)
  },

  async 'closed with a listener'() {
    const dbs = openAll(small)
    for (const db of dbs) await createClient(db.pool).listen('news', () => {})
    await Promise.all(dbs.map((db) => db.close()))
  },
}

await programs[program]?.()
await report()
