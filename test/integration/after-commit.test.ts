// T9: what is to be done once a transaction has ended: after COMMIT and with the connection back, in order, and only for
// what was kept.

import { describe, expect, it } from '@jest/globals'
import { afterCommit, afterRollback, currentTransaction } from '@moorings/core'
import { withTransaction } from '@moorings/kysely'
import { sql } from 'kysely'
import { executes } from '../support/matchers.js'
import { eventsOf } from './events.js'
import {
  clientRunner,
  type Joint,
  named,
  openJoint,
  pairs,
  pidOf,
  type RootName,
  type Runner,
  rootNames,
  seenOutside,
  undone,
} from './joint.js'
import { errorOf, useScene } from './scene.js'

const scene = useScene()
const soon = { retry: { initialDelayMs: 1, maxDelayMs: 1 } }
const conflict = `do $$ begin raise exception 'conflict' using errcode = '40001'; end $$`

/** Every way to begin a transaction that has a body. */
const ways: Record<string, (joint: Joint, body: (tx: Runner) => Promise<void>) => Promise<unknown>> = {
  'withTransaction of Drizzle': ({ roots }, body) => roots.drizzle.withTransaction(body),
  'withTransaction of Kysely': ({ roots }, body) => roots.kysely.withTransaction(body),
  "Drizzle's db.transaction": ({ roots }, body) => roots.drizzle.own(body),
  "Kysely's db.transaction": ({ roots }, body) => roots.kysely.own(body),
  "the client's begin": ({ client }, body) => client.begin((sql) => body(clientRunner(sql))),
}

describe.each(Object.keys(ways))('T9: in %s', (way) => {
  it('afterCommit runs after COMMIT and with the connection back, in order, each to its end', async () => {
    const joint = openJoint(scene, 1)
    const { pool, roots } = joint
    const order: unknown[] = []
    await named(ways, way)(joint, async (tx) => {
      await afterCommit(async () => {
        order.push('first begins', pool.stats().leased, await seenOutside(scene))
        // The only connection there is.
        await roots.drizzle.insert('by the first')
        order.push('first ends')
      })
      await tx.insert('inside')
      afterRollback(() => order.push('never'))
      await afterCommit(() => order.push('second', currentTransaction()))
      order.push('body ends')
    })
    order.push('resolved')
    expect(order).toEqual(['body ends', 'first begins', 0, ['inside'], 'first ends', 'second', undefined, 'resolved'])
    expect(await scene.marks()).toEqual(['by the first', 'inside'])
  })

  it('afterRollback runs after ROLLBACK and with the connection back, in order; afterCommit does not', async () => {
    const joint = openJoint(scene, 1)
    const { pool, roots } = joint
    const order: unknown[] = []
    await undone((fail) =>
      named(ways, way)(joint, async (tx) => {
        await afterCommit(() => order.push('never'))
        afterRollback(async () => {
          order.push('first begins', pool.stats().leased)
          await roots.kysely.insert('by the first')
          order.push('first ends')
        })
        await tx.insert('undone')
        afterRollback(() => order.push('second', currentTransaction()))
        fail()
      }),
    )
    expect(order).toEqual(['first begins', 0, 'first ends', 'second', undefined])
    expect(await scene.marks()).toEqual(['by the first'])
  })

  it('one that throws stops nothing, and is told; the transaction has its result', async () => {
    const joint = openJoint(scene, 1)
    const failed = eventsOf(scene, joint.pool, 'moorings:after:failed')
    const order: string[] = []
    await named(ways, way)(joint, async (tx) => {
      await afterCommit(() => {
        throw new Error('mine')
      })
      await afterCommit(() => Promise.reject(new Error('mine, too')))
      await afterCommit(() => order.push('last'))
      await tx.insert('kept')
    })
    expect(order).toEqual(['last'])
    expect(failed).toMatchObject([
      { after: 'committed', error: { cause: { message: 'mine' } } },
      { after: 'committed', error: { cause: { message: 'mine, too' } } },
    ])
    expect(await scene.marks()).toEqual(['kept'])
  })

  it('one that throws after ROLLBACK does not hide what the body threw', async () => {
    const joint = openJoint(scene, 1)
    const failed = eventsOf(scene, joint.pool, 'moorings:after:failed')
    await undone((fail) =>
      named(ways, way)(joint, async () => {
        afterRollback(() => {
          throw new Error('mine')
        })
        fail()
      }),
    )
    expect(failed).toMatchObject([{ after: 'rolled-back', error: { cause: { message: 'mine' } } }])
  })

  it('a COMMIT that is refused is a roll-back', async () => {
    await scene.admin.query(`
      create table if not exists berths (id int primary key);
      create table if not exists bookings (berth int references berths deferrable initially deferred)`)
    const joint = openJoint(scene, 1)
    const order: string[] = []
    const error = await errorOf(
      named(ways, way)(joint, async (tx) => {
        await afterCommit(() => order.push('committed'))
        afterRollback(() => order.push('rolled back'))
        await tx.query('insert into bookings values (7)')
      }),
    )
    expect(error).toMatchObject({ name: 'ForeignKeyViolationError' })
    expect(order).toEqual(['rolled back'])
  })
})

