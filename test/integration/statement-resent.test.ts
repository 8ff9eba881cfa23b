// A statement outside of a transaction whose connection is lost: sent again on another one when it surely was not carried
// out, or may be carried out twice; never otherwise. The rows are the witness, and the wire.

import { spawnSync } from 'node:child_process'
import { beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError, idempotent, PoolClosedError } from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { completes, executes, type Matcher } from '../support/matchers.js'
import type { CutOptions } from '../support/rules.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { backendOf, byFunction, type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

const scene = useScene()
const single = { min: 0, max: 1, overflow: 0 }
const soon = 15_000

beforeAll(async () => {
  await scene.admin.query('create table keyed (id int primary key, n int)')
})
beforeEach(async () => {
  await scene.admin.query('truncate keyed')
})

const rowsOfKeyed = () => scene.admin.query('select id, n from keyed order by id')

/** What a query builder sends: the parameters follow once the server has described the statement. */
const describes: Matcher = (message) => message.direction === 'to-server' && message.name === 'Parse'
const arrives: Pick<CutOptions, 'direction' | 'when' | 'how'> = { direction: 'to-server', when: 'after', how: 'reset' }
const stays = { ...arrives, when: 'before' } as const

/** What ends a request to carry out what the pattern fits: behind it the server needs nothing more. */
function asked(pattern: RegExp): Matcher {
  let executed = false
  return ({ name, direction }, { executes }) => {
    if (direction === 'to-client') return false
    if (executes !== undefined) executed = pattern.test(executes)
    return executed && (name === 'Query' || name === 'Sync')
  }
}

function sentTo(pattern: RegExp): string[] {
  return scene.proxy.statements.filter((sql) => pattern.test(sql))
}

/** A database that has a connection at rest. */
async function opened(orm: Orm, resilience: ResilienceOptions = {}, url?: string) {
  const db = scene.open(orm, { pool: single, ...resilience }, url)
  await db.query('select 1')
  return { db, resent: eventsOf(scene, db.pool, 'moorings:statement:resent') }
}

/** One whose backends are terminated between the taking of a connection and the sending. */
async function doomed(orm: Orm, resilience: ResilienceOptions = {}, url = scene.directUrl, times = 9) {
  let left = 0
  const beforeAcquire = async () => {
    await beforeReading()
    if (left > 0) killBehindOurBack()
    left--
    return 'use' as const
  }
  const db = await opened(orm, { hooks: { beforeAcquire }, ...resilience }, url)
  left = times
  return db
}

async function atWork(): Promise<number> {
  let pid: number | undefined
  const asleep = async () => {
    pid = (await scene.backends()).find(({ wait_event }) => wait_event === 'PgSleep')?.pid
    return pid !== undefined
  }
  await until(asleep, { what: 'it to run' })
  return pid ?? 0
}

/** Ends the backend of the one statement that sleeps. @returns which it was */
async function killAtWork(afterMs = 0): Promise<number> {
  const pid = await atWork()
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  await killBackends(scene.admin, 'pid = $1', [pid])
  return pid
}

/** Nobody terminates a statement for its own sake that has run for less. */
const forAWhile = 1_100

/** Before it reads from sockets again, and with that hears of what was done to them. */
const beforeReading = () => new Promise((resolve) => setTimeout(resolve, 1))

/** Terminates every backend of the pool while this process stands still. */
function killBehindOurBack(): void {
  const program = `
    import pg from 'pg'
    const client = new pg.Client({ connectionString: process.argv[1] })
    await client.connect()
    await client.query("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'scene' and datname = current_database()")
    await client.end()`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program, adminUrl()], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`the killing failed: ${stderr}`)
}

function adminUrl(): string {
  const url = new URL(scene.directUrl)
  url.searchParams.set('application_name', 'killer')
  return url.href
}

