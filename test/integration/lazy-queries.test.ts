// T11: queries that are sent only when they are waited for, as Drizzle's and postgres.js's are. Returned from a body without
// having been waited for, they are where the body is, not where they are waited for.

import { describe, expect, it } from '@jest/globals'
import { outsideTransaction } from '@moorings/core'
import { withSession, withTransaction } from '@moorings/drizzle'
import { sql } from 'drizzle-orm'
import { marks, openJoint } from './joint.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

function insertion() {
  const { orm, client, pool } = openJoint(scene, 4)
  const insert = (mark: string) => orm.insert(marks).values({ mark })
  return { orm, client, pool, insert }
}

class Undo extends Error {}

describe('T11: a query that a body returns', () => {
  it('is kept where it was asked for outside of the transaction, whatever becomes of that', async () => {
    const { orm, client, insert } = insertion()
    const undone = withTransaction(orm, async () => {
      await outsideTransaction(() => insert('outside'))
      await outsideTransaction(() => client`insert into marks values (${'a client outside'})`)
      await withTransaction(orm, () => insert('notSupported'), { propagation: 'notSupported' })
      await withTransaction(orm, (db) => db.insert(marks).values({ mark: 'by its handle' }), {
        propagation: 'notSupported',
      })
      await withTransaction(orm, () => insert('requiresNew'), { propagation: 'requiresNew' })
      throw new Undo()
    })
    expect(await errorOf(undone)).toBeInstanceOf(Undo)
    expect(await scene.marks()).toEqual(
      ['outside', 'a client outside', 'notSupported', 'by its handle', 'requiresNew'].sort(),
    )
  })

  it('is undone with the transaction it was returned in', async () => {
    const { orm, pool, insert } = insertion()
    const undone = withTransaction(orm, async () => {
      await withTransaction(orm, () => insert('nested'))
      await withTransaction(orm, () => insert('required'), { propagation: 'required' })
      await orm.transaction(() => insert("Drizzle's own"))
      await pool.transaction(() => insert("the pool's"))
      throw new Undo()
    })
    expect(await errorOf(undone)).toBeInstanceOf(Undo)
    expect(await scene.marks()).toEqual([])
  })

  it('runs on the connection of the transaction, or of the session, that returns it', async () => {
    const { orm, pool } = insertion()
    const backend = () => orm.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
    const [one, two] = await pool.transaction(async ({ connection }) => {
      const { rows } = await connection.execute<{ pid: number }>({ text: 'select pg_backend_pid() as pid' })
      return [rows[0]?.pid, (await pool.transaction(() => backend()))[0]?.pid]
    })
    expect(one).toBe(two)
    const [first, second] = await withSession(orm, async (session) => [
      (await session.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`))[0]?.pid,
      (await withSession(orm, () => backend()))[0]?.pid,
    ])
    expect(first).toBe(second)
  })
})
