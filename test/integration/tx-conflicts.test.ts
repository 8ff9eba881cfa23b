// T6: transactions that were in each other's way are run again as a whole. The rows are the witness: what every attempt
// but the last has done is gone.

import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import {
  DeadlockError,
  LockTimeoutError,
  RetriesExhaustedError,
  type RetryNotice,
  SerializationError,
  TransactionCancelledError,
  UniqueViolationError,
} from '@moorings/core'
import { type Body, type Db, type Orm, retried, type Tx, transactional } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

const scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
const retry = { initialDelayMs: 1 }
const soon = 10_000

beforeAll(() =>
  scene.admin.query(`
    create table accounts (id int primary key, balance int);
    create table taken (name text primary key);
    insert into taken values ('taken');
    -- A sequence forgets nothing: how often it was asked survives every roll-back.
    create sequence asked;
    create function conflict(code text, times int) returns int language plpgsql as $$
    declare n int := nextval('asked');
    begin
      if n <= times then raise exception 'number %', n using errcode = code; end if;
      return n;
    end $$`),
)
beforeEach(() =>
  scene.admin.query(`
    truncate accounts;
    insert into accounts values (1, 50), (2, 50);
    alter sequence asked restart`),
)

async function balances(): Promise<number[]> {
  const rows = await scene.admin.query<{ balance: number }>('select balance from accounts order by id')
  return rows.map(({ balance }) => balance)
}

/** A body's first attempts wait for each other here; later ones pass. */
function meeting(of: number): () => Promise<void> {
  const all = gate()
  let there = 0
  return () => {
    there++
    if (there === of) all.open()
    return all.opened
  }
}

/** Fails on the server so often, and then marks the attempt that it is. */
function failing(code: string, times: number, attempts: number[] = []): Body<number> {
  return async (tx, { attempt }) => {
    attempts.push(attempt)
    await tx.insert(`attempt ${attempt}`)
    await tx.query(`select conflict('${code}', ${times})`)
    return attempt
  }
}

