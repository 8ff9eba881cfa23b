// T2, T10: the handle of one part of a transaction, used where another part of it is open. It never waits for what waits
// for it.

import { describe, expect, it } from '@jest/globals'
import { type Handle, type Joint, openJoint, type RootName, rootNames, undone } from './joint.js'
import { errorOf, gate, useScene, within } from './scene.js'

const scene = useScene()

/** How a transaction is begun: on the root database, or on the handle of the one around it. */
type Way = 'root' | 'handle'
const ways: readonly Way[] = ['root', 'handle']

/** What is done with a handle. */
const uses: Readonly<Record<string, (handle: Handle, mark: string) => Promise<unknown>>> = {
  'a statement': (handle, mark) => handle.insert(mark),
  'a nested one': (handle, mark) => handle.withTransaction((nested) => nested.insert(mark)),
  'one that joins': (handle, mark) => handle.withTransaction((same) => same.insert(mark), { propagation: 'required' }),
}

/** Far below what a wait for a turn may take. */
const soon = 10_000

function begin<T>(joint: Joint, name: RootName, way: Way, outer: Handle, body: (tx: Handle) => Promise<T>): Promise<T> {
  return (way === 'root' ? joint.roots[name] : outer).withTransaction(body)
}

describe.each(rootNames)('%s', (name: RootName) => {
  // One that joins and fails takes what it has joined along.
  const byOuter = Object.entries(uses).filter(([use]) => name === 'kysely' || use !== 'one that joins')

  describe.each(ways)('nested by the %s', (way: Way) => {
    it.each(byOuter)('T2: %s by the outer handle in the inner one', async (_, use) => {
      const joint = openJoint(scene, 1)
      await joint.roots[name].withTransaction(async (outer) => {
        await outer.insert('outer')
        await undone((fail) =>
          begin(joint, name, way, outer, async () => {
            const done = within(soon, use(outer, 'in the inner one'))
            // Kysely's handle stands for the part of its transaction that the call chain is in.
            if (name === 'kysely') await done
            else expect(await errorOf(done)).toMatchObject({ name: 'NestedTransactionOpenError' })
            fail()
          }),
        )
        await use(outer, 'outer again')
      })
      expect(await scene.marks()).toEqual(['outer', 'outer again'])
    })

    it.each(byOuter)('T2: %s by the outermost handle, three deep', async (_, use) => {
      const joint = openJoint(scene, 1)
      await joint.roots[name].withTransaction(async (outer) => {
        await begin(joint, name, way, outer, async (middle) => {
          await undone((fail) =>
            begin(joint, name, way, middle, async () => {
              const done = within(soon, use(outer, 'in the innermost one'))
              if (name === 'kysely') await done
              else expect(await errorOf(done)).toMatchObject({ name: 'NestedTransactionOpenError' })
              fail()
            }),
          )
          await middle.insert('middle')
        })
      })
      expect(await scene.marks()).toEqual(['middle'])
    })
  })

  it.each(Object.entries(uses))('T10: %s by the inner handle, in what is around it', async (_, use) => {
    const joint = openJoint(scene, 1)
    const root = joint.roots[name]
    const begun = gate()
    const goOn = gate()
    let inner: Handle | undefined
    await root.withTransaction(async (outer) => {
      const nested = undone((fail) =>
        root.withTransaction(() =>
          root.withTransaction(async (handle) => {
            inner = handle
            begun.open()
            await goOn.opened
            fail()
          }),
        ),
      )
      await begun.opened
      if (inner !== undefined) await within(soon, use(inner, 'undone with the inner one'))
      goOn.open()
      await nested
      await outer.insert('outer')
    })
    expect(await scene.marks()).toEqual(['outer'])
  })

  it.each(Object.entries(uses))(
    'T10: %s by a handle, nested in it by a chain that is outside of it',
    async (_, use) => {
      const joint = openJoint(scene, 1)
      const begun = gate()
      const goOn = gate()
      let handle: Handle | undefined
      const outside = (async () => {
        await begun.opened
        await handle?.withTransaction(async (nested) => {
          await nested.withTransaction((innermost) => within(soon, use(innermost, 'from outside')))
          await nested.insert('from outside, too')
        })
      })()
      await joint.roots[name].withTransaction(async (tx) => {
        handle = tx
        begun.open()
        outside.then(goOn.open, goOn.open)
        await goOn.opened
      })
      await outside
      expect(await scene.marks()).toEqual(['from outside', 'from outside, too'])
    },
  )
})

describe("the sql of the client's begin", () => {
  it('T2: means what is nested in it, in that call chain: statements and savepoints, three deep', async () => {
    const { client } = openJoint(scene, 1)
    await client.begin(async (sql) => {
      await sql`insert into marks values ('1 outer')`
      await undone((fail) =>
        sql.savepoint(() =>
          sql.savepoint(async () => {
            await sql`insert into marks values ('undone')`
            await within(
              soon,
              sql.savepoint(() => sql`insert into marks values ('undone, too')`),
            )
            fail()
          }),
        ),
      )
      await sql`insert into marks values ('2 outer again')`
    })
    expect(await scene.marks()).toEqual(['1 outer', '2 outer again'])
  })

  it('T2: means itself beside it, and is refused there', async () => {
    const { client } = openJoint(scene, 1)
    const begun = gate()
    const goOn = gate()
    await client.begin(async (sql) => {
      const nested = sql.savepoint(async (inner) => {
        begun.open()
        await goOn.opened
        await inner`insert into marks values ('nested')`
      })
      await begun.opened
      expect(await errorOf(sql.unsafe("insert into marks values ('beside')"))).toMatchObject({
        name: 'NestedTransactionOpenError',
      })
      goOn.open()
      await nested
    })
    expect(await scene.marks()).toEqual(['nested'])
  })

  it('T2: its savepoints beside each other run one after the other, also inside of one', async () => {
    const { client } = openJoint(scene, 1)
    await client.begin((sql) =>
      sql.savepoint(() =>
        Promise.all(
          ['a', 'b'].map((mark) =>
            within(
              soon,
              sql.savepoint(async () => {
                await sql`insert into marks values (${`${mark} first`})`
                await sql`insert into marks values (${`${mark} second`})`
              }),
            ),
          ),
        ),
      ),
    )
    expect(await scene.marks()).toEqual(['a first', 'a second', 'b first', 'b second'])
  })
})
