// T13: timeoutMs and signal end a transaction wherever it is: what runs is stopped on the server, all of it is undone, and
// the connection is back. The server's own list of what is at work, and the rows, are the witnesses.

import { getEventListeners } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import {
  ConnectionLostError,
  type MooringsError,
  TransactionCancelledError,
  TransactionEndedError,
  type TransactionOptions,
  TransactionTimeoutError,
} from '@moorings/core'
import { executes } from '../support/matchers.js'
import { until } from '../support/until.js'
import { hold } from './held.js'
import { type Body, type Db, type Orm, retried } from './orms.js'
import { errorOf, gate, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
/** A caller is told at once; this is for a busy machine. */
const soon = 10_000
const why = new Error('no longer wanted')

async function atWork(): Promise<void> {
  const asleep = async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'PgSleep')
  await until(asleep, { what: 'it to run' })
}

/** Nothing under way on the server, nothing in anybody's hands. */
async function atRest({ pool }: Db): Promise<void> {
  await until(async () => (await scene.backends()).every(({ state }) => state === 'idle'), {
    what: 'the server to stop',
  })
  await until(() => pool.stats().leased === 0, { what: 'the lease to be back' })
}

interface Ending {
  readonly options: TransactionOptions
  /** To be called once it is where it is to be ended. */
  end(): void
  /** What its caller is to get. */
  matches(error: unknown): void
}

/** The limit is long enough for what comes before; `end` waits for it by doing nothing. */
const endings: Record<string, () => Ending> = {
  timeoutMs: () => ({
    options: { timeoutMs: 500 },
    end: () => {},
    matches: (error) => {
      expect(error).toBeInstanceOf(TransactionTimeoutError)
      expect(error).toMatchObject({ kind: 'transaction', retry: 'never', message: expect.stringContaining('500 ms') })
    },
  }),
  signal: () => {
    const abort = new AbortController()
    return {
      options: { signal: abort.signal },
      end: () => abort.abort(why),
      matches: (error) => {
        expect(error).toBeInstanceOf(TransactionCancelledError)
        expect(error).toMatchObject({ kind: 'transaction', retry: 'never', cause: why })
        expect(getEventListeners(abort.signal, 'abort')).toEqual([])
      },
    }
  },
}