describe.each(orms)('$name', (orm: Orm) => {
  describe('one that surely was not carried out is sent again', () => {
    it.each<[string, (db: Db) => Promise<unknown>]>([
      ['with parameters', (db) => db.insert('once')],
      ['without', (db) => db.query("insert into marks values ('once')")],
    ])('its backend was terminated between the taking of its connection and the sending: %s', async (_, insert) => {
      const { db, resent } = await doomed(orm, {}, scene.directUrl, 1)
      await insert(db)
      expect(await scene.marks()).toEqual(['once'])
      expect(resent).toMatchObject([{ id: 1, attempt: 1, error: { code: '57P01', sent: false } }])
      expect(db.pool.stats()).toMatchObject({ leased: 0, created: 2, lost: 1, statements: { resent: 1 } })
    })

    it('its connection was reset a moment before', async () => {
      const { db, resent } = await opened(orm)
      await beforeReading()
      scene.proxy.resetAll()
      await db.query("insert into marks values ('once')")
      expect(await scene.marks()).toEqual(['once'])
      expect(sentTo(/insert/)).toHaveLength(1)
      expect(resent).toMatchObject([{ error: { sent: false } }])
    })

    it('many at once, when all connections break: each is applied once, and nobody hears of it', async () => {
      const db = scene.open(orm, { pool: { min: 10, max: 10, overflow: 0 } })
      await db.pool.start()
      await until(() => db.pool.stats().idle === 10, { what: 'ten to be there' })
      await beforeReading()
      scene.proxy.resetAll()
      await within(soon, Promise.all(Array.from({ length: 10 }, (_, n) => db.insert(String(n)))))
      expect(await scene.marks()).toEqual(Array.from({ length: 10 }, (_, n) => String(n)))
      expect(db.pool.stats()).toMatchObject({ leased: 0, statements: { overBudget: 0 } })
    })

    it('as often as is set, and then its caller hears why it was not', async () => {
      const { db, resent } = await doomed(orm)
      const error = await within(soon, errorOf(db.insert('never')))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ sent: false, retry: 'reconnect' })
      expect(resent.map(({ attempt }) => attempt)).toEqual([1, 2])
      expect(await scene.marks()).toEqual([])
      expect(db.pool.stats()).toMatchObject({ leased: 0, statements: { resent: 2 } })
    })

    it('not at all with maxResends: 0', async () => {
      const { db, resent } = await doomed(orm, { statement: { maxResends: 0 } })
      expect(await errorOf(db.insert('never'))).toMatchObject({ name: 'ConnectionLostError', sent: false })
      expect([resent.length, await scene.marks()]).toEqual([0, []])
    })

    it('its session was terminated a moment after it had begun: what it has done is rolled back', async () => {
      const { db, resent } = await opened(orm)
      const running = db.query("insert into marks select 'once' from pg_sleep(0.5)")
      await killAtWork()
      await within(soon, running)
      expect(resent).toMatchObject([{ attempt: 1, error: { code: '57P01', sent: false } }])
      expect(await scene.marks()).toEqual(['once'])
    })

    it('but not what may have committed part of its work', async () => {
      const { db, resent } = await opened(orm)
      const running = errorOf(
        db.query("do $$ begin insert into marks values ('once'); commit; perform pg_sleep(60); end $$"),
      )
      await killAtWork()
      expect(await within(soon, running)).toMatchObject({ name: 'ConnectionLostError', sent: undefined })
      expect([resent, await scene.marks()]).toEqual([[], ['once']])
    })

    it('not when the budget is spent', async () => {
      const { db, resent } = await doomed(orm)
      while (db.pool.retryBudget.take());
      expect(await errorOf(db.insert('never'))).toBeInstanceOf(ConnectionLostError)
      expect(resent).toEqual([])
      expect(db.pool.stats().statements).toEqual({ resent: 0, overBudget: 1 })
      expect(await scene.marks()).toEqual([])
    })

    it('closed while it waits for another connection: it hears of that', async () => {
      const { db, resent } = await doomed(orm, {}, scene.url)
      scene.proxy.refuse()
      const refused = errorOf(db.insert('never'))
      await until(() => resent.length === 1, { what: 'it to be sent again' })
      await db.pool.close()
      expect(await within(soon, refused)).toBeInstanceOf(PoolClosedError)
      expect(await scene.marks()).toEqual([])
    })
  })

  describe('one that may have been carried out is not', () => {
    const inserts: Record<string, (db: Db) => Promise<unknown>> = {
      'with parameters': (db) => db.insert('a'),
      'as text': (db) => db.query("insert into marks values ('a')"),
    }
    const places: Record<string, [Pick<CutOptions, 'direction' | 'when' | 'how'>, () => Matcher, string[]]> = {
      'its request does not arrive': [stays, () => executes(/insert/), []],
      'its request arrives': [arrives, () => asked(/insert/), ['a']],
      'its answer is lost': [{ ...stays, direction: 'to-client' }, () => completes('INSERT'), ['a']],
    }
    const cases = Object.keys(places).flatMap((place) => Object.keys(inserts).map((how) => [how, place] as const))

    it.each(cases)('%s: %s', async (how, name) => {
      const [place, match, marks] = places[name] ?? []
      const { db, resent } = await opened(orm)
      const cut = scene.proxy.cutWhen({ ...stays, ...place, match: match?.() ?? executes(/./) })
      const error = await within(soon, errorOf(Promise.resolve(inserts[how]?.(db))))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ retry: 'reconnect', sent: undefined })
      expect(cut.fired).toBe(1)
      expect(resent).toEqual([])
      expect(await scene.marks()).toEqual(marks)
    })

    it('also not when reads are', async () => {
      const { db } = await opened(orm, { statement: { idempotentReads: true } })
      const running = errorOf(
        db.query("with x as (insert into marks values ('a') returning 1) select pg_sleep(60) from x"),
      )
      await killAtWork(forAWhile)
      expect(await running).toMatchObject({ name: 'ConnectionLostError', code: '57P01' })
      expect(db.pool.stats().statements.resent).toBe(0)
    })
  })

  describe('a read', () => {
    const read = 'select pg_backend_pid() as pid, pg_sleep(2)::text as slept'

    it('under way is sent again if reads are said to be idempotent', async () => {
      const { db, resent } = await opened(orm, { statement: { idempotentReads: true } })
      const running = db.query(read)
      const pid = await killAtWork(forAWhile)
      const [row] = await within(soon, running)
      expect(row?.pid).not.toBe(pid)
      expect(resent).toMatchObject([{ id: 1, attempt: 1, error: { code: '57P01', sent: undefined } }])
    })

    it('of which rows have come already: the caller gets all of them, once', async () => {
      const { db } = await opened(orm, { statement: { idempotentReads: true } })
      let seen = 0
      const third: Matcher = (message) => message.name === 'DataRow' && ++seen === 3
      scene.proxy.cutWhen({ direction: 'to-client', when: 'after', how: 'reset', match: third })
      const rows = await db.query("select n, repeat('x', 1000) as x from generate_series(1, 5) n")
      expect(rows.map(({ n }) => Number(n))).toEqual([1, 2, 3, 4, 5])
      expect(db.pool.stats().statements.resent).toBe(1)
    })

    it('is not, by default', async () => {
      const { db } = await opened(orm)
      const running = errorOf(db.query('select pg_sleep(60)'))
      await killAtWork(forAWhile)
      expect(await running).toMatchObject({ name: 'ConnectionLostError', code: '57P01', sent: undefined })
      expect(sentTo(/pg_sleep/)).toHaveLength(1)
    })

    it('cancelled by its limit is not, and all its tries share one limit', async () => {
      const { db } = await opened(orm, { statement: { idempotentReads: true, timeoutMs: 2_000 } })
      const running = errorOf(db.query('select pg_sleep(60)'))
      await killAtWork()
      const error = await within(soon, running)
      // What was left of it.
      expect(error).toMatchObject({ name: 'StatementTimeoutError', message: expect.stringMatching(/ 1\d{3} ms$/) })
      expect(sentTo(/pg_sleep/)).toHaveLength(2)
    })

    it('whose pool is closed under it is not', async () => {
      const { db, resent } = await opened(orm, { statement: { idempotentReads: true } })
      const running = errorOf(db.query('select pg_sleep(60)'))
      await atWork()
      await db.pool.close({ timeoutMs: 0 })
      expect(await within(soon, running)).toBeInstanceOf(ConnectionLostError)
      expect(resent).toEqual([])
    })
  })

  describe('what is said to be idempotent', () => {
    const upsert = 'insert into keyed values (1, 7) on conflict (id) do update set n = 7'

    it.each<[string, Pick<CutOptions, 'direction' | 'when' | 'how'>, Matcher]>([
      ['its request does not arrive', stays, executes(/insert/)],
      ['its request arrives', arrives, asked(/insert/)],
      ['its answer is lost', { ...stays, direction: 'to-client' }, completes('INSERT')],
    ])('is sent again: %s', async (_, place, match) => {
      const { db, resent } = await opened(orm)
      const cut = scene.proxy.cutWhen({ ...place, match })
      await idempotent(() => db.query(upsert))
      expect(cut.fired).toBe(1)
      expect(await rowsOfKeyed()).toEqual([{ id: 1, n: 7 }])
      expect(resent).toMatchObject([{ attempt: 1, error: { sent: undefined } }])
    })

    it('is nothing that was issued outside of the body', async () => {
      const { db, resent } = await opened(orm)
      await idempotent(() => db.query(upsert))
      scene.proxy.cutWhen({ ...stays, match: executes(/insert/) })
      expect(await errorOf(db.query(upsert))).toBeInstanceOf(ConnectionLostError)
      expect(resent).toEqual([])
    })

    it('after which no other connection can be had: its caller hears of the doubt, not of the connection', async () => {
      const { db } = await opened(orm, { pool: { ...single, acquireTimeoutMs: 300 } })
      scene.proxy.cutWhen({ ...arrives, match: executes(/insert/) })
      scene.proxy.refuse()
      const error = await within(soon, errorOf(idempotent(() => db.query(upsert))))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(error).toMatchObject({ sent: undefined })
    })

    it('is not sent again for an error of its own', async () => {
      const { db, resent } = await opened(orm)
      expect(await errorOf(idempotent(() => db.query('select 1 / 0')))).toMatchObject({ code: '22012' })
      expect(resent).toEqual([])
    })
  })

  it('a statement that is killed again and again ends in an error, and the pool serves the next', async () => {
    const { db } = await opened(orm, { statement: { idempotentReads: true } })
    const running = outcome(db.query('select pg_sleep(60)'))
    for (let n = 0; n < 3; n++) await killAtWork()
    expect(await within(soon, running)).toMatchObject({ error: { name: 'ConnectionLostError', code: '57P01' } })
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 3, statements: { resent: 2 } })
  })
})

