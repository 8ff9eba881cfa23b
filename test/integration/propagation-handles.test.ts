// T10: a transaction asked for on the handle of another one is in that one, wherever the call comes from.

import { describe, expect, it } from '@jest/globals'
import { currentTransaction, type Propagation } from '@moorings/core'
import { type Handle, openJoint, type RootName, rootNames, undone } from './joint.js'
import { errorOf, gate, useScene } from './scene.js'

const scene = useScene()

describe.each(rootNames)('T10: on the handle of a transaction of %s', (name: RootName) => {
  const joins: Propagation[] = ['nested', 'required', 'supports', 'mandatory']

  it.each(joins)('%s is in that transaction, also in a call chain that is outside of it', async (propagation) => {
    const { roots } = openJoint(scene, 2)
    const begun = gate()
    const done = gate()
    let handle: Handle | undefined
    const beside = (async () => {
      await begun.opened
      expect(currentTransaction()).toBeUndefined()
      await handle?.withTransaction(
        async (tx) => {
          await tx.insert('by the handle')
          await roots[name].insert('joined')
        },
        { propagation },
      )
    })()
    beside.then(done.open, done.open)
    await undone((fail) =>
      roots[name].withTransaction(async (tx) => {
        handle = tx
        begun.open()
        await done.opened
        await beside
        expect(await tx.query('select mark from marks')).toHaveLength(2)
        fail()
      }),
    )
    expect(await scene.marks()).toEqual([])
  })

  it('never is refused', async () => {
    const { roots } = openJoint(scene, 2)
    await roots[name].withTransaction(async (tx) => {
      const refused = tx.withTransaction((db) => db.insert('never'), { propagation: 'never' })
      expect(await errorOf(refused)).toMatchObject({ name: 'PropagationError' })
      await tx.insert('outer')
    })
    expect(await scene.marks()).toEqual(['outer'])
  })

  it('notSupported is refused: the handle has no way out of its transaction', async () => {
    const { roots } = openJoint(scene, 2)
    await roots[name].withTransaction(async (tx) => {
      const refused = tx.withTransaction((db) => db.insert('never'), { propagation: 'notSupported' })
      expect(await errorOf(refused)).toMatchObject({
        name: 'InvalidOptionsError',
        message: expect.stringContaining('root database'),
      })
      await tx.insert('outer')
    })
    expect(await scene.marks()).toEqual(['outer'])
  })

  it('requiresNew is a new one, or refused where the ORM has no way to it; it is never in the old one', async () => {
    const { roots } = openJoint(scene, 2)
    await undone((fail) =>
      roots[name].withTransaction(async (tx) => {
        await tx.insert('undone')
        const asked = tx.withTransaction((own) => own.insert('kept'), { propagation: 'requiresNew' })
        if (name === 'drizzle') await asked
        else expect(await errorOf(asked)).toMatchObject({ name: 'InvalidOptionsError' })
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(name === 'drizzle' ? ['kept'] : [])
  })

  it('one that has ended is refused', async () => {
    const { roots } = openJoint(scene, 1)
    const kept: Handle[] = []
    await roots[name].withTransaction(async (tx) => {
      kept.push(tx)
      await tx.withTransaction((nested) => void kept.push(nested))
    })
    for (const handle of kept) {
      for (const propagation of joins) {
        const error = await errorOf(handle.withTransaction((tx) => tx.insert('never'), { propagation }))
        // Kysely refuses it before we are asked, in words of its own.
        if (name === 'kysely') expect(String(error)).toMatch(/already committed|has ended/)
        else expect(error).toMatchObject({ name: 'TransactionEndedError' })
      }
    }
    expect(await scene.marks()).toEqual([])
  })
})
