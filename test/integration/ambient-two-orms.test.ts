// One transaction that spans Drizzle and Kysely on one pool: committed together, rolled back together, run again together.

import { describe, expect, it } from '@jest/globals'
import { afterCommit, afterRollback, currentTransaction } from '@moorings/core'
import { openJoint, pairs, pidOf, seenBy, seenOutside, undone } from './joint.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()

describe.each(pairs.filter(([one, other]) => one !== other))(
  'one transaction, begun by %s and joined by %s',
  (one, two) => {
    it('is committed as one', async () => {
      const { roots, pool } = openJoint(scene, 1)
      const order: string[] = []
      await roots[one].withTransaction(async (tx, context) => {
        await tx.insert(`1 ${one}`)
        await roots[two].insert(`2 ${two}`)
        await roots[two].withTransaction(async (nested, inner) => {
          await nested.insert(`3 ${two}, nested`)
          expect(await seenBy(roots[one])).toEqual([`1 ${one}`, `2 ${two}`, `3 ${two}, nested`])
          expect(inner.attempt).toBe(context.attempt)
          expect(inner.signal).toBe(context.signal)
          await afterCommit(() => order.push('after'))
        })
        await tx.insert(`4 ${one}`)
        expect(await seenOutside(scene)).toEqual([])
        expect(order).toEqual([])
      })
      expect(order).toEqual(['after'])
      expect(await scene.marks()).toEqual([`1 ${one}`, `2 ${two}`, `3 ${two}, nested`, `4 ${one}`])
      expect(pool.stats()).toMatchObject({ leased: 0, created: 1, transactions: { committed: 1, rolledBack: 0 } })
    })

    it.each(['the first', 'the second'])('is rolled back as one, when %s fails', async (failing) => {
      const { roots, pool } = openJoint(scene, 1)
      const order: string[] = []
      await undone((fail) =>
        roots[one].withTransaction(async (tx) => {
          await tx.insert('undone')
          await roots[two].withTransaction(
            async (joined) => {
              await joined.insert('undone, too')
              afterRollback(() => order.push('after'))
              if (failing === 'the second') fail()
            },
            { propagation: 'required' },
          )
          fail()
        }),
      )
      expect(order).toEqual(['after'])
      expect(await scene.marks()).toEqual([])
      expect(pool.stats()).toMatchObject({ leased: 0, created: 1, transactions: { committed: 0, rolledBack: 1 } })
    })

    it('the second can be undone alone, and the first goes on', async () => {
      const { roots } = openJoint(scene, 1)
      await roots[one].withTransaction(async (tx) => {
        await tx.insert('kept')
        const error = await errorOf(
          roots[two].withTransaction(async (nested) => {
            await nested.insert('undone')
            await nested.query('select 1/0')
          }),
        )
        expect(error).toMatchObject({ code: '22012' })
        await tx.insert('kept, too')
      })
      expect(await scene.marks()).toEqual(['kept', 'kept, too'])
    })

    it('is run again as one, on a connection that has not been lost', async () => {
      const { roots, pool } = openJoint(scene, 1, { retry: { initialDelayMs: 1, maxDelayMs: 1 } })
      const pids = new Set<number>()
      const attempts: (number | undefined)[] = []
      await roots[one].withTransaction(async (tx) => {
        await tx.insert(`by ${one}`)
        pids.add(await pidOf(tx))
        await roots[two].withTransaction(async (nested, { attempt }) => {
          attempts.push(attempt, currentTransaction()?.attempt)
          await nested.insert(`by ${two}`)
          pids.add(await pidOf(nested))
          if (attempt === 1) await nested.query('select pg_terminate_backend(pg_backend_pid())')
        })
      })
      expect(attempts).toEqual([1, 1, 2, 2])
      expect(pids.size).toBe(2)
      expect(await scene.marks()).toEqual([`by ${one}`, `by ${two}`].sort())
      expect(pool.stats()).toMatchObject({ leased: 0, transactions: { committed: 1, rolledBack: 1 } })
    })
  },
)
