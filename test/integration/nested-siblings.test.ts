// T2: nested transactions that run at once. One that is undone must not take another along unnoticed.

import { describe, expect, it } from '@jest/globals'
import { nesting, type Orm } from './orms.js'
import { outcome, useScene } from './scene.js'

const scene = useScene()
const siblings = [0, 1, 2]

describe.each(nesting.slice(0, 1))('$name', (orm: Orm) => {
  it.each([undefined, ...siblings])(
    'T2: siblings at once, number %p failing: all persist, or none',
    async (failing) => {
      const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0 } })
      const seen = await outcome(
        db.transaction(async (tx) => {
          const all = siblings.map((n) =>
            tx.nested(async (nested) => {
              await nested.insert(`${n} first`)
              await nested.insert(`${n} second`)
              if (n === failing) throw new Error('mine')
            }),
          )
          await Promise.all(all.map(outcome))
        }),
      )
      // Savepoints are a stack: undoing one undoes those that began after it.
      if (failing === undefined) expect(seen).toEqual({ value: undefined })
      else expect(seen).toMatchObject({ error: { name: 'TransactionAbortedError' } })
      const kept = failing === undefined ? siblings : []
      expect(await scene.marks()).toEqual(kept.flatMap((n) => [`${n} first`, `${n} second`]))
      expect(db.pool.stats()).toMatchObject({ leased: 0 })
    },
  )
})