describe.each(rootNames)('T9: in withTransaction of %s', (name: RootName) => {
  it('the context takes them as well, in one order with the functions', async () => {
    const { roots } = openJoint(scene, 1)
    const order: number[] = []
    await roots[name].withTransaction(async (_, context) => {
      context.afterCommit(() => order.push(1))
      await afterCommit(() => order.push(2))
      currentTransaction()?.afterCommit(() => order.push(3))
      expect(currentTransaction()).toBe(context)
    })
    expect(order).toEqual([1, 2, 3])
  })

  it('those of an attempt that is run again are dropped; its afterRollback runs before the next', async () => {
    const { roots, pool } = openJoint(scene, 1, soon)
    const order: string[] = []
    await roots[name].withTransaction(async (tx, { attempt }) => {
      order.push(`attempt ${attempt}`)
      await afterCommit(() => order.push(`${attempt} committed`))
      afterRollback(async () => {
        await pidOf(roots[name])
        order.push(`${attempt} rolled back, ${pool.stats().leased} leased`)
      })
      if (attempt < 3) await tx.query(conflict)
    })
    expect(order).toEqual([
      'attempt 1',
      '1 rolled back, 0 leased',
      'attempt 2',
      '2 rolled back, 0 leased',
      'attempt 3',
      '3 committed',
    ])
  })

  it('an attempt whose connection was lost is one that was rolled back', async () => {
    const { roots } = openJoint(scene, 1, soon)
    const order: string[] = []
    await roots[name].withTransaction(async (tx, { attempt }) => {
      await afterCommit(() => order.push(`${attempt} committed`))
      afterRollback(() => order.push(`${attempt} rolled back`))
      if (attempt === 1) await tx.query('select pg_terminate_backend(pg_backend_pid())')
    })
    expect(order).toEqual(['1 rolled back', '2 committed'])
  })

  it('a COMMIT whose answer was lost, and which is found to have happened, is a COMMIT', async () => {
    const { roots } = openJoint(scene, 2, soon)
    const order: string[] = []
    scene.proxy.cutWhen({ direction: 'to-server', match: executes(/^commit$/), when: 'after', how: 'reset' })
    await roots[name].withTransaction(async (tx, { attempt }) => {
      await tx.insert('kept')
      await afterCommit(() => order.push(`${attempt} committed`))
      afterRollback(() => order.push(`${attempt} rolled back`))
    })
    expect(order).toEqual(['1 committed'])
    expect(await scene.marks()).toEqual(['kept'])
  })

  it('where nobody can tell what became of it, neither runs', async () => {
    const { roots } = openJoint(scene, 2, { ...soon, exactlyOnce: false })
    const order: string[] = []
    scene.proxy.cutWhen({ direction: 'to-server', match: executes(/^commit$/), when: 'after', how: 'reset' })
    const error = await errorOf(
      roots[name].withTransaction(async (tx) => {
        await tx.insert('kept')
        await afterCommit(() => order.push('committed'))
        afterRollback(() => order.push('rolled back'))
      }),
    )
    expect(error).toMatchObject({ name: 'CommitOutcomeUnknownError' })
    expect(order).toEqual([])
  })

  it("outside of any transaction afterCommit runs at once, its error is the caller's, and afterRollback never", async () => {
    const { roots } = openJoint(scene, 1)
    const order: string[] = []
    afterRollback(() => order.push('never'))
    await afterCommit(async () => {
      await roots[name].insert('at once')
      order.push('done')
    })
    expect(order).toEqual(['done'])
    const mine = new Error('mine')
    expect(await errorOf(afterCommit(() => Promise.reject(mine)))).toBe(mine)
    expect(await scene.marks()).toEqual(['at once'])
  })

  it('what runs after it is in no transaction, and may begin one, with callbacks of its own', async () => {
    const { roots } = openJoint(scene, 1)
    const order: string[] = []
    await roots[name].withTransaction(async () => {
      await afterCommit(async () => {
        await afterCommit(() => order.push('1 at once'))
        await roots[name].withTransaction(async (own) => {
          await own.insert('afterwards')
          await afterCommit(() => order.push('3 after the second'))
          order.push('2 in the second')
        })
      })
      await afterCommit(() => order.push('4'))
    })
    expect(order).toEqual(['1 at once', '2 in the second', '3 after the second', '4'])
    expect(await scene.marks()).toEqual(['afterwards'])
  })

  it('is refused once the transaction has ended', async () => {
    const { roots } = openJoint(scene, 1)
    const context = await roots[name].withTransaction((_, told) => told)
    expect(() => context.afterCommit(() => {})).toThrow(expect.objectContaining({ name: 'TransactionEndedError' }))
    expect(() => context.afterRollback(() => {})).toThrow(expect.objectContaining({ name: 'TransactionEndedError' }))
  })
})

