// T7, T8: a connection lost before COMMIT. The body is run again on another one, once it has settled; what it does after
// the loss goes nowhere. The rows are the witness.

import { describe, expect, it } from '@jest/globals'
import {
  AcquireTimeoutError,
  RetriesExhaustedError,
  StatementTimeoutError,
  type TransactionContext,
} from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { completes, executes } from '../support/matchers.js'
import type { CutOptions } from '../support/rules.js'
import { until } from '../support/until.js'
import { backendOf, type Orm, retried, type Tx } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
const retry = { initialDelayMs: 1 }
const soon = 15_000

function kill(pid: number): Promise<number[]> {
  return killBackends(scene.admin, 'pid = $1', [pid])
}

async function atWork(): Promise<void> {
  const asleep = async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'PgSleep')
  await until(asleep, { what: 'it to run' })
}

/** What ends the first attempt's connection, as a part of its body. */
const losses: Record<string, (tx: Tx) => Promise<unknown>> = {
  'killed before its first statement': async (tx) => {
    await scene.killAll()
    await tx.insert('lost')
  },
  'killed between two statements': async (tx) => {
    await tx.insert('undone')
    await kill(await backendOf(tx))
    await tx.insert('lost')
  },
  'killed under a running statement': async (tx) => {
    await tx.insert('undone')
    const pid = await backendOf(tx)
    const running = outcome(tx.query('select pg_sleep(60)'))
    await atWork()
    await kill(pid)
    const seen = await running
    if ('error' in seen) throw seen.error
  },
  'killed under several statements at once': async (tx) => {
    const pid = await backendOf(tx)
    const all = ['a', 'b', 'c'].map((mark) => tx.query(`insert into marks select '${mark}' from pg_sleep(60)`))
    const running = outcome(Promise.all(all))
    await atWork()
    await kill(pid)
    const seen = await running
    await Promise.all(all.map(outcome))
    if ('error' in seen) throw seen.error
  },
  'killed inside a nested transaction': async (tx) => {
    await tx.insert('undone')
    await tx.nested(async (nested) => {
      await nested.insert('undone, too')
      await kill(await backendOf(nested))
      await nested.insert('lost')
    })
  },
  'killed, and the body has swallowed it': async (tx) => {
    await tx.insert('undone')
    await kill(await backendOf(tx))
    await errorOf(tx.insert('lost'))
  },
  'killed, and the body has put an error of its own in its place': async (tx) => {
    await tx.insert('undone')
    await kill(await backendOf(tx))
    await errorOf(tx.insert('lost'))
    throw new Error('something went wrong')
  },
  'reset by the network': async (tx) => {
    await tx.insert('undone')
    scene.proxy.resetAll()
    await tx.insert('lost')
  },
  'ended by the network': async (tx) => {
    await tx.insert('undone')
    scene.proxy.closeAll()
    await tx.insert('lost')
  },
}

