// F6: transactions behind PgBouncer in transaction mode: what they are begun with holds in them and is left on no backend,
// conflicts are run again, and COMMIT is applied exactly once, wherever between us and the server its answer is lost. The
// backend that PgBouncer tells of is no process of the server's.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError, LockTimeoutError, TransactionTimeoutError } from '@moorings/core'
import { serverUrl } from '../support/database.js'
import { isCommit } from '../support/matchers.js'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import type { CutHow, CutOptions } from '../support/rules.js'
import { until } from '../support/until.js'
import { describeBehindPgbouncer } from '../support/use-pgbouncer.js'
import { eventsOf } from './events.js'
import { backendOf, type Orm, type ResilienceOptions, retried } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

const role = `pooled_${process.pid}`
afterAll(() => scene.admin.query(`drop owned by ${role}; drop role ${role}`))
const scene = useScene()
const soon = 25_000
const retry = { initialDelayMs: 1 }

type Place = Pick<CutOptions, 'direction' | 'when'>

/** Where COMMIT is cut, how, and in which attempt it is applied. */
const cuts: [string, CutHow, Place, number][] = (['reset', 'fin', 'swallow'] as const).flatMap((how) => [
  ['its request is lost', how, { direction: 'to-server', when: 'before' }, 2],
  ['it is the last that arrives', how, { direction: 'to-server', when: 'after' }, 1],
  ['its answer is lost', how, { direction: 'to-client', when: 'before' }, 1],
])

/** Between PgBouncer and the server. */
let behind: FaultProxy | undefined
beforeAll(async () => {
  behind = await startProxy({ target: targetOf(serverUrl()) })
  await scene.admin.query(`
    create role ${role};
    grant select, insert on marks to ${role};
    create table accounts (id int primary key, balance int)`)
})
afterAll(() => behind?.close())
beforeEach(() => scene.admin.query('truncate accounts; insert into accounts values (1, 50), (2, 50)'))

function between(): FaultProxy {
  if (behind === undefined) throw new Error('it exists during tests only')
  return behind
}

