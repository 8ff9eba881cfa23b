// T11: inside withTransaction a query on the root database joins, whichever way the ORM has of asking it. The witness is
// the server: the same backend, the same transaction, rows that nobody else sees and that are gone with the roll-back.

import { beforeAll, describe, expect, it } from '@jest/globals'
import { outsideTransaction } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect, withTransaction as withKysely } from '@moorings/kysely'
import { createClient } from '@moorings/postgres'
import { sql } from 'drizzle-orm'
import { CamelCasePlugin, Kysely, sql as kyselySql } from 'kysely'
import {
  type Joint,
  marks,
  named,
  openJoint,
  pairs,
  pidOf,
  type RootName,
  rootNames,
  schema,
  seenBy,
  seenOutside,
  undone,
} from './joint.js'
import type { Schema } from './orms.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

interface Camel {
  bookedBerths: { berthName: string; marks: unknown }
}

beforeAll(() =>
  scene.admin.query(`
    create table booked_berths (berth_name text, marks jsonb);
    create schema harbour;
    create table harbour.marks (mark text)`),
)

/** Ways to read `marks` through a root database, each prepared before the transaction begins. */
const readers: Record<string, (joint: Joint) => () => Promise<unknown[]>> = {
  "Drizzle's query builder": ({ orm }) => {
    const all = orm.select().from(marks).orderBy(marks.mark)
    return async () => (await all).map(({ mark }) => mark)
  },
  "Drizzle's execute": ({ orm }) => {
    return async () => [...(await orm.execute(sql`select mark from ${marks} order by mark`))].map(({ mark }) => mark)
  },
  "Drizzle's relational queries": ({ orm }) => {
    return async () => (await orm.query.marks.findMany({ orderBy: marks.mark })).map(({ mark }) => mark)
  },
  'a prepared query of Drizzle': ({ orm }) => {
    const prepared = orm.select().from(marks).orderBy(marks.mark).prepare('all_marks')
    return async () => (await prepared.execute()).map(({ mark }) => mark)
  },
  'a prepared relational query of Drizzle': ({ orm }) => {
    const prepared = orm.query.marks.findMany({ orderBy: marks.mark }).prepare('related_marks')
    return async () => (await prepared.execute()).map(({ mark }) => mark)
  },
  "Drizzle's $with": ({ orm }) => {
    const all = orm.$with('all').as(orm.select().from(marks))
    return async () => (await orm.with(all).select().from(all).orderBy(all.mark)).map(({ mark }) => mark)
  },
  'a second Drizzle database on the pool': ({ pool }) => {
    const other = drizzle({ client: pool, schema })
    return async () => (await other.query.marks.findMany({ orderBy: marks.mark })).map(({ mark }) => mark)
  },
  "Kysely's query builder": ({ kysely }) => {
    const all = kysely.selectFrom('marks').select('mark').orderBy('mark')
    return async () => (await all.execute()).map(({ mark }) => mark)
  },
  "Kysely's raw SQL": ({ kysely }) => {
    const all = kyselySql<{ mark: string }>`select mark from marks order by mark`
    return async () => (await all.execute(kysely)).rows.map(({ mark }) => mark)
  },
  'a compiled query of Kysely': ({ kysely }) => {
    const compiled = kysely.selectFrom('marks').select('mark').orderBy('mark').compile()
    return async () => (await kysely.executeQuery(compiled)).rows.map(({ mark }) => mark)
  },
  'Kysely with a plugin': ({ kysely }) => {
    const camel = kysely.withPlugin(new CamelCasePlugin())
    return async () =>
      (await camel.selectFrom('marks').select('mark as theMark').orderBy('theMark').execute()).map(
        ({ theMark }) => theMark,
      )
  },
  'Kysely withSchema': ({ kysely }) => {
    const all = kysely.withSchema('public').selectFrom('marks').select('mark').orderBy('mark')
    return async () => (await all.execute()).map(({ mark }) => mark)
  },
  "Kysely's stream": ({ kysely }) => {
    return async () => {
      const seen: unknown[] = []
      for await (const { mark } of kysely.selectFrom('marks').selectAll().orderBy('mark').stream(1)) seen.push(mark)
      return seen
    }
  },
  "Kysely's connection()": ({ kysely }) => {
    return () =>
      kysely.connection().execute(async (one) => {
        const rows = await one.selectFrom('marks').select('mark').orderBy('mark').execute()
        return rows.map(({ mark }) => mark)
      })
  },
  'a second Kysely on the pool': ({ pool }) => {
    const other = new Kysely<Schema>({ dialect: new ResilientPostgresDialect({ client: pool }) })
    return async () =>
      (await other.selectFrom('marks').select('mark').orderBy('mark').execute()).map(({ mark }) => mark)
  },
  "the client's template": ({ client }) => {
    return async () => (await client`select mark from marks order by mark`).map(({ mark }) => mark)
  },
  "Drizzle's $client": ({ orm }) => {
    return async () => (await orm.$client.unsafe('select mark from marks order by mark')).map(({ mark }) => mark)
  },
  "a client's cursor": ({ client }) => {
    return async () => {
      const seen: unknown[] = []
      for await (const rows of client`select mark from marks order by mark`.cursor(1)) {
        seen.push(...rows.map(({ mark }) => mark))
      }
      return seen
    }
  },
}