describe('in Drizzle, one whose description is asked for first', () => {
  const [orm] = orms as [Orm]

  it.each(['before', 'after'] as const)('cut off %s its description arrives', async (when) => {
    const { db, resent } = await opened(orm)
    const cut = scene.proxy.cutWhen({ ...arrives, when, match: describes })
    await db.insert('once')
    expect(cut.fired).toBe(1)
    expect(await scene.marks()).toEqual(['once'])
    expect(resent).toMatchObject([{ attempt: 1, error: { sent: false } }])
  })

  it('not while the pool is closed under it', async () => {
    const { db, resent } = await opened(orm)
    scene.proxy.swallow('to-client')
    const lost = errorOf(db.insert('never'))
    await until(() => db.pool.stats().leased === 1, { what: 'it to be under way' })
    await db.pool.close({ timeoutMs: 0 })
    expect(await within(soon, lost)).toMatchObject({ name: 'ConnectionLostError', sent: false })
    expect(resent).toEqual([])
  })
})

describe.each(byFunction)('$name', (orm: Orm) => {
  it.each(['its own handle', 'the root database, which joins it'])(
    'in a transaction nothing is sent again, as that is run again as a whole: by %s',
    async (who) => {
      const { db, resent } = await opened(orm, { statement: { idempotentReads: true } })
      let inside: unknown
      const run = db.withTransaction(async (tx) => {
        const runner = who === 'its own handle' ? tx : db
        await killBackends(scene.admin, 'pid = $1', [await backendOf(runner)])
        inside = await errorOf(idempotent(() => runner.query('select 1')))
        throw inside
      })
      expect(await errorOf(run)).toBe(inside)
      expect(inside).toBeInstanceOf(ConnectionLostError)
      expect(resent).toEqual([])
    },
  )
})