describe.each(retried)('$name', (orm: Orm) => {
  describe.each(Object.entries(endings))('%s', (_, begin) => {
    it('T13: ends a running statement on the server, and undoes what came before', async () => {
      const db = scene.open(orm, { pool: single, transaction: {} })
      const ending = begin()
      let inside: unknown
      let runs = 0
      const done = errorOf(
        db.withTransaction(async (tx) => {
          runs++
          await tx.insert('undone')
          inside = await errorOf(tx.query(`insert into marks select 'slow' from pg_sleep(60)`))
          throw inside
        }, ending.options),
      )
      await atWork()
      ending.end()
      ending.matches(await within(soon, done))
      await atRest(db)
      expect(runs).toBe(1)
      // The same that its caller got: why it was ended.
      ending.matches(inside)
      expect(scene.proxy.cancelRequests).toHaveLength(1)
      expect(await scene.marks()).toEqual([])
      expect(db.pool.stats()).toMatchObject({ transactions: { rolledBack: 1, rollbacks: { cancelled: 1 } } })
      await db.withTransaction((tx) => tx.insert('next'))
      expect(await scene.marks()).toEqual(['next'])
      expect(db.pool.stats()).toMatchObject({ leased: 0, created: 1 })
    })

    it('T13: ends a wait for a lock, and the lock goes to nobody', async () => {
      const db = scene.open(orm, { pool: { min: 0, max: 2, overflow: 0 }, transaction: {} })
      const ending = begin()
      const [locked, end] = [gate(), gate()]
      const holder = db.withTransaction(async (tx) => {
        await tx.query('lock table marks')
        locked.open()
        await end.opened
      })
      await locked.opened
      const done = errorOf(db.withTransaction((tx) => tx.insert('undone'), ending.options))
      await until(async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'relation'), {
        what: 'it to wait',
      })
      ending.end()
      ending.matches(await within(soon, done))
      end.open()
      await holder
      await atRest(db)
      expect(await scene.marks()).toEqual([])
    })

    it('T13: ends one whose body does other things: its caller is told at once, it itself by its signal', async () => {
      const db = scene.open(orm, { pool: single, transaction: {} })
      const ending = begin()
      const [began, goOn, settled] = [gate(), gate(), gate()]
      let late: unknown
      let aborted: boolean | undefined
      const body: Body<void> = async (tx, { signal }) => {
        await tx.insert('undone')
        began.open()
        await goOn.opened
        aborted = signal.aborted
        late = await outcome(tx.insert('late'))
        settled.open()
      }
      const done = errorOf(db.withTransaction(body, ending.options))
      await began.opened
      ending.end()
      ending.matches(await within(soon, done))
      await atRest(db)
      goOn.open()
      await settled.opened
      expect(aborted).toBe(true)
      expect(late).toEqual({ error: expect.anything() })
      if (orm.name.startsWith('drizzle')) expect(late).toMatchObject({ error: { name: TransactionEndedError.name } })
      expect(await scene.marks()).toEqual([])
      expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 1, created: 1, lost: 0 })
    })

    it('T13: ends one inside of a nested one', async () => {
      const db = scene.open(orm, { pool: single, transaction: {} })
      const ending = begin()
      const done = errorOf(
        db.withTransaction(async (tx) => {
          await tx.insert('undone')
          // Swallowed: it is over all the same.
          await outcome(
            tx.nested(async (nested) => {
              await nested.insert('undone, too')
              await nested.query('select pg_sleep(60)')
            }),
          )
          await outcome(tx.insert('late'))
        }, ending.options),
      )
      await atWork()
      ending.end()
      ending.matches(await within(soon, done))
      await atRest(db)
      expect(await scene.marks()).toEqual([])
    })

    it('T13: ends the wait for a connection, and the body never runs', async () => {
      const db = scene.open(orm, { pool: single, transaction: {} })
      const ending = begin()
      const held = await hold(db)
      let ran = false
      const done = errorOf(
        db.withTransaction(async () => {
          ran = true
        }, ending.options),
      )
      await until(() => db.pool.stats().waiting === 1, { what: 'it to wait' })
      ending.end()
      ending.matches(await within(soon, done))
      expect(db.pool.stats()).toMatchObject({ waiting: 0, leased: 1 })
      await held.giveBack()
      await atRest(db)
      expect(ran).toBe(false)
    })

    it('T13: is not for one that has ended in time', async () => {
      const db = scene.open(orm, { pool: single, transaction: {} })
      const ending = begin()
      await db.withTransaction((tx) => tx.insert('in time'), ending.options)
      const { signal } = ending.options
      if (signal) expect(getEventListeners(signal, 'abort')).toEqual([])
      ending.end()
      expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
      expect(await scene.marks()).toEqual(['in time'])
      expect(scene.proxy.cancelRequests).toEqual([])
    })

    it('T13: ends one whose server has gone silent, and gives its connection up', async () => {
      const db = scene.open(orm, { pool: single, transaction: { rollbackTimeoutMs: 300 } })
      const ending = begin()
      const silence = gate()
      scene.proxy.cutWhen({
        direction: 'to-server',
        when: 'before',
        how: 'swallow',
        match: (...seen) => {
          const found = executes(/'swallowed'/)(...seen)
          if (found) silence.open()
          return found
        },
      })
      const done = errorOf(
        db.withTransaction(async (tx) => {
          await tx.insert('undone')
          await tx.query(`insert into marks values ('swallowed')`)
        }, ending.options),
      )
      await silence.opened
      ending.end()
      ending.matches(await within(soon, done))
      await until(() => db.pool.stats().leased === 0, { what: 'the lease to be back' })
      // The black hole hides from the server that its client is gone.
      await scene.killAll()
      expect(await scene.marks()).toEqual([])
      expect(db.pool.stats()).toMatchObject({ transactions: { rollbacks: { destroyed: 1 } } })
    })
  })

  it('T13: a signal that has fired before: nothing runs, and nothing is sent', async () => {
    const db = scene.open(orm, { pool: single })
    let ran = false
    const error = await errorOf(
      db.withTransaction(
        async () => {
          ran = true
        },
        { signal: AbortSignal.abort(why) },
      ),
    )
    expect(error).toBeInstanceOf(TransactionCancelledError)
    expect(error).toMatchObject({ cause: why })
    expect(ran).toBe(false)
    expect(scene.proxy.statements).toEqual([])
  })

  it('T13: the limit is for all attempts together', async () => {
    const db = scene.open(orm, { pool: single, transaction: { timeoutMs: 500 } })
    const errors: unknown[] = []
    const error = await within(
      soon,
      errorOf(
        db.withTransaction(
          async (tx) => {
            await tx.insert('undone')
            await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
          },
          {
            retry: {
              ...{ maxConflictRetries: 1_000_000, initialDelayMs: 10, factor: 1, jitter: 'none' },
              onRetry: (notice) => errors.push(notice.error),
            },
          },
        ),
      ),
    )
    // In an attempt; or in front of a pause that is longer than what is left.
    expect((error as MooringsError).name).toMatch(/^(TransactionTimeoutError|RetriesExhaustedError)$/)
    expect(errors.length).toBeGreaterThan(1)
    await atRest(db)
    expect(await scene.marks()).toEqual([])
  })

  it('T13: its own connection is lost on the way out: why it was ended is what the caller gets', async () => {
    const db = scene.open(orm, { pool: single, transaction: {} })
    const abort = new AbortController()
    scene.proxy.cutWhen({ direction: 'to-server', when: 'before', how: 'reset', match: executes(/^rollback$/) })
    const error = await errorOf(
      db.withTransaction(
        async (tx) => {
          await tx.insert('undone')
          abort.abort(why)
        },
        { signal: abort.signal },
      ),
    )
    expect(error).toBeInstanceOf(TransactionCancelledError)
    expect(error).toMatchObject({ rollbackError: { name: ConnectionLostError.name } })
    await atRest(db)
    expect(await scene.marks()).toEqual([])
  })
})
