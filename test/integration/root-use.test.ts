// T12: the root database inside the ORM's own transaction, where its stock meaning is another connection: told, joined,
// refused or allowed, as resilience.transaction.rootUse has it.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { outsideTransaction } from '@moorings/core'
import { eventsOf } from './events.js'
import {
  clientRunner,
  type Joint,
  named,
  openJoint,
  pidOf,
  type Runner,
  rootNames,
  seenBy,
  seenOutside,
  Undo,
  undone,
} from './joint.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const patience = 20_000

/** The ORMs' own transactions, with a body that runs inside of them. */
const ways: Record<string, (joint: Joint, body: (tx: Runner) => Promise<void>) => Promise<unknown>> = {
  "Drizzle's db.transaction": ({ roots }, body) => roots.drizzle.own(body),
  "Kysely's db.transaction": ({ roots }, body) => roots.kysely.own(body),
  '$client.begin': ({ orm }, body) => orm.$client.begin((sql) => body(clientRunner(sql))),
  "a client's begin with modes": ({ client }, body) => client.begin('read write', (sql) => body(clientRunner(sql))),
  'a nested one of Drizzle': ({ orm }, body) =>
    orm.transaction((tx) =>
      tx.transaction((nested) =>
        body({
          query: async (sql) => [...(await nested.execute(sql))],
          insert: async (mark) => void (await nested.execute(`insert into marks values ('${mark}')`)),
        }),
      ),
    ),
}

const askers: Record<string, (joint: Joint) => Runner> = {
  Drizzle: ({ roots }) => roots.drizzle,
  Kysely: ({ roots }) => roots.kysely,
  'the client': ({ client }) => clientRunner(client),
}

const cases = Object.keys(ways).flatMap((way) => Object.keys(askers).map((asker) => [way, asker] as const))

const warn = jest.spyOn(process, 'emitWarning')
beforeEach(() => {
  warn.mockReset()
})
afterEach(() => {
  warn.mockReset()
})

function warnings(): unknown[] {
  return warn.mock.calls.map(([message, options]) => ({ message: String(message), options }))
}