describe.each(retried)('$name', (orm: Orm) => {
  it('T6: write skew: one of the two is run again, sees what the other has done, and no invariant breaks', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 }, transaction: { retry } })
    const meet = meeting(2)
    let attempts = 0
    const withdraw = (id: number) =>
      db.withTransaction(
        async (tx) => {
          attempts++
          const [row] = await tx.query('select sum(balance)::int as sum from accounts')
          await meet()
          if (Number(row?.sum) < 100) return 'refused'
          await tx.query(`update accounts set balance = balance - 100 where id = ${id}`)
          return 'paid'
        },
        { isolationLevel: 'serializable' },
      )
    const results = await within(soon, Promise.all([withdraw(1), withdraw(2)]))
    expect(results.sort()).toEqual(['paid', 'refused'])
    expect((await balances()).sort((a, b) => a - b)).toEqual([-50, 50])
    expect(attempts).toBe(3)
    expect(db.pool.stats()).toMatchObject({
      leased: 0,
      transactions: { committed: 2, rolledBack: 1, retries: { conflict: 1 } },
    })
  })

  it('T6: a deadlock: the one that the server picked is run again, and both are done once', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 }, transaction: { retry } })
    const meet = meeting(2)
    const notices: RetryNotice[] = []
    const move = (from: number, to: number) =>
      db.withTransaction(
        async (tx, { attempt }) => {
          await tx.query(`update accounts set balance = balance - 10 where id = ${from}`)
          await meet()
          await tx.query(`update accounts set balance = balance + 11 where id = ${to}`)
          await tx.insert(`from ${from}`)
          return attempt
        },
        { settings: { deadlock_timeout: '20ms' }, retry: { onRetry: (notice) => notices.push(notice) } },
      )
    const attempts = await within(soon, Promise.all([move(1, 2), move(2, 1)]))
    expect(attempts.sort()).toEqual([1, 2])
    expect(await balances()).toEqual([51, 51])
    expect(await scene.marks()).toEqual(['from 1', 'from 2'])
    expect(notices).toMatchObject([{ attempt: 1, error: { name: 'DeadlockError', code: '40P01' } }])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 0, transactions: { retries: { conflict: 1 } } })
  })

  it.each(['40001', '40P01'])(
    'T6: %s: run again until it goes, on the only connection, and its result is the last',
    async (code) => {
      const db = scene.open(orm, { pool: single, transaction: { retry } })
      const attempts: number[] = []
      expect(await db.withTransaction(failing(code, 2, attempts))).toBe(3)
      expect(attempts).toEqual([1, 2, 3])
      expect(await scene.marks()).toEqual(['attempt 3'])
      expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 1 })
    },
  )

  it.each<[string, (error: unknown) => unknown]>([
    ['wrapped twice', (error) => new Error('booking', { cause: new Error('room', { cause: error }) })],
    ['replaced', () => new Error('booking failed')],
    ['swallowed', () => undefined],
  ])('T6: a conflict that the body has %s is one all the same', async (_, made) => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    let runs = 0
    await db.withTransaction(async (tx, context) => {
      runs++
      try {
        await failing('40001', 1)(tx, context)
      } catch (error) {
        const thrown = made(error)
        if (thrown !== undefined) throw thrown
      }
    })
    expect(runs).toBe(2)
    expect(await scene.marks()).toEqual(['attempt 2'])
  })

  it('T6: a nested one is not run again by itself: the outermost is, as a whole', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    const ran: string[] = []
    await db.withTransaction(async (tx, { attempt }) => {
      ran.push(`outer ${attempt}`)
      await tx.insert(`outer ${attempt}`)
      await tx.nested(async (nested) => {
        ran.push(`nested in ${attempt}`)
        await nested.insert(`nested in ${attempt}`)
        await nested.query(`select conflict('40001', 1)`)
      })
    })
    expect(ran).toEqual(['outer 1', 'nested in 1', 'outer 2', 'nested in 2'])
    expect(await scene.marks()).toEqual(['nested in 2', 'outer 2'])
  })

  it('T6: a conflict in a nested one that is caught around it is undone with it: nothing is run again', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    let runs = 0
    await db.withTransaction(async (tx) => {
      runs++
      await tx.insert('outer')
      const nested = tx.nested(async (inner) => {
        await inner.insert('nested')
        await inner.query(`select conflict('40P01', 1)`)
      })
      expect(await errorOf(nested)).toBeInstanceOf(DeadlockError)
    })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual(['outer'])
  })

  it('T6: at most maxConflictRetries times; then all errors are told, and nothing is left', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry: { ...retry, maxConflictRetries: 2 } } })
    const attempts: number[] = []
    const error = await errorOf(db.withTransaction(failing('40001', 99, attempts)))
    expect(attempts).toEqual([1, 2, 3])
    expect(error).toBeInstanceOf(RetriesExhaustedError)
    if (!(error instanceof RetriesExhaustedError)) return
    expect(error).toMatchObject({ kind: 'transaction', code: '40001', retry: 'never', attempts: 3 })
    expect(error.errors.map(String)).toEqual([1, 2, 3].map((n) => expect.stringContaining(`number ${n}`)))
    expect(error.cause).toBe(error.errors[2])
    expect(error.cause).toBeInstanceOf(SerializationError)
    expect(await scene.marks()).toEqual([])
    expect(db.pool.stats()).toMatchObject({
      leased: 0,
      idle: 1,
      created: 1,
      transactions: { exhausted: 1, rolledBack: 3 },
    })
  })

  it.each<[string, false | { maxConflictRetries: number }]>([
    ['retry: false', false],
    ['maxConflictRetries: 0', { maxConflictRetries: 0 }],
  ])('T6: with %s the body runs once, and its error is the one it saw', async (_, none) => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    let inside: unknown
    let runs = 0
    const outside = await errorOf(
      db.withTransaction(
        async (tx) => {
          runs++
          await tx.insert('undone')
          inside = await errorOf(tx.query(`select conflict('40P01', 1)`))
          throw inside
        },
        { retry: none },
      ),
    )
    expect(runs).toBe(1)
    expect(outside).toBe(inside)
    expect(outside).toBeInstanceOf(DeadlockError)
    expect(await scene.marks()).toEqual([])
  })

  it('T6: what would fail again is not run again', async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    let runs = 0
    const error = await errorOf(
      db.withTransaction(async (tx) => {
        runs++
        await tx.insert('undone')
        await tx.query(`insert into taken values ('taken')`)
      }),
    )
    expect(error).toBeInstanceOf(UniqueViolationError)
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual([])
  })

  it('T6: a lock not had in time is a conflict where it is said to be one', async () => {
    const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 }, transaction: { retry } })
    const holder = scene.open(orm, { pool: single })
    const [locked, end] = [gate(), gate()]
    const held = holder.withTransaction(async (tx) => {
      await tx.query('update accounts set balance = 0 where id = 1')
      locked.open()
      await end.opened
    })
    await locked.opened
    const add = async (tx: Tx) => {
      await tx.insert('added')
      await tx.query('update accounts set balance = balance + 1 where id = 1')
    }
    expect(await errorOf(db.withTransaction(add, { lockTimeoutMs: 20 }))).toBeInstanceOf(LockTimeoutError)
    const errors: unknown[] = []
    await within(
      soon,
      db.withTransaction(add, {
        lockTimeoutMs: 20,
        retry: {
          retryLockTimeouts: true,
          onRetry: ({ error }) => {
            errors.push(error)
            end.open()
          },
        },
      }),
    )
    await held
    expect(errors[0]).toBeInstanceOf(LockTimeoutError)
    expect(await balances()).toEqual([1, 50])
    expect(await scene.marks()).toEqual(['added'])
  })
})