describe.each(pairs)('T9: in withTransaction of %s, with a nested one of %s', (outer, inner) => {
  it('those of the nested one wait for the outermost, in the order of their noting', async () => {
    const { roots } = openJoint(scene, 1)
    const order: string[] = []
    await roots[outer].withTransaction(async () => {
      await afterCommit(() => order.push('1 outer'))
      await roots[inner].withTransaction(async (_, context) => {
        context.afterCommit(() => order.push('2 nested'))
        await afterCommit(() => order.push('3 nested'))
        afterRollback(() => order.push('never'))
      })
      await afterCommit(() => order.push('4 outer'))
      expect(order).toEqual([])
    })
    expect(order).toEqual(['1 outer', '2 nested', '3 nested', '4 outer'])
  })

  it('those of one that is undone are dropped, and its afterRollback runs, though the outermost is committed', async () => {
    const { roots } = openJoint(scene, 1)
    const order: string[] = []
    await roots[outer].withTransaction(async () => {
      await afterCommit(() => order.push('1 outer'))
      await undone((fail) =>
        roots[inner].withTransaction(async (nested) => {
          await afterCommit(() => order.push('never'))
          await nested.withTransaction(() => afterCommit(() => order.push('never, deeper')))
          afterRollback(() => order.push('2 undone'))
          fail()
        }),
      )
      await afterCommit(() => order.push('3 outer'))
      afterRollback(() => order.push('never, outer'))
    })
    expect(order).toEqual(['1 outer', '2 undone', '3 outer'])
  })

  it('those of one of its own run at its own end, whatever becomes of the outer one', async () => {
    const { roots } = openJoint(scene, 2)
    const order: string[] = []
    await undone((fail) =>
      roots[outer].withTransaction(async () => {
        await afterCommit(() => order.push('never'))
        afterRollback(() => order.push('2 outer'))
        await roots[inner].withTransaction(() => afterCommit(() => order.push('1 own')), { propagation: 'requiresNew' })
        expect(order).toEqual(['1 own'])
        fail()
      }),
    )
    expect(order).toEqual(['1 own', '2 outer'])
  })
})

describe("T9: in a transaction of Kysely's that is ended by hand", () => {
  it('nothing is noted where the call chain is not inside of it: afterCommit says so by running at once', async () => {
    const { kysely } = openJoint(scene, 1)
    const order: string[] = []
    const tx = await kysely.startTransaction().execute()
    await afterCommit(() => order.push('at once'))
    expect(order).toEqual(['at once'])
    await tx.commit().execute()
  })

  it.each([false, true])('a savepoint of its own takes along what was noted in it (nested %p)', async (nested) => {
    const { kysely, roots } = openJoint(scene, 1)
    const order: string[] = []
    const run = async () => {
      const tx = await kysely.startTransaction().execute()
      await withTransaction(tx, () => afterCommit(() => order.push('before')))
      const part = await tx.savepoint('a').execute()
      await withTransaction(part, async (inner) => {
        await inner.insertInto('marks').values({ mark: 'undone' }).execute()
        await afterCommit(() => order.push('undone'))
      })
      const back = await part.rollbackToSavepoint('a').execute()
      await withTransaction(back, () => afterCommit(() => order.push('behind')))
      await tx.commit().execute()
    }
    await (nested ? roots.kysely.withTransaction(run) : run())
    expect(order).toEqual(['before', 'behind'])
    expect(await scene.marks()).toEqual([])
  })

  it.each([false, true])('a savepoint of its own takes along what has failed in it (nested %p)', async (nested) => {
    const { kysely, roots } = openJoint(scene, 1)
    const run = async () => {
      const tx = await kysely.startTransaction().execute()
      const part = await tx.savepoint('a').execute()
      expect(await errorOf(sql`select survived`.execute(part))).toMatchObject({ code: '42703' })
      const back = await part.rollbackToSavepoint('a').execute()
      expect(await errorOf(sql`select fatal`.execute(back))).toMatchObject({ code: '42703' })
      await tx.commit().execute()
    }
    const error = await errorOf(nested ? roots.kysely.withTransaction(run) : run())
    expect(error).toMatchObject({ name: 'TransactionAbortedError', message: expect.stringContaining('fatal') })
  })

  it('inside withTransaction, what is noted beside one belongs to that, whatever becomes of the one ended by hand', async () => {
    const { kysely, roots } = openJoint(scene, 1)
    const order: string[] = []
    await roots.kysely.withTransaction(async () => {
      const tx = await kysely.startTransaction().execute()
      await tx.insertInto('marks').values({ mark: 'undone' }).execute()
      await afterCommit(() => order.push('noted while it was open'))
      await tx.rollback().execute()
    })
    expect(order).toEqual(['noted while it was open'])
    expect(await scene.marks()).toEqual([])
  })
})