describe.each(cases)('T12: in %s, the root database of %s', (way, asker) => {
  it('by default has a connection of its own, which is told: as a warning once, as an event each time', async () => {
    const joint = openJoint(scene, 2)
    const used = eventsOf(scene, joint.pool, 'moorings:root:used')
    const root = named(askers, asker)(joint)
    await undone((fail) =>
      named(ways, way)(joint, async (tx) => {
        await tx.insert('undone')
        expect(await pidOf(root)).not.toBe(await pidOf(tx))
        await root.insert('kept')
        expect(await seenBy(root)).toEqual(['kept'])
        fail()
      }),
    )
    await named(ways, way)(joint, async () => {
      await root.insert('kept, too')
    })
    expect(await scene.marks()).toEqual(['kept', 'kept, too'])
    expect(warnings()).toEqual([
      {
        message: expect.stringContaining('root database'),
        options: expect.objectContaining({ code: 'MOORINGS_ROOT_USE' }),
      },
    ])
    expect(used).toHaveLength(4)
    expect(used[0]).toMatchObject({ attempt: 1 })
  })

  it("'join': joins, and is undone with it", async () => {
    const joint = openJoint(scene, 1, { rootUse: 'join' })
    const used = eventsOf(scene, joint.pool, 'moorings:root:used')
    const root = named(askers, asker)(joint)
    await undone((fail) =>
      named(ways, way)(joint, async (tx) => {
        await tx.insert('by tx')
        await root.insert('by root')
        expect(await pidOf(root)).toBe(await pidOf(tx))
        expect(await seenBy(root)).toEqual(['by root', 'by tx'])
        expect(await seenOutside(scene)).toEqual([])
        fail()
      }),
    )
    expect(await scene.marks()).toEqual([])
    expect(joint.pool.stats()).toMatchObject({ leased: 0, created: 1 })
    expect(warnings()).toEqual([])
    expect(used).toEqual([])
  })

  it("'error': is refused and sends nothing, and the transaction goes on", async () => {
    const joint = openJoint(scene, 2, { rootUse: 'error' })
    const root = named(askers, asker)(joint)
    await named(ways, way)(joint, async (tx) => {
      await tx.insert('kept')
      expect(await errorOf(root.insert('refused'))).toMatchObject({ name: 'RootUseError' })
      // Where it is meant, that can be said.
      await outsideTransaction(() => root.insert('outside'))
      await tx.insert('kept, too')
    })
    expect(await scene.marks()).toEqual(['kept', 'kept, too', 'outside'])
    expect(scene.proxy.statements.filter((text) => /refused/.test(text))).toEqual([])
    // And once it has ended.
    await root.insert('later')
    expect(warnings()).toEqual([])
  })

  it("'allow': has a connection of its own, and nobody is told", async () => {
    const joint = openJoint(scene, 2, { rootUse: 'allow' })
    const used = eventsOf(scene, joint.pool, 'moorings:root:used')
    const root = named(askers, asker)(joint)
    await undone((fail) =>
      named(ways, way)(joint, async (tx) => {
        await tx.insert('undone')
        await root.insert('kept')
        expect(await pidOf(root)).not.toBe(await pidOf(tx))
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(['kept'])
    expect(warnings()).toEqual([])
    expect(used).toEqual([])
  })
})

describe.each(Object.keys(ways))('T12: beside %s', (way) => {
  it('what is meant to be outside is not told, nor refused', async () => {
    const joint = openJoint(scene, 2)
    await named(ways, way)(joint, async () => {
      await outsideTransaction(() => joint.roots.drizzle.insert('one'))
      await outsideTransaction(() => joint.roots.kysely.withTransaction((own) => own.insert('two')))
    })
    await joint.roots.drizzle.insert('three')
    expect(await scene.marks()).toEqual(['one', 'three', 'two'])
    expect(warnings()).toEqual([])
  })

  it('another pool is another database, which is not told', async () => {
    const joint = openJoint(scene, 1)
    const other = openJoint(scene, 1)
    await named(ways, way)(joint, async () => {
      for (const name of rootNames) await other.roots[name].insert(name)
    })
    expect(await scene.marks()).toEqual(['drizzle', 'kysely'])
    expect(warnings()).toEqual([])
  })

  it('with a single connection it waits for itself, and is told so', async () => {
    const joint = openJoint(scene, 1)
    let refused: unknown
    await named(ways, way)(joint, async (tx) => {
      await tx.insert('kept')
      refused = await within(patience, errorOf(joint.roots.drizzle.insert('never')))
    })
    expect(refused).toMatchObject({ name: 'SelfDeadlockError' })
    expect(await scene.marks()).toEqual(['kept'])
    expect(warnings()).toHaveLength(1)
  })

  it.each(rootNames)(
    'withTransaction on the root database of %s is a savepoint in it, which root queries join',
    async (name) => {
      const joint = openJoint(scene, 1, { rootUse: 'error' })
      const { [name]: root } = joint.roots
      await named(ways, way)(joint, async (tx) => {
        await tx.insert('1 outer')
        const pid = await pidOf(tx)
        await root.withTransaction(async (nested) => {
          expect(await pidOf(nested)).toBe(pid)
          await joint.roots.drizzle.insert('2 joined')
          await joint.roots.kysely.insert('3 joined')
        })
        await undone((fail) =>
          root.withTransaction(async () => {
            await joint.roots.drizzle.insert('undone')
            fail()
          }),
        )
        // And then as before.
        expect(await errorOf(root.insert('refused'))).toMatchObject({ name: 'RootUseError' })
      })
      expect(await scene.marks()).toEqual(['1 outer', '2 joined', '3 joined'])
      expect(joint.pool.stats()).toMatchObject({ leased: 0, created: 1, transactions: { committed: 1 } })
    },
  )

  it.each(['warn', 'join', 'error', 'allow'] as const)(
    "with '%s', inside withTransaction the root database joins it all the same",
    async (rootUse) => {
      const joint = openJoint(scene, 1, { rootUse })
      await joint.roots.drizzle.withTransaction(async () => {
        await named(ways, way)(joint, async () => {
          await joint.roots.kysely.insert('joined')
          await joint.roots.drizzle.insert('joined, too')
        })
      })
      expect(await scene.marks()).toEqual(['joined', 'joined, too'])
      expect(warnings()).toEqual([])
    },
  )
})

describe("T12: Kysely's startTransaction, whose call chain is not in it", () => {
  it.each(['warn', 'join', 'error', 'allow'] as const)(
    "with '%s' the root database has a connection of its own, and nobody can tell",
    async (rootUse) => {
      const { kysely, pool } = openJoint(scene, 2, { rootUse })
      const tx = await kysely.startTransaction().execute()
      await tx.insertInto('marks').values({ mark: 'undone' }).execute()
      await kysely.insertInto('marks').values({ mark: 'kept' }).execute()
      await tx.rollback().execute()
      expect(await scene.marks()).toEqual(['kept'])
      expect(warnings()).toEqual([])
      expect(pool.stats()).toMatchObject({ leased: 0, created: 2 })
    },
  )
})

describe('T12: the warning', () => {
  it('is given once for each pool, however often it is used', async () => {
    const one = openJoint(scene, 2)
    const other = openJoint(scene, 2)
    for (const joint of [one, other, one, other]) {
      await joint.roots.drizzle.own(async () => {
        await joint.roots.drizzle.query('select 1')
        await joint.roots.kysely.query('select 1')
      })
    }
    expect(warnings()).toHaveLength(2)
  })

  it('holds nothing of the statement', async () => {
    const joint = openJoint(scene, 2)
    await joint.roots.drizzle.own(() => joint.roots.drizzle.insert('hunter2'))
    expect(JSON.stringify(warnings())).not.toContain('hunter2')
    expect(warnings()).toHaveLength(1)
  })

  it('has nothing to say of a body that fails first', async () => {
    const joint = openJoint(scene, 2)
    const error = await errorOf(
      joint.roots.drizzle.own(async () => {
        throw new Undo('mine')
      }),
    )
    expect(error).toBeInstanceOf(Undo)
    expect(warnings()).toEqual([])
  })
})