/** Ways to write a mark through a root database. */
const writers: Record<string, (joint: Joint) => (mark: string) => Promise<unknown>> = {
  "Drizzle's query builder":
    ({ orm }) =>
    async (mark) =>
      orm.insert(marks).values({ mark }),
  'a prepared query of Drizzle': ({ orm }) => {
    const prepared = orm
      .insert(marks)
      .values({ mark: sql.placeholder('mark') })
      .prepare('add_mark')
    return (mark) => prepared.execute({ mark })
  },
  "Kysely's query builder":
    ({ kysely }) =>
    (mark) =>
      kysely.insertInto('marks').values({ mark }).execute(),
  "the client's template":
    ({ client }) =>
    async (mark) =>
      client`insert into marks values (${mark})`,
}

describe.each(rootNames)('T11: in withTransaction of %s', (name: RootName) => {
  it.each(Object.keys(readers))('what it has written is seen by %s', async (reader) => {
    const joint = openJoint(scene, 2)
    const { [name]: root } = joint.roots
    const read = named(readers, reader)(joint)
    await undone((fail) =>
      root.withTransaction(async (tx) => {
        await tx.insert('one')
        await tx.insert('two')
        expect(await read()).toEqual(['one', 'two'])
        // From a connection of its own it is not.
        expect(await outsideTransaction(read)).toEqual([])
        expect(await seenOutside(scene)).toEqual([])
        fail()
      }),
    )
    expect(await read()).toEqual([])
    expect(joint.pool.stats()).toMatchObject({ leased: 0, created: 2 })
  })

  it.each(Object.keys(writers))('what %s writes is part of it: undone with it, kept with it', async (writer) => {
    const joint = openJoint(scene, 1)
    const { [name]: root } = joint.roots
    const write = named(writers, writer)(joint)
    await undone((fail) =>
      root.withTransaction(async (tx) => {
        await tx.insert('by tx')
        await write('by root')
        expect(await seenBy(tx)).toEqual(['by root', 'by tx'])
        fail()
      }),
    )
    expect(await scene.marks()).toEqual([])
    await root.withTransaction(async (tx) => {
      await write('kept by root')
      await tx.insert('kept by tx')
    })
    expect(await scene.marks()).toEqual(['kept by root', 'kept by tx'])
    expect(joint.pool.stats()).toMatchObject({ leased: 0, created: 1 })
  })
})

describe.each(pairs)('T11: withTransaction of %s, and queries on the root database of %s', (name, asked) => {
  it('share a backend with the handle, and nothing else is sent than the statements', async () => {
    const { roots, pool } = openJoint(scene, 1)
    // What a new connection is asked first is asked before.
    await roots[name].query('select 1')
    const sent = scene.proxy.statements.length
    await roots[name].withTransaction(async (tx) => {
      const pid = await pidOf(tx)
      expect(await pidOf(roots[asked])).toBe(pid)
      expect(await pidOf(tx)).toBe(pid)
    })
    const ask = 'select pg_backend_pid() as pid'
    expect(scene.proxy.statements.slice(sent)).toEqual(['begin', ...[ask, ask, ask], 'commit'])
    expect(pool.stats()).toMatchObject({ leased: 0, created: 1 })
  })

  it('a joined statement that fails, and whose error is swallowed, is no success of the transaction', async () => {
    const { roots } = openJoint(scene, 1)
    let first: unknown
    const error = await errorOf(
      roots[name].withTransaction(async (tx) => {
        await tx.insert('undone')
        first = await errorOf(roots[asked].query('select 1/0'))
      }),
    )
    expect(first).toMatchObject({ code: '22012' })
    expect(error).toMatchObject({ name: 'TransactionAbortedError', code: '22012' })
    expect(error instanceof Error && error.cause).toBe(first)
    expect(await scene.marks()).toEqual([])
  })

  it('join the nested transaction they are called in, and are undone with it alone', async () => {
    const { roots } = openJoint(scene, 1)
    await roots[name].withTransaction(async (tx) => {
      await roots[asked].insert('outer')
      await undone((fail) =>
        tx.withTransaction(async (nested) => {
          await roots[asked].insert('inner')
          expect(await seenBy(nested)).toEqual(['inner', 'outer'])
          fail()
        }),
      )
      await roots[asked].insert('outer again')
    })
    expect(await scene.marks()).toEqual(['outer', 'outer again'])
  })

  it('are refused while a nested transaction is open beside them', async () => {
    const { roots } = openJoint(scene, 1)
    await roots[name].withTransaction(async (tx) => {
      await tx.insert('outer')
      let refused: unknown
      const beside = async () => {
        refused = await errorOf(roots[asked].insert('beside'))
      }
      // Where it stands it is outside of the nested one, which is open before this goes on.
      let go = () => {}
      const started = new Promise<void>((resolve) => {
        go = resolve
      })
      const later = started.then(beside)
      await tx.withTransaction(async (nested) => {
        await nested.insert('inner')
        go()
        await later
      })
      expect(refused).toMatchObject({ name: 'NestedTransactionOpenError' })
    })
    expect(await scene.marks()).toEqual(['inner', 'outer'])
  })

  it('each attempt is joined by the queries of that attempt', async () => {
    const { roots, pool } = openJoint(scene, 1, { retry: { initialDelayMs: 1, maxDelayMs: 1 } })
    const seen: unknown[] = []
    await roots[name].withTransaction(async (tx, { attempt }) => {
      await roots[asked].insert(`attempt ${attempt}`)
      expect(await pidOf(roots[asked])).toBe(await pidOf(tx))
      seen.push(await seenBy(tx))
      if (attempt < 3) {
        await roots[asked].query(`do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`)
      }
    })
    expect(seen).toEqual([['attempt 1'], ['attempt 2'], ['attempt 3']])
    expect(await scene.marks()).toEqual(['attempt 3'])
    expect(pool.stats()).toMatchObject({ leased: 0, transactions: { committed: 1 } })
  })
})

