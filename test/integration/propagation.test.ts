// T10: what a transaction makes of the one it is asked for in. The witness is the server: whose backend it is, what
// others see meanwhile, and what is there in the end.

import { describe, expect, it } from '@jest/globals'
import { currentTransaction } from '@moorings/core'
import { type Handle, openJoint, pairs, pidOf, type RootName, rootNames, seenOutside, undone } from './joint.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const patience = 20_000

/** What is found around a body: whether it has the backend of the outer one, and whether it is a transaction at all. */
async function found(handle: Handle): Promise<{ pid: number; inTransaction: boolean }> {
  const pid = await pidOf(handle)
  // The time of the transaction's beginning stands still in one.
  const at = async () => (await handle.query('select extract(epoch from now())::text as at'))[0]?.at
  const first = await at()
  return { pid, inTransaction: (await at()) === first }
}

describe.each(rootNames)('T10: outside of any transaction, on %s', (name: RootName) => {
  it.each(['nested', 'required', 'requiresNew'] as const)('%s is a new one', async (propagation) => {
    const { roots } = openJoint(scene, 1)
    await undone((fail) =>
      roots[name].withTransaction(
        async (tx, { attempt }) => {
          expect(roots[name].is(tx)).toBe(false)
          expect(attempt).toBe(1)
          await roots[name].insert('undone')
          expect(await seenOutside(scene)).toEqual([])
          fail()
        },
        { propagation },
      ),
    )
    expect(await scene.marks()).toEqual([])
  })

  it('mandatory is refused, and nothing is sent', async () => {
    const { roots, pool } = openJoint(scene, 1)
    let ran = false
    const error = await errorOf(
      roots[name].withTransaction(
        () => {
          ran = true
        },
        { propagation: 'mandatory' },
      ),
    )
    expect(error).toMatchObject({ name: 'PropagationError', message: expect.stringContaining("'mandatory'") })
    expect(ran).toBe(false)
    expect(pool.stats()).toMatchObject({ created: 0 })
  })

  it.each(['supports', 'never', 'notSupported'] as const)(
    '%s is none: the body is given the database itself, and each statement stands for itself',
    async (propagation) => {
      const { roots, pool } = openJoint(scene, 1)
      const order: string[] = []
      await undone((fail) =>
        roots[name].withTransaction(
          async (db, context) => {
            expect(roots[name].is(db)).toBe(true)
            expect(context.attempt).toBe(1)
            expect(context.signal.aborted).toBe(false)
            expect(currentTransaction()).toBeUndefined()
            context.afterCommit(() => order.push('at once'))
            order.push('next')
            context.afterRollback(() => order.push('never'))
            await db.insert('kept')
            expect(await seenOutside(scene)).toEqual(['kept'])
            expect(await found(db)).toMatchObject({ inTransaction: false })
            fail()
          },
          { propagation },
        ),
      )
      expect(order).toEqual(['at once', 'next'])
      expect(await scene.marks()).toEqual(['kept'])
      expect(scene.proxy.statements.filter((text) => /^(begin|commit|rollback)/.test(text))).toEqual([])
      expect(pool.stats()).toMatchObject({ leased: 0, transactions: { committed: 0, rolledBack: 0 } })
    },
  )
})

