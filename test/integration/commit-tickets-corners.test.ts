// T7, where what a transaction has done is not plain to see: statements that nobody waits for, that step out of it, that
// hide what they write or write elsewhere. The answer to COMMIT is lost, and what was written is there once; or nobody
// can tell, and that is what is said.

import { finished } from 'node:stream/promises'
import { beforeAll, describe, expect, it } from '@jest/globals'
import { CommitOutcomeUnknownError, ConnectionLostError, StatementError, type TransactionOptions } from '@moorings/core'
import { ResilientPostgresDialect, withTransaction } from '@moorings/kysely'
import { createClient, createPool } from '@moorings/postgres'
import { Kysely } from 'kysely'
import { executes, isCommit, isNamed } from '../support/matchers.js'
import type { CutOptions } from '../support/rules.js'
import { type Orm, retried, type Schema, type Tx } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { pool: { min: 0, max: 1, overflow: 0 }, transaction: { retry: { initialDelayMs: 1 } } }
const soon = 20_000

const requestLost: CutOptions = { direction: 'to-server', when: 'before', how: 'reset', match: isCommit }
const answerLost: CutOptions = { direction: 'to-client', when: 'before', how: 'reset', match: isCommit }

beforeAll(() =>
  scene.admin.query(`
    create function log(given text) returns text language sql as $$ insert into marks values (given) returning mark $$;
    create function format(given int) returns text
      language sql as $$ insert into marks values (given::text) returning mark $$`),
)

/** The wire is cut once, when the first attempt has done its work. */
async function cutOnce(orm: Orm, cut: CutOptions, work: (tx: Tx) => Promise<unknown>, options?: TransactionOptions) {
  const db = scene.open(orm, single)
  let runs = 0
  const seen = await within(
    soon,
    outcome(
      db.withTransaction(async (tx) => {
        runs++
        await work(tx)
        if (runs === 1) scene.proxy.cutWhen(cut)
        return `run ${runs}`
      }, options),
    ),
  )
  return { runs, seen, stats: db.pool.stats().transactions }
}

/** What was given to the ORM has reached its connection: that takes no more than microtasks. */
const handedOn = () => new Promise((resolve) => setImmediate(resolve))

describe.each(retried)('$name', (orm: Orm) => {
  it('T7: a write that is under way at COMMIT, and that nobody waits for, is applied once', async () => {
    const { runs, seen } = await cutOnce(orm, answerLost, async (tx) => {
      void tx.query(`insert into marks select 'once' from pg_sleep(0.1)`)
      await handedOn()
    })
    expect(seen).toEqual({ value: 'run 1' })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual(['once'])
  })

  it.each<[string, string, CutOptions, string[]]>([
    ['commit and chain', 'request', requestLost, ['before']],
    ['commit and chain', 'answer', answerLost, ['before', 'behind']],
    ['rollback and chain', 'request', requestLost, []],
    ['rollback and chain', 'answer', answerLost, ['behind']],
    ['commit; begin', 'request', requestLost, ['before']],
    ['commit; begin', 'answer', answerLost, ['before', 'behind']],
    ['/* a; */ abort; start transaction', 'request', requestLost, []],
    ['/* a; */ abort; start transaction', 'answer', answerLost, ['behind']],
  ])(
    'T7: what comes behind `%s` is another transaction: in doubt when the %s is lost, and not run again',
    async (text, _, cut, marks) => {
      const { runs, seen, stats } = await cutOnce(orm, cut, async (tx) => {
        await tx.insert('before')
        await tx.query(text)
        await tx.insert('behind')
      })
      expect(seen).toEqual({ error: expect.any(CommitOutcomeUnknownError) })
      expect(runs).toBe(1)
      expect(await scene.marks()).toEqual(marks)
      expect(stats).toMatchObject({ committed: 0, unknown: 1 })
    },
  )

  it.each([
    `insert into marks values ('once; commit and chain')`,
    `insert into marks values ('once'); -- commit; begin`,
    `do $$ begin insert into marks values ('once'); end $$`,
    `savepoint s; insert into marks values ('undone'); rollback to s; insert into marks values ('once')`,
  ])('T7: words in literals, comments and programs step out of nothing: %s', async (text) => {
    const { runs, seen } = await cutOnce(orm, answerLost, (tx) => tx.query(text))
    expect(seen).toEqual({ value: 'run 1' })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual([expect.stringMatching(/^once/)])
  })

  it.each([`select log('1')`, 'select format(1)'])(
    "T7: an application's own function that is named like one of the server's, and writes: %s",
    async (text) => {
      const { runs, seen } = await cutOnce(orm, answerLost, (tx) => tx.query(text))
      expect(seen).toEqual({ value: 'run 1' })
      expect(runs).toBe(1)
      expect(await scene.marks()).toEqual(['1'])
    },
  )

  it('T7: a read only transaction that has written a message for the log’s readers is not run again', async () => {
    const seen = await cutOnce(
      orm,
      answerLost,
      (tx) => tx.query(`select pg_logical_emit_message(true, 'outbox', 'once')`),
      { accessMode: 'read only' },
    )
    expect(seen).toMatchObject({ runs: 1, seen: { value: 'run 1' } })
  })

  it.each([false, true])(
    'T7: cut off before it is known what a single write was: COMMIT never left, so it is not in doubt (retry %p)',
    async (retry) => {
      const db = scene.open(orm, single)
      let runs = 0
      const done = within(
        soon,
        db.withTransaction(
          async (tx) => {
            runs++
            // An INSERT answers with no rows, so these are those of the look behind it.
            if (runs === 1) scene.proxy.cutWhen({ ...answerLost, match: isNamed('RowDescription') })
            await tx.query(`insert into marks values ('once')`)
            return `run ${runs}`
          },
          retry ? {} : { retry: false },
        ),
      )
      if (retry) expect(await done).toBe('run 2')
      else expect(await errorOf(done)).toMatchObject({ name: 'ConnectionLostError', retry: 'reconnect' })
      expect(await scene.marks()).toEqual(retry ? ['once'] : [])
      expect(db.pool.stats().transactions).toMatchObject({ unknown: 0, rolledBack: 1 })
    },
  )
})

