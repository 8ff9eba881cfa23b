// Programs that do not close their pools. With `allowExitOnIdle` they end by themselves; told by its title to do without,
// one goes on.

import { createClient } from '@moorings/postgres'
import type { Db } from '../orms.js'
import { ended, note, openAll, order, pause, program, report, until } from './stage.js'

const allowExitOnIdle = process.title !== 'stays'
const small = { min: 0, max: 2, overflow: 0, allowExitOnIdle }

async function answers(dbs: readonly Db[], ask: (db: Db) => Promise<unknown>): Promise<void> {
  note('answers', await Promise.all(dbs.map((db) => ended(ask(db)))))
}

function idle(dbs: readonly Db[]): void {
  note(
    'idle',
    dbs.map((db) => db.pool.stats().idle),
  )
}

const programs: Record<string, () => Promise<void>> = {
  async used() {
    const dbs = openAll({ pool: small })
    await answers(dbs, async (db) => {
      await db.transaction((tx) => tx.insert('mark'))
      return db.query('select 1 as n')
    })
  },

  async started() {
    const dbs = openAll({ pool: { ...small, min: 2 } })
    await Promise.all(dbs.map((db) => db.pool.start()))
    idle(dbs)
  },

  async 'filled to min, with all its upkeep on'() {
    const upkeep = { keepaliveMs: 50, leakAfterMs: 10_000, idleTimeoutMs: 10_000, scaling: { everyMs: 50 } }
    const dbs = openAll({ pool: { ...small, ...upkeep, min: 3, max: 3 }, health: { everyMs: 50 } })
    await Promise.all(dbs.map((db) => db.query('select 1')))
    await until(() => dbs.every((db) => db.pool.stats().idle === 3 && db.pool.stats().health === 'healthy'))
    idle(dbs)
  },

  async 'after its connections were lost'() {
    const dbs = openAll({ pool: small })
    await Promise.all(dbs.map((db) => db.query('select 1')))
    await order('kill all')
    await until(() => dbs.every((db) => db.pool.stats().lost === 1))
    await answers(dbs, (db) => db.query('select 2 as n'))
  },

  async 'with a session that had to be put back'() {
    const dbs = openAll({ pool: { ...small, max: 1 } })
    for (const db of dbs) {
      const sql = await createClient(db.pool).reserve()
      await sql`set work_mem = '7MB'`
      sql.release()
    }
    await answers(dbs, (db) => db.query('select 3 as n'))
  },

  async 'with a server that went away'() {
    const dbs = openAll({ pool: { ...small, min: 2 } })
    await Promise.all(dbs.map((db) => db.pool.start()))
    await order('closed')
    await order('reset all')
    await until(() => dbs.every((db) => db.pool.stats().connectFailures > 2))
    idle(dbs)
  },

  async 'suspended and resumed'() {
    const dbs = openAll({ pool: small })
    for (const { pool } of dbs) {
      await pool.drain()
      pool.evict()
      pool.resume()
    }
    await answers(dbs, (db) => db.query('select 4 as n'))
  },

  async 'while a statement is under way'() {
    await answers(openAll({ pool: small }), (db) => db.query('select 5 as n from pg_sleep(0.5)'))
  },

  async 'while a statement is under way on a connection that had rested'() {
    const dbs = openAll({ pool: { ...small, validateAfterIdleMs: 0 } })
    await Promise.all(dbs.map((db) => db.query('select 1')))
    await pause(100)
    await answers(dbs, (db) => db.query('select 5 as n from pg_sleep(0.5)'))
  },

  async 'while a caller waits for another'() {
    const dbs = openAll({ pool: { ...small, max: 1 } })
    await answers(dbs, async (db) => {
      const [, second] = await Promise.all([db.query('select pg_sleep(0.5)'), db.query('select 6 as n')])
      return second
    })
  },

  async 'while a transaction is under way'() {
    await answers(openAll({ pool: small }), (db) =>
      db.transaction(async (tx) => {
        await tx.query('select pg_sleep(0.3)')
        return tx.query('select 7 as n from pg_sleep(0.3)')
      }),
    )
  },

  async 'while a server is slow to answer a connect'() {
    await order('slow')
    await answers(openAll({ pool: small }), (db) => db.query('select 8 as n'))
  },

  async 'while a server that is down is waited for'() {
    await order('closed')
    const dbs = openAll({ pool: small })
    const asked = answers(dbs, (db) => db.query('select 9 as n'))
    await until(() => dbs.every((db) => db.pool.stats().connectFailures > 2))
    await order('restore')
    await asked
  },

  async 'closed all the same'() {
    const dbs = openAll({ pool: { ...small, min: 2 } })
    await Promise.all(dbs.map((db) => db.query('select 1')))
    await Promise.all(dbs.map((db) => db.close()))
  },
}

await programs[program]?.()
await report()
