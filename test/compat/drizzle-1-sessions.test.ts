// Sessions, advisory locks and transactions of tests on the release candidate of drizzle-orm 1.0, whose handles are its own.

import { describe, expect, it } from '@jest/globals'
import { beginTest, withAdvisoryLock, withResilience, withSession } from '@moorings/drizzle'
import { createClient, createPool } from '@moorings/postgres'
import { sql } from 'drizzle-orm-1'
import { drizzle } from 'drizzle-orm-1/postgres-js'
import { useScene } from '../integration/scene.js'

const scene = useScene()
const one = { resilience: { pool: { min: 0, max: 1, overflow: 0, acquireTimeoutMs: 3_000 } } }
const count = 'select count(*)::int as n from marks'

describe('drizzle-orm 1.0', () => {
  it('has a handle that stays on the session, and transactions of it', async () => {
    const pool = scene.closing(createPool(scene.url, one))
    const db = withResilience(drizzle({ client: createClient(pool) }))
    await withSession(db, async (on) => {
      await on.execute(sql`create temporary table scratch (n int)`)
      await on.transaction((tx) => tx.execute(sql`insert into scratch values (1)`))
      await db.execute(sql`insert into scratch values (2)`)
      expect([...(await on.execute(sql`select n from scratch order by n`))]).toEqual([{ n: 1 }, { n: 2 }])
    })
    const held = await withAdvisoryLock(db, 'one', async (on) => [
      ...(await on.execute(
        sql`select count(*)::int as n from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
      )),
    ])
    expect(held).toEqual([{ n: 1 }])
  })

  it('has transactions that are savepoints in a test', async () => {
    const pool = scene.closing(createPool(scene.url, one))
    const db = withResilience(drizzle({ client: createClient(pool) }))
    const test = await beginTest(db)
    await db.transaction((tx) => tx.execute(sql`insert into marks values ('a')`))
    await test.db.transaction((tx) => tx.execute(sql`insert into marks values ('b')`))
    expect([...(await test.db.execute(count))]).toEqual([{ n: 2 }])
    await test.rollback()
    expect(await scene.marks()).toEqual([])
  })
})