// Kysely has a queue of its own, whose rest it refuses itself when the body ends.
it.each(retried.filter(({ name }) => /drizzle/.test(name)))(
  'T7: a write in the queue ahead of COMMIT, which nobody has waited for, is applied once: $name',
  async (orm) => {
    const { runs, seen } = await cutOnce(orm, answerLost, async (tx) => {
      for (const text of ['select pg_sleep(0.1)', `insert into marks values ('once')`]) void tx.query(text)
      await handedOn()
    })
    expect(seen).toEqual({ value: 'run 1' })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual(['once'])
  },
)

it('T7: cut off before it is known what a COPY was: COMMIT never left, so it is not in doubt', async () => {
  const pool = scene.closing(createPool(scene.url, { resilience: { ...single, transaction: { retry: false } } }))
  const client = createClient(pool)
  const error = await within(
    soon,
    errorOf(
      client.begin(async (tx) => {
        const copy = await tx`copy marks from stdin`.writable()
        copy.end('one\n')
        await finished(copy)
        scene.proxy.cutWhen({ ...requestLost, match: executes(/xact_id/) })
      }),
    ),
  )
  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error).toMatchObject({ retry: 'reconnect' })
  expect(scene.proxy.statements).not.toContain('commit')
  expect(await scene.marks()).toEqual([])
  expect(pool.stats().transactions).toMatchObject({ unknown: 0, rolledBack: 1 })
})

describe('a cursor that waits for its reader at COMMIT', () => {
  const open = () => scene.closing(createPool(scene.url, { resilience: single }))
  const ways: [string, (ran: () => void) => Promise<unknown>][] = [
    [
      'the client',
      (ran) =>
        createClient(open()).begin(async (tx) => {
          ran()
          await tx`insert into marks values ('undone')`
          await tx`select n from generate_series(1, 9) n`.cursor(2)[Symbol.asyncIterator]().next()
        }),
    ],
    [
      'withTransaction of Kysely',
      (ran) =>
        withTransaction(openKysely(), async (tx) => {
          ran()
          await tx.insertInto('marks').values({ mark: 'undone' }).execute()
          await tx.selectFrom('pg_class').select('relname').stream(1)[Symbol.asyncIterator]().next()
        }),
    ],
    [
      "Kysely's own",
      (ran) =>
        openKysely()
          .transaction()
          .execute(async (tx) => {
            ran()
            await tx.insertInto('marks').values({ mark: 'undone' }).execute()
            await tx.selectFrom('pg_class').select('relname').stream(1)[Symbol.asyncIterator]().next()
          }),
    ],
  ]

  function openKysely(): Kysely<Schema & { pg_class: { relname: string } }> {
    return new Kysely({ dialect: new ResilientPostgresDialect({ client: open() }) })
  }

  it.each(ways)('T7: is told as that, once, and what was done is undone: %s', async (_, way) => {
    let runs = 0
    const error = await within(soon, errorOf(way(() => runs++)))
    expect(error).toBeInstanceOf(StatementError)
    expect(error).toMatchObject({ code: 'CURSOR_OPEN', message: expect.stringMatching(/cursor/) })
    expect(runs).toBe(1)
    expect(await scene.marks()).toEqual([])
  })
})

describe('rows on another server', () => {
  let there = false
  beforeAll(async () => {
    const known = await scene.admin.query(`select 1 from pg_available_extensions where name = 'postgres_fdw'`)
    there = known.length > 0
    if (!there) return
    const { hostname, port, pathname, username, password } = new URL(scene.directUrl)
    const user = decodeURIComponent(username)
    await scene.admin.query(`
      create extension postgres_fdw;
      create server far foreign data wrapper postgres_fdw
        options (host '${hostname}', port '${port}', dbname '${pathname.slice(1)}');
      create user mapping for current_user server far
        options (user '${user}', password '${decodeURIComponent(password) || 'none'}');
      create foreign table far_marks (mark text) server far options (table_name 'marks')`)
  })

  const far = `insert into far_marks values ('once')`
  it.each(
    retried.flatMap((orm) => [
      ['and something behind them', [far, 'select 1'], orm] as const,
      ['and nothing behind them', [far], orm] as const,
    ]),
  )('T7: are committed with the transaction, which is not run again (%s, %#)', async (_, texts, orm) => {
    if (!there) {
      console.warn('SKIPPED: this server has no postgres_fdw; nothing is proven of rows on another server')
      return
    }
    const { runs, seen } = await cutOnce(orm, answerLost, async (tx) => {
      for (const text of texts) await tx.query(text)
    })
    expect(runs).toBe(1)
    expect(await scene.admin.query('select mark from marks')).toEqual([{ mark: 'once' }])
    // Where COMMIT is asked for before it is known that there is no id for them, nobody can tell.
    if (texts.length > 1) expect(seen).toEqual({ value: 'run 1' })
  })
})