describe.each(pairs)('T10: inside withTransaction of %s, on %s', (outer, inner) => {
  const inside = { required: true, supports: true, mandatory: true, nested: true, requiresNew: false } as const

  it.each(Object.entries(inside) as [keyof typeof inside, boolean][])(
    '%s has the backend of the outer one: %s',
    async (propagation, same) => {
      const { roots } = openJoint(scene, 2)
      await roots[outer].withTransaction(async (tx) => {
        await tx.insert('outer')
        await roots[inner].withTransaction(
          async (own) => {
            const { pid, inTransaction } = await found(own)
            expect(inTransaction).toBe(true)
            await own.insert('inner')
            // So it is for what joins.
            expect(await pidOf(roots[outer])).toBe(pid)
            expect(await pidOf(roots[inner])).toBe(pid)
            expect(await own.query('select mark from marks order by mark')).toHaveLength(same ? 2 : 1)
          },
          { propagation },
        )
        expect(await seenOutside(scene)).toEqual(same ? [] : ['inner'])
        // And then as before.
        expect(await pidOf(roots[inner])).toBe(await pidOf(tx))
      })
      expect(await scene.marks()).toEqual(['inner', 'outer'])
    },
  )

  it.each(['required', 'supports', 'mandatory'] as const)(
    '%s: a part that fails fails the whole, also where its error is swallowed',
    async (propagation) => {
      const { roots } = openJoint(scene, 1)
      const mine = new Error('mine')
      const error = await errorOf(
        roots[outer].withTransaction(async (tx) => {
          await tx.insert('outer')
          const seen = await errorOf(
            roots[inner].withTransaction(
              async (part) => {
                await part.insert('inner')
                throw mine
              },
              { propagation },
            ),
          )
          expect(seen).toBe(mine)
          await tx.insert('outer again')
        }),
      )
      expect(error).toMatchObject({ name: 'TransactionAbortedError', cause: mine })
      expect(await scene.marks()).toEqual([])
    },
  )

  it('required: two parts at once are both part of it', async () => {
    const { roots } = openJoint(scene, 1)
    const propagation = 'required'
    await roots[outer].withTransaction(async () => {
      const parts = ['a', 'b', 'c'].map((mark) =>
        roots[inner].withTransaction(
          async (part) => {
            await part.insert(`${mark} first`)
            await part.insert(`${mark} second`)
          },
          { propagation },
        ),
      )
      await Promise.all(parts)
    })
    expect(await scene.marks()).toHaveLength(6)
    expect(scene.proxy.statements.filter((text) => /^savepoint/.test(text))).toEqual([])
  })

  it('nested: a part that fails is undone alone', async () => {
    const { roots } = openJoint(scene, 1)
    await roots[outer].withTransaction(async (tx) => {
      await tx.insert('outer')
      await undone((fail) =>
        roots[inner].withTransaction(
          async (part) => {
            await part.insert('inner')
            fail()
          },
          { propagation: 'nested' },
        ),
      )
    })
    expect(await scene.marks()).toEqual(['outer'])
  })

  it('requiresNew: stays when the outer one is rolled back, and is undone without it', async () => {
    const { roots, pool } = openJoint(scene, 2)
    const propagation = 'requiresNew'
    await undone((fail) =>
      roots[outer].withTransaction(async (tx) => {
        await tx.insert('outer')
        await roots[inner].withTransaction((own) => own.insert('kept'), { propagation })
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(['kept'])
    await roots[outer].withTransaction(async (tx) => {
      await tx.insert('outer')
      await undone((failInner) =>
        roots[inner].withTransaction(
          async (own) => {
            await own.insert('undone')
            failInner()
          },
          { propagation },
        ),
      )
    })
    expect(await scene.marks()).toEqual(['kept', 'outer'])
    expect(pool.stats()).toMatchObject({ leased: 0, created: 2 })
  })

  it('requiresNew on an exhausted pool: the error says that the caller waits for itself, and the outer one goes on', async () => {
    const { roots } = openJoint(scene, 1)
    await roots[outer].withTransaction(async (tx) => {
      await tx.insert('outer')
      const error = await within(
        patience,
        errorOf(roots[inner].withTransaction((own) => own.insert('never'), { propagation: 'requiresNew' })),
      )
      expect(error).toMatchObject({ name: 'SelfDeadlockError' })
      await tx.insert('outer again')
    })
    expect(await scene.marks()).toEqual(['outer', 'outer again'])
  })

  it('never is refused, and the outer one goes on', async () => {
    const { roots } = openJoint(scene, 2)
    await roots[outer].withTransaction(async (tx) => {
      const refused = roots[inner].withTransaction((db) => db.insert('never'), { propagation: 'never' })
      expect(await errorOf(refused)).toMatchObject({
        name: 'PropagationError',
        message: expect.stringContaining("'never'"),
      })
      await tx.insert('outer')
    })
    expect(await scene.marks()).toEqual(['outer'])
  })

  it('notSupported is outside of it: on the database itself, another connection, and it stays', async () => {
    const { roots, pool } = openJoint(scene, 2)
    await undone((fail) =>
      roots[outer].withTransaction(async (tx) => {
        await tx.insert('undone')
        const outerPid = await pidOf(tx)
        await roots[inner].withTransaction(
          async (db) => {
            expect(roots[inner].is(db)).toBe(true)
            expect(currentTransaction()).toBeUndefined()
            const { pid, inTransaction } = await found(db)
            expect(pid).not.toBe(outerPid)
            expect(inTransaction).toBe(false)
            await roots[outer].insert('kept')
            expect(await seenOutside(scene)).toEqual(['kept'])
          },
          { propagation: 'notSupported' },
        )
        expect(await pidOf(roots[inner])).toBe(outerPid)
        fail()
      }),
    )
    expect(await scene.marks()).toEqual(['kept'])
    expect(pool.stats()).toMatchObject({ leased: 0 })
  })

  it('one that is to be durable is refused', async () => {
    const { roots } = openJoint(scene, 2)
    await roots[outer].withTransaction(async (tx) => {
      for (const propagation of ['nested', 'required', 'requiresNew'] as const) {
        const refused = roots[inner].withTransaction((own) => own.insert('never'), { propagation, durable: true })
        expect(await errorOf(refused)).toMatchObject({ name: 'PropagationError' })
      }
      await tx.insert('outer')
    })
    await roots[inner].withTransaction((own) => own.insert('outermost'), { durable: true })
    expect(await scene.marks()).toEqual(['outer', 'outermost'])
  })

  it.each(['nested', 'required', 'supports', 'mandatory', 'notSupported'] as const)(
    '%s with settings is refused: they would hold for the outer one, or for none',
    async (propagation) => {
      const { roots } = openJoint(scene, 2)
      await roots[outer].withTransaction(async (tx) => {
        const refused = roots[inner].withTransaction((own) => own.insert('never'), {
          propagation,
          isolationLevel: 'serializable',
        })
        expect(await errorOf(refused)).toMatchObject({
          name: 'PropagationError',
          message: expect.stringContaining('isolationLevel'),
        })
        await tx.insert('outer')
      })
      expect(await scene.marks()).toEqual(['outer'])
    },
  )

  it('requiresNew has settings of its own', async () => {
    const { roots } = openJoint(scene, 2)
    const level = async (handle: Handle) => (await handle.query('show transaction_isolation'))[0]?.transaction_isolation
    await roots[outer].withTransaction(
      async (tx) => {
        const options = { propagation: 'requiresNew', isolationLevel: 'serializable' } as const
        expect(await roots[inner].withTransaction(level, options)).toBe('serializable')
        expect(await level(tx)).toBe('repeatable read')
      },
      { isolationLevel: 'repeatable read' },
    )
  })
})
