// T11: what a body of withTransaction begins besides, by whichever ORM and in whichever way, is a savepoint in it.

import { describe, expect, it } from '@jest/globals'
import { withTransaction as withDrizzle } from '@moorings/drizzle'
import { withTransaction as withKysely } from '@moorings/kysely'
import {
  type Handle,
  type Joint,
  marks,
  named,
  openJoint,
  type RootName,
  rootNames,
  seenOutside,
  undone,
} from './joint.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

describe('T11: what else a body may begin joins as a nested one', () => {
  const begins: Record<string, (joint: Joint, body: (insert: Handle['insert']) => Promise<void>) => Promise<unknown>> =
    {
      "Drizzle's db.transaction": ({ orm }, body) =>
        orm.transaction((tx) => body(async (mark) => void (await tx.insert(marks).values({ mark })))),
      "Kysely's db.transaction": ({ kysely }, body) =>
        kysely
          .transaction()
          .execute((tx) => body(async (mark) => void (await tx.insertInto('marks').values({ mark }).execute()))),
      "Kysely's startTransaction": async ({ kysely }, body) => {
        const tx = await kysely.startTransaction().execute()
        try {
          await body(async (mark) => void (await tx.insertInto('marks').values({ mark }).execute()))
          await tx.commit().execute()
        } catch (error) {
          await tx.rollback().execute()
          throw error
        }
      },
      "the client's begin": ({ client }, body) =>
        client.begin((tx) => body(async (mark) => void (await tx`insert into marks values (${mark})`))),
      'withTransaction of Drizzle': ({ orm }, body) =>
        withDrizzle(orm, (tx) => body(async (mark) => void (await tx.insert(marks).values({ mark })))),
      'withTransaction of Kysely': ({ kysely }, body) =>
        withKysely(kysely, (tx) =>
          body(async (mark) => void (await tx.insertInto('marks').values({ mark }).execute())),
        ),
    }

  const byHand = "Kysely's startTransaction"
  const withBody = Object.keys(begins).filter((way) => way !== byHand)

  it(`${byHand} has no body to be in: the root database is refused until it has ended`, async () => {
    const joint = openJoint(scene, 1)
    await joint.roots.drizzle.withTransaction(async () => {
      await named(begins, byHand)(joint, async (insert) => {
        await insert('nested')
        expect(await errorOf(joint.roots.drizzle.insert('refused'))).toMatchObject({
          name: 'NestedTransactionOpenError',
        })
        await insert('nested again')
      })
      await joint.roots.drizzle.insert('outer')
    })
    expect(await scene.marks()).toEqual(['nested', 'nested again', 'outer'])
  })

  describe.each(rootNames)('in withTransaction of %s', (name: RootName) => {
    it.each(Object.keys(begins))('%s', async (way) => {
      const joint = openJoint(scene, 1)
      const begin = named(begins, way)
      await joint.roots[name].withTransaction(async (tx) => {
        await tx.insert('1 outer')
        await begin(joint, (insert) => insert('2 nested'))
        await undone((fail) =>
          begin(joint, async (insert) => {
            await insert('undone')
            fail()
          }),
        )
        await tx.insert('3 outer again')
        expect(await seenOutside(scene)).toEqual([])
      })
      expect(await scene.marks()).toEqual(['1 outer', '2 nested', '3 outer again'])
      expect(joint.pool.stats()).toMatchObject({ leased: 0, created: 1, transactions: { committed: 1, rolledBack: 0 } })
    })

    it.each(withBody)('%s is joined by what is asked of a root database in its body', async (way) => {
      const joint = openJoint(scene, 1)
      const begin = named(begins, way)
      await joint.roots[name].withTransaction(async () => {
        await begin(joint, async (insert) => {
          await insert('1 nested')
          await joint.client`insert into marks values ('2 joined')`
        })
        await undone((fail) =>
          begin(joint, async () => {
            await joint.roots.drizzle.insert('undone')
            await joint.roots.kysely.insert('undone')
            fail()
          }),
        )
      })
      expect(await scene.marks()).toEqual(['1 nested', '2 joined'])
    })

    it.each(Object.keys(begins))('%s is undone with the outer one, although it has ended well', async (way) => {
      const joint = openJoint(scene, 1)
      const begin = named(begins, way)
      await undone((fail) =>
        joint.roots[name].withTransaction(async () => {
          await begin(joint, (insert) => insert('nested'))
          fail()
        }),
      )
      expect(await scene.marks()).toEqual([])
    })
  })
})
