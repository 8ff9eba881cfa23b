// T2: nested transactions that are asked for at once run one after the other: one that is undone takes no other along.

import { describe, expect, it } from '@jest/globals'
import { NestedTransactionOpenError } from '@moorings/core'
import { type Orm, retried } from './orms.js'
import { errorOf, gate, outcome, useScene } from './scene.js'

const scene = useScene()
const siblings = [0, 1, 2]

describe.each(retried)('$name', (orm: Orm) => {
  it.each([undefined, ...siblings])(
    'T2: siblings at once, number %p failing: what the others did persists',
    async (failing) => {
      const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0 } })
      const mine = new Error('mine')
      let open = 0
      await db.transaction(async (tx) => {
        const all = siblings.map((n) =>
          tx.nested(async (nested) => {
            expect(open++).toBe(0)
            try {
              await nested.insert(`${n} first`)
              await nested.insert(`${n} second`)
              if (n === failing) throw mine
            } finally {
              open--
            }
          }),
        )
        expect(await Promise.all(all.map(outcome))).toEqual(
          siblings.map((n) => (n === failing ? { error: mine } : { value: undefined })),
        )
        await tx.insert('3 behind them')
      })
      const kept = siblings.filter((n) => n !== failing)
      expect(await scene.marks()).toEqual([...kept.flatMap((n) => [`${n} first`, `${n} second`]), '3 behind them'])
      expect(db.pool.stats()).toMatchObject({ leased: 0 })
    },
  )

  it('T2: the one around is not to be used while a nested one is open, and nothing comes of it', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0 } })
    await db.transaction(async (tx) => {
      const nested = tx.nested(async (nested) => {
        await nested.insert('inside')
        const seen = await outcome(tx.insert('beside'))
        // With Kysely both are the same handle: what is sent in the nested one's call chain is part of it.
        if (orm.name.startsWith('kysely')) expect(seen).toEqual({ value: undefined })
        else expect(seen).toMatchObject({ error: { name: 'NestedTransactionOpenError' } })
        throw new Error('mine')
      })
      expect(await errorOf(nested)).toMatchObject({ message: 'mine' })
      await tx.insert('outside')
    })
    expect(await scene.marks()).toEqual(['outside'])
  })

  it('T2: a body that ends before the nested one it has begun: nothing of both persists', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0 } })
    const [began, end] = [gate(), gate()]
    let nestedOne: Promise<unknown> | undefined
    const error = await errorOf(
      db.transaction(async (tx) => {
        await tx.insert('outside')
        nestedOne = outcome(
          tx.nested(async (nested) => {
            await nested.insert('inside')
            began.open()
            await end.opened
            await nested.insert('late')
          }),
        )
        await began.opened
      }),
    )
    end.open()
    expect(error).toBeInstanceOf(NestedTransactionOpenError)
    // Kysely refuses what is late in words of its own.
    if (orm.name.startsWith('drizzle'))
      expect(await nestedOne).toMatchObject({ error: { name: 'TransactionEndedError' } })
    else expect(await nestedOne).toMatchObject({ error: { message: expect.stringMatching(/already/) } })
    expect(await scene.marks()).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leased: 0 })
  })
})