describe("T11: Kysely's plugins and schemas", () => {
  it('hold for the handle and for what joins it, each with its own', async () => {
    const { pool, kysely, orm } = openJoint(scene, 1)
    const camel = new Kysely<Camel>({
      dialect: new ResilientPostgresDialect({ client: pool }),
      plugins: [new CamelCasePlugin()],
    })
    await undone((fail) =>
      withKysely(camel, async (tx) => {
        const berth = { berthName: 'A1', marks: JSON.stringify([{ is_on: true }]) }
        await tx.insertInto('bookedBerths').values(berth).execute()
        const expected = { berthName: 'A1', marks: [{ isOn: true }] }
        expect(await tx.selectFrom('bookedBerths').selectAll().execute()).toEqual([expected])
        expect(await camel.selectFrom('bookedBerths').selectAll().execute()).toEqual([expected])
        const plain = { berth_name: 'A1', marks: [{ is_on: true }] }
        expect((await kyselySql`select * from booked_berths`.execute(kysely)).rows).toEqual([plain])
        expect([...(await orm.execute('select * from booked_berths'))]).toEqual([plain])
        fail()
      }),
    )
    expect(await camel.selectFrom('bookedBerths').selectAll().execute()).toEqual([])
  })

  it('a handle begun withSchema writes to that schema, while the root database goes on in its own', async () => {
    const { kysely } = openJoint(scene, 1)
    const harbour = kysely.withSchema('harbour')
    await undone((fail) =>
      withKysely(harbour, async (tx) => {
        await tx.insertInto('marks').values({ mark: 'in harbour' }).execute()
        await harbour.insertInto('marks').values({ mark: 'in harbour, too' }).execute()
        await kysely.insertInto('marks').values({ mark: 'in public' }).execute()
        await tx.withSchema('public').insertInto('marks').values({ mark: 'in public, too' }).execute()
        const inHarbour = await tx.selectFrom('marks').select('mark').orderBy('mark').execute()
        expect(inHarbour.map(({ mark }) => mark)).toEqual(['in harbour', 'in harbour, too'])
        const inPublic = await kysely.selectFrom('marks').select('mark').orderBy('mark').execute()
        expect(inPublic.map(({ mark }) => mark)).toEqual(['in public', 'in public, too'])
        fail()
      }),
    )
    expect(await harbour.selectFrom('marks').selectAll().execute()).toEqual([])
    expect(await scene.marks()).toEqual([])
  })
})

describe('T11: what does not join', () => {
  it('another pool, also one to the same database', async () => {
    const one = openJoint(scene, 1)
    const other = openJoint(scene, 1)
    await undone((fail) =>
      one.roots.drizzle.withTransaction(async (tx) => {
        await tx.insert('undone')
        await other.roots.drizzle.insert('kept')
        await other.roots.kysely.insert('kept, too')
        expect(await pidOf(other.roots.drizzle)).not.toBe(await pidOf(tx))
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(['kept', 'kept, too'])
  })

  it('a reserved connection, and what the pool itself lends', async () => {
    const { roots, client, pool } = openJoint(scene, 3)
    await roots.kysely.withTransaction(async (tx) => {
      const pid = await pidOf(tx)
      const reserved = await client.reserve()
      const [row] = await reserved`select pg_backend_pid() as pid`
      expect(row?.pid).not.toBe(pid)
      reserved.release()
      await pool.lease(async ({ connection }) => {
        const { rows } = await connection.execute<{ pid: number }>({ text: 'select pg_backend_pid() as pid' })
        expect(rows[0]?.pid).not.toBe(pid)
      })
    })
    expect(pool.stats()).toMatchObject({ leased: 0 })
  })

  it('a client made on the pool meanwhile does, as any other', async () => {
    const { roots, pool } = openJoint(scene, 1)
    await roots.drizzle.withTransaction(async (tx) => {
      const [row] = await createClient(pool)`select pg_backend_pid() as pid`
      expect(row?.pid).toBe(await pidOf(tx))
    })
  })
})
