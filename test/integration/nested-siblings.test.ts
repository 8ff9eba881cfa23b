// T2: nested transactions that run at once. What they do must not mix, and one that is undone must not take another along.

import { describe, expect, it } from '@jest/globals'
import { nesting, type Orm } from './orms.js'
import { outcome, useScene } from './scene.js'

const scene = useScene()

describe.each(nesting.slice(0, 1))('$name', (orm: Orm) => {
  it.each([undefined, 0, 1, 2])(
    'T2: siblings under Promise.all, number %p failing: only that one is undone',
    async (failing) => {
      const db = scene.open(orm, { pool: { min: 0, max: 1, overflow: 0 } })
      const seen = await outcome(
        db.transaction(async (tx) => {
          await Promise.all(
            [0, 1, 2].map((n) =>
              outcome(
                tx.nested(async (nested) => {
                  await nested.insert(`${n} first`)
                  await nested.insert(`${n} second`)
                  if (n === failing) throw new Error('mine')
                }),
              ),
            ),
          )
        }),
      )
      expect(seen).toEqual({ value: undefined })
      const kept = [0, 1, 2].filter((n) => n !== failing)
      expect(await scene.marks()).toEqual(kept.flatMap((n) => [`${n} first`, `${n} second`]))
    },
  )
})