describe.each(retried)('$name', (orm: Orm) => {
  it.each(Object.entries(losses))('T7: a connection %s: the body is run again on another one', async (_, lose) => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    await db.query('select 1')
    const seen: TransactionContext[] = []
    const pids: number[] = []
    const returned = await within(
      soon,
      db.withTransaction(async (tx, context) => {
        seen.push(context)
        if (context.attempt === 1) await lose(tx)
        pids.push(await backendOf(tx))
        await tx.insert(`attempt ${context.attempt}`)
        return { from: context.attempt }
      }),
    )
    expect(returned).toEqual({ from: 2 })
    expect(seen.map(({ attempt, signal }) => [attempt, signal.aborted])).toEqual([
      [1, true],
      [2, false],
    ])
    expect(await scene.marks()).toEqual(['attempt 2'])
    expect(db.pool.stats()).toMatchObject({
      leased: 0,
      idle: 1,
      lost: 1,
      transactions: { committed: 1, rolledBack: 1, retries: { lost: 1 } },
    })
  })

  it('T7: killed behind its last statement, before COMMIT: the same', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    let runs = 0
    await db.withTransaction(async (tx) => {
      runs++
      await tx.insert('once')
      if (runs > 1) return
      await kill(await backendOf(tx))
      await until(() => db.pool.stats().lost === 1, { what: 'the loss to be noticed' })
    })
    expect(runs).toBe(2)
    expect(await scene.marks()).toEqual(['once'])
  })

  it.each<Pick<CutOptions, 'direction' | 'when' | 'how'>>([
    { direction: 'to-server', when: 'before', how: 'reset' },
    { direction: 'to-server', when: 'after', how: 'reset' },
    { direction: 'to-client', when: 'before', how: 'reset' },
    { direction: 'to-server', when: 'before', how: 'fin' },
    { direction: 'to-server', when: 'after', how: 'fin' },
    { direction: 'to-client', when: 'before', how: 'fin' },
  ])('T7: cut off at a statement ($direction, $when, $how): the body is run again', async (cut) => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    const match = cut.direction === 'to-server' ? executes(/'cut here'/) : completes('INSERT 0 2')
    const fired = scene.proxy.cutWhen({ ...cut, match })
    let runs = 0
    await within(
      soon,
      db.withTransaction(async (tx) => {
        runs++
        await tx.insert(`run ${runs}`)
        await tx.query(`insert into marks values ('cut here'), ('and here')`)
      }),
    )
    expect([runs, fired.fired]).toEqual([2, 1])
    expect(await scene.marks()).toEqual(['and here', 'cut here', 'run 2'])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 1 })
  })

  it('T7: cut off at its first statement, with which BEGIN travels: the same', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    const fired = scene.proxy.cutWhen({
      direction: 'to-server',
      when: 'after',
      how: 'reset',
      match: executes(/^begin/),
    })
    await within(
      soon,
      db.withTransaction((tx) => tx.insert('once')),
    )
    expect(fired.fired).toBe(1)
    expect(await scene.marks()).toEqual(['once'])
  })

  it('T7: a statement that vanishes in a black hole ends by its limit, and so does its transaction', async () => {
    const db = scene.open(orm, {
      pool: single,
      statement: { timeoutMs: 200, cancelTimeoutMs: 200 },
      transaction: { retry, rollbackTimeoutMs: 200 },
    })
    scene.proxy.cutWhen({ direction: 'to-server', when: 'before', how: 'swallow', match: executes(/'swallowed'/) })
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(async (tx) => {
          await tx.insert('undone')
          await tx.query(`insert into marks values ('swallowed')`)
        }),
      ),
    )
    expect(error).toBeInstanceOf(StatementTimeoutError)
    await until(() => db.pool.stats().leased === 0, { what: 'the lease to be back' })
    // The black hole hides from the server that its client is gone.
    await scene.killAll()
    await within(
      soon,
      db.withTransaction((tx) => tx.insert('next')),
    )
    expect(await scene.marks()).toEqual(['next'])
  })

  it('T7: at most maxRetries times; then all errors are told, and nothing is left', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry: { ...retry, maxRetries: 2 } } })
    const cut = { direction: 'to-server', when: 'after', how: 'reset', times: 99 } as const
    scene.proxy.cutWhen({ ...cut, match: executes(/'doomed'/) })
    let runs = 0
    const error = await errorOf(
      db.withTransaction(async (tx) => {
        runs++
        await tx.insert('undone')
        await tx.query(`insert into marks values ('doomed')`)
      }),
    )
    expect(runs).toBe(3)
    expect(error).toBeInstanceOf(RetriesExhaustedError)
    expect(error).toMatchObject({ attempts: 3, retry: 'never', cause: { name: 'ConnectionLostError' } })
    expect(await scene.marks()).toEqual([])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 3, transactions: { exhausted: 1, retries: { lost: 2 } } })
  })

  it('T6: all transactions of a pool share a budget for that: retries do not multiply what fails', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 5, overflow: 0 }, transaction: { retry } })
    const cut = { direction: 'to-server', when: 'before', how: 'reset', times: 999 } as const
    const rule = scene.proxy.cutWhen({ ...cut, match: executes(/'doomed'/) })
    const count = 40
    let runs = 0
    const all = Array.from({ length: count }, () =>
      errorOf(
        db.withTransaction(async (tx) => {
          runs++
          await tx.query(`insert into marks values ('doomed')`)
        }),
      ),
    )
    await within(30_000, Promise.all(all))
    const { retries, overBudget } = db.pool.stats().transactions
    expect(runs).toBe(count + retries.lost)
    // Twenty at once, and one more for every five transactions. Each alone would have been run five times again.
    expect(retries.lost).toBeGreaterThanOrEqual(20)
    expect(retries.lost).toBeLessThanOrEqual(20 + count / 5)
    expect(overBudget).toBeGreaterThan(0)
    rule.remove()
    await db.withTransaction((tx) => tx.insert('after'))
    expect(await scene.marks()).toEqual(['after'])
  })

  it('T7: no other connection to be had: the wait for one ends by its limit, and its error is the one told', async () => {
    const db = scene.open(orm, { pool: { ...single, acquireTimeoutMs: 300 }, transaction: { retry } })
    let runs = 0
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(async (tx) => {
          runs++
          await tx.insert('undone')
          scene.proxy.refuse()
          scene.proxy.resetAll()
          await tx.insert('lost')
        }),
      ),
    )
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(runs).toBe(1)
    await scene.proxy.restore()
    expect(await scene.marks()).toEqual([])
  })

  it('T7: on a server that has turned read-only: another connection is tried, also where the pool has old ones', async () => {
    const name = decodeURIComponent(new URL(scene.url).pathname.slice(1))
    await scene.admin.query(`alter database "${name}" set default_transaction_read_only = on`)
    const writableAgain = () => scene.admin.query(`alter database "${name}" reset default_transaction_read_only`)
    try {
      const db = scene.open(orm, { pool: { min: 2, max: 2, overflow: 0 }, transaction: { retry } })
      await db.pool.start()
      let runs = 0
      await db.withTransaction(
        async (tx) => {
          runs++
          await tx.insert('once')
        },
        // Long enough for it to be heard of.
        { retry: { initialDelayMs: 200, factor: 1, jitter: 'none', onRetry: writableAgain } },
      )
      expect(runs).toBeGreaterThanOrEqual(2)
      expect(await scene.marks()).toEqual(['once'])
      expect(db.pool.stats().transactions.retries.lost).toBe(runs - 1)
    } finally {
      await writableAgain()
    }
  })
})