describeBehindPgbouncer(
  'behind PgBouncer in transaction mode',
  (pooler) => {
    /** Through one proxy to PgBouncer, and through another from there to the server. */
    const url = () => scene.proxy.through(pooler().through(scene.directUrl))
    beforeEach(async () => {
      scene.proxy.leadTo(pooler())
      await between().restore()
    })

    const open = (orm: Orm, options: ResilienceOptions = {}) =>
      scene.open(orm, { pool: { min: 0, max: 4, overflow: 0 }, transaction: { retry }, ...options }, url())

    describe.each(retried)('$name', (orm) => {
      it('F6: what it is begun with holds on its backend to its end, and is left on none', async () => {
        const db = open(orm)
        const look = `select current_user::text as role, current_setting('transaction_isolation') as level,
          current_setting('app.tenant', true) as tenant, current_setting('statement_timeout') as stop`
        const before = await db.query(look)
        const options = {
          isolationLevel: 'serializable',
          role,
          settings: { 'app.tenant': 7 },
          statementTimeoutMs: 77_000,
        } as const
        const seen = await Promise.all(
          Array.from({ length: 6 }, () =>
            db.withTransaction(async (tx) => {
              const backend = await backendOf(tx)
              const [row] = await tx.query(look)
              return { row, same: backend === (await backendOf(tx)) }
            }, options),
          ),
        )
        for (const { row, same } of seen) {
          expect(row).toEqual({ role, level: 'serializable', tenant: '7', stop: '77s' })
          expect(same).toBe(true)
        }
        for (let n = 0; n < 4; n++)
          expect(await db.query(look)).toMatchObject([{ ...before[0], tenant: expect.anything() }])
        expect((await db.query(look))[0]?.tenant).not.toBe('7')
        expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 0 })
      })

      it('F6: savepoints are undone by themselves', async () => {
        const db = open(orm)
        await db.withTransaction(async (tx) => {
          await tx.insert('kept')
          await errorOf(
            tx.nested(async (inner) => {
              await inner.insert('undone')
              throw new Error('undo')
            }),
          )
          await tx.nested((inner) => inner.insert('kept, too'))
        })
        expect(await scene.marks()).toEqual(['kept', 'kept, too'])
      })

      it('F6: limits on locks and on the whole are kept', async () => {
        const db = open(orm)
        const end = gate()
        const held = gate()
        const holder = db.withTransaction(async (tx) => {
          await tx.query('update accounts set balance = 0 where id = 1')
          held.open()
          await end.opened
        })
        await held.opened
        const blocked = (options: object) =>
          errorOf(db.withTransaction((tx) => tx.query('update accounts set balance = 1 where id = 1'), options))
        expect(await blocked({ lockTimeoutMs: 50 })).toBeInstanceOf(LockTimeoutError)
        expect(await blocked({ timeoutMs: 200 })).toBeInstanceOf(TransactionTimeoutError)
        end.open()
        await holder
        expect(await scene.admin.query('select balance from accounts where id = 1')).toEqual([{ balance: 0 }])
      })

      it('F6: of two in a deadlock one is run again', async () => {
        const db = open(orm)
        const both = gate()
        let there = 0
        const move = (from: number, to: number) =>
          db.withTransaction(async (tx, { attempt }) => {
            await tx.query(`update accounts set balance = balance - 1 where id = ${from}`)
            if (++there === 2) both.open()
            if (attempt === 1) await both.opened
            await tx.query(`update accounts set balance = balance + 1 where id = ${to}`)
            return attempt
          })
        const attempts = await within(soon, Promise.all([move(1, 2), move(2, 1)]))
        expect(attempts.toSorted()).toEqual([1, 2])
        const rows = await scene.admin.query('select balance from accounts order by id')
        expect(rows).toEqual([{ balance: 50 }, { balance: 50 }])
      })

      describe.each([
        ['between us and PgBouncer', () => scene.proxy],
        ['between PgBouncer and the server', between],
      ] as const)('COMMIT, cut %s', (_, proxy) => {
        it.each(cuts)('F6: %s (%s): its result once, its rows once', async (_what, how, place, applied) => {
          const db = open(orm, {
            pool: { min: 0, max: 1, overflow: 0 },
            // What ends the wait for an answer out of a black hole.
            statement: { timeoutMs: how === 'swallow' ? 500 : 0, cancelTimeoutMs: 500 },
          })
          const resolved = eventsOf(scene, db.pool, 'moorings:commit:resolved')
          // So that the pooler has a connection of its own to the server that is not the one that is cut.
          const cut = proxy().cutWhen({ ...place, how, match: isCommit })
          const attempts: number[] = []
          const done = db.withTransaction(async (tx, { attempt }) => {
            attempts.push(attempt)
            await tx.insert('once')
            return { from: attempt }
          })
          expect(await within(soon, done)).toEqual({ from: applied })
          expect(cut.fired).toBe(1)
          expect(attempts).toEqual(applied === 1 ? [1] : [1, 2])
          expect(resolved).toMatchObject([{ outcome: applied === 1 ? 'committed' : 'rolled-back' }])
          proxy().resetAll()
          expect(await scene.marks()).toEqual(['once'])
          expect(db.pool.stats()).toMatchObject({ leased: 0, transactions: { committed: 1, unknown: 0 } })
        })
      })

      it('F6: a backend killed in a transaction has it run again', async () => {
        const db = open(orm)
        const attempts: number[] = []
        const done = db.withTransaction(async (tx, { attempt }) => {
          attempts.push(attempt)
          await tx.insert('once')
          if (attempt === 1) await scene.admin.query(`select pg_terminate_backend(${await backendOf(tx)})`)
          await tx.query('select 1')
        })
        await within(soon, done)
        expect(attempts).toEqual([1, 2])
        expect(await scene.marks()).toEqual(['once'])
      })

      it('F6: several at once, each cut at COMMIT, are each applied once', async () => {
        const db = open(orm)
        const cut = between().cutWhen({
          direction: 'to-client',
          when: 'before',
          how: 'reset',
          match: isCommit,
          times: 3,
        })
        const names = Array.from({ length: 12 }, (_, n) => `mark ${String(n).padStart(2, '0')}`)
        await within(soon, Promise.all(names.map((name) => db.withTransaction((tx) => tx.insert(name)))))
        expect(cut.fired).toBe(3)
        expect(await scene.marks()).toEqual(names)
      })
    })

    it.each(retried)(
      'F6: $name: PgBouncer gone under a statement is a lost connection, and back again serves',
      async (orm) => {
        const db = open(orm, { transaction: { retry: false } })
        const waiting = errorOf(db.query('select pg_sleep(60)'))
        await until(async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'PgSleep'), {
          what: 'it to run',
        })
        scene.proxy.resetAll()
        expect(await within(soon, waiting)).toBeInstanceOf(ConnectionLostError)
        expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
      },
    )
  },
  { poolSize: 3, url: () => between().through(serverUrl()) },
)
