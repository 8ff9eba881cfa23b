// T14: what is done in a session is done on one connection, through whichever handle and ORM, and leaves nothing behind.

import { describe, expect, it } from '@jest/globals'
import { PropagationError, SessionEndedError } from '@moorings/core'
import { errorOf, gate, useScene, within } from './scene.js'
import { backendOf, type Stay, stayingOrms } from './sessions-orms.js'

const scene = useScene()
const two = { pool: { min: 0, max: 2, overflow: 0, acquireTimeoutMs: 3_000 } }
const settingOf = "select nullif(current_setting('app.mark', true), '') as mark"

describe.each(stayingOrms)('$name', (orm) => {
  const open = () => scene.closing(orm.open(scene.url, two))

  it('T14: its handle, the root database, and transactions of both are on one connection', async () => {
    const db = open()
    await db.withSession(async (on) => {
      const pid = await backendOf(on)
      // Others go on beside it.
      await Promise.all([backendOf(db), backendOf(on), backendOf(db)])
      expect(await backendOf(db)).toBe(pid)
      for (const begin of [on.transaction, db.transaction, on.withTransaction, db.withTransaction]) {
        expect(await begin((tx) => backendOf(tx))).toBe(pid)
      }
    })
    expect(scene.proxy.connections).toHaveLength(1)
  })

  it('T14: what is set, and temporary tables, last from statement to statement, and are gone afterwards', async () => {
    const db = open()
    const pid = await db.withSession(async (on) => {
      await on.query("set app.mark = 'kept'")
      await db.query('create temporary table scratch (n int)')
      await on.transaction((tx) => tx.query('insert into scratch values (1)'))
      await db.withTransaction(() => db.query('insert into scratch values (2)'))
      expect(await on.query('select n from scratch order by n')).toEqual([{ n: 1 }, { n: 2 }])
      expect(await db.query(settingOf)).toEqual([{ mark: 'kept' }])
      return backendOf(on)
    })
    expect(await backendOf(db)).toBe(pid)
    expect(await db.query(settingOf)).toEqual([{ mark: null }])
    expect(await db.query("select to_regclass('pg_temp.scratch')::text as scratch")).toEqual([{ scratch: null }])
  })

  it('T14: inside a transaction of it both handles are part of that, and it is rolled back as a whole', async () => {
    const db = open()
    await db.withSession(async (on) => {
      for (const begin of [on.transaction, db.transaction, on.withTransaction, db.withTransaction]) {
        const undone = begin(async (tx) => {
          await tx.query("insert into marks values ('tx')")
          await on.query("insert into marks values ('session')")
          await db.query("insert into marks values ('root')")
          await on.transaction((nested) => nested.query("insert into marks values ('nested')"))
          await db.withTransaction((nested) => nested.query("insert into marks values ('nested')"))
          expect(await on.query('select count(*)::int as n from marks')).toEqual([{ n: 5 }])
          throw new Error('undo')
        })
        expect(await errorOf(undone)).toMatchObject({ message: 'undo' })
        expect(await on.query('select count(*)::int as n from marks')).toEqual([{ n: 0 }])
      }
    })
    expect(scene.proxy.connections).toHaveLength(1)
  })

  it('T14: what is beside a transaction of it waits until that has ended, rather than be part of it', async () => {
    const db = open()
    const [begun, go] = [gate(), gate()]
    await db.withSession(async (on) => {
      const undone = errorOf(
        on.transaction(async (tx) => {
          await tx.query("insert into marks values ('undone')")
          begun.open()
          await go.opened
          throw new Error('undo')
        }),
      )
      await begun.opened
      const beside = [on.query("insert into marks values ('beside')"), db.query("insert into marks values ('root')")]
      go.open()
      await undone
      await Promise.all(beside)
    })
    expect(await scene.marks()).toEqual(['beside', 'root'])
  })

  it('T14: of a transaction that requires a new one gets a connection beside it', async () => {
    const db = open()
    await db.withSession(async (on) => {
      await on.query("set app.mark = 'kept'")
      const undone = db.withTransaction(async () => {
        await db.withTransaction((tx) => tx.query("insert into marks values ('new')"), { propagation: 'requiresNew' })
        expect(await db.query(settingOf)).toEqual([{ mark: 'kept' }])
        throw new Error('undo')
      })
      expect(await errorOf(undone)).toMatchObject({ message: 'undo' })
    })
    expect(await scene.marks()).toEqual(['new'])
  })

  it('T14: a handle that outlives it rejects, and the root database is itself again', async () => {
    const db = open()
    let kept: Stay | undefined
    await db.withSession((on) => {
      kept = on
    })
    const sent = scene.proxy.statements.length
    for (const use of [() => kept?.query('select 1'), () => kept?.transaction((tx) => tx.query('select 2'))]) {
      expect(await errorOf(Promise.resolve(use()))).toBeInstanceOf(SessionEndedError)
    }
    expect(scene.proxy.statements).toHaveLength(sent)
    await db.query('select 3')
  })

  it('T14: one inside of another is a part of it, and one inside of a transaction is refused', async () => {
    const db = open()
    await db.withSession(async (on) => {
      const pid = await backendOf(on)
      expect(await db.withSession((inner) => backendOf(inner))).toBe(pid)
      expect(await on.withSession((inner) => inner.withSession((innermost) => backendOf(innermost)))).toBe(pid)
      expect(await errorOf(on.withSession(() => {}, { maxDurationMs: 5 }))).toBeInstanceOf(PropagationError)
      expect(await backendOf(on)).toBe(pid)
      await on.transaction(async () => {
        for (const host of [on, db]) expect(await errorOf(host.withSession(() => {}))).toBeInstanceOf(PropagationError)
      })
    })
    await db.withTransaction(async () => {
      expect(await errorOf(db.withSession(() => {}))).toBeInstanceOf(PropagationError)
    })
  })

  it('T14: what another ORM on the same pool does in its call chain is on its connection, too', async () => {
    const db = open()
    const others = stayingOrms.map((other) => other.open(db.pool))
    await db.withSession(async (on) => {
      await on.query("set app.mark = 'kept'")
      for (const other of others) {
        expect(await other.query(settingOf)).toEqual([{ mark: 'kept' }])
        expect(await other.transaction((tx) => tx.query(settingOf))).toEqual([{ mark: 'kept' }])
      }
    })
  })

  it('T14: several at the same time have a connection each', async () => {
    const db = open()
    const both = gate()
    let arrived = 0
    const pids = await within(
      5_000,
      Promise.all(
        ['a', 'b'].map((mark) =>
          db.withSession(async (on) => {
            await on.query(`set app.mark = '${mark}'`)
            if (++arrived === 2) both.open()
            await both.opened
            expect(await db.transaction((tx) => tx.query(settingOf))).toEqual([{ mark }])
            expect(await db.query(settingOf)).toEqual([{ mark }])
            return backendOf(db)
          }),
        ),
      ),
    )
    expect(new Set(pids).size).toBe(2)
  })

  it('T14: one that was given nothing to do takes no connection', async () => {
    const db = open()
    expect(await db.withSession(() => 'done')).toBe('done')
    expect(scene.proxy.connections).toHaveLength(0)
  })
})