describe.each(retried)('$name: between two attempts', (orm: Orm) => {
  const long = { initialDelayMs: 60_000, maxDelayMs: 60_000, jitter: 'none' } as const

  it('T6: the pauses grow as they are told to', async () => {
    const delays: number[] = []
    const onRetry = ({ delayMs }: RetryNotice) => delays.push(delayMs)
    const growing = { initialDelayMs: 1, maxDelayMs: 3, factor: 2, jitter: 'none', onRetry } as const
    const db = scene.open(orm, { pool: single, transaction: { retry: growing } })
    await db.withTransaction(failing('40001', 4))
    expect(delays).toEqual([1, 2, 3, 3])
  })

  it('T6: the connection is back', async () => {
    let leased: number | undefined
    const onRetry = () => {
      leased = db.pool.stats().leased
    }
    const db: Db = scene.open(orm, { pool: single, transaction: { retry: { ...retry, onRetry } } })
    await db.withTransaction(failing('40001', 1))
    expect(leased).toBe(0)
  })

  it('T6: a signal ends the pause, and the body is not run again', async () => {
    const db = scene.open(orm, { pool: single })
    const abort = new AbortController()
    const why = new Error('no longer wanted')
    const attempts: number[] = []
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(failing('40001', 1, attempts), {
          signal: abort.signal,
          retry: { ...long, onRetry: () => setImmediate(() => abort.abort(why)) },
        }),
      ),
    )
    expect(error).toBeInstanceOf(TransactionCancelledError)
    expect(error).toMatchObject({ cause: why })
    expect(attempts).toEqual([1])
    expect(await scene.marks()).toEqual([])
  })

  it.each([{ timeoutMs: 30_000 }, { retry: { maxElapsedMs: 30_000 } }])(
    'T6: a pause that is longer than the time left (%p) is not begun',
    async (limits) => {
      const db = scene.open(orm, { pool: single, transaction: { retry: long } })
      const attempts: number[] = []
      const error = await within(soon, errorOf(db.withTransaction(failing('40001', 1, attempts), limits)))
      expect(error).toBeInstanceOf(SerializationError)
      expect(attempts).toEqual([1])
      expect(await scene.marks()).toEqual([])
    },
  )
})

describe.each(transactional.filter(({ name }) => name.startsWith('kysely')))('$name', (orm: Orm) => {
  it("T6: Kysely's own transactions are Kysely's to run: once", async () => {
    const db = scene.open(orm, { pool: single, transaction: { retry } })
    let runs = 0
    const error = await errorOf(
      db.transaction(async (tx) => {
        runs++
        await tx.insert('undone')
        await tx.query(`select conflict('40001', 1)`)
      }),
    )
    expect(error).toBeInstanceOf(SerializationError)
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual([])
  })
})
