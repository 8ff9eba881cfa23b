// T2: SAVEPOINT and RELEASE go over the wire with the statement that follows, as BEGIN does. The proxy counts; a database
// of its own looks from the server's side.

import { describe, expect, it } from '@jest/globals'
import { StatementError, type TransactionScope } from '@moorings/core'
import { createPool, type PostgresConnection, type PostgresPool } from '@moorings/postgres'
import { errorOf, useScene } from './scene.js'

type Scope = TransactionScope<PostgresConnection>

const scene = useScene()
const insert = (mark: string) => ({ text: `insert into marks values ('${mark}')` })
const savepoint = (n: number) => `savepoint "s${n}"`
const release = (n: number) => `release savepoint "s${n}"`
const backTo = (n: number) => `rollback to savepoint "s${n}"`
const undo = new Error('undo')

async function openPool(): Promise<PostgresPool> {
  const resilience = {
    pool: { min: 0, max: 1, overflow: 0 },
    transaction: { retry: false, exactlyOnce: false },
  } as const
  const pool = scene.closing(createPool({ url: scene.url, fetch_types: false }, { resilience }))
  await pool.lease(({ connection }) => connection.execute({ text: 'select 1' }))
  return pool
}

/** What a transaction sends, and how often the client waited for the server. */
async function said(body: (scope: Scope) => Promise<unknown>) {
  const pool = await openPool()
  const { length } = scene.proxy.statements
  const { roundTrips } = scene.proxy.traffic
  await pool.transaction(body)
  return {
    statements: scene.proxy.statements.slice(length),
    roundTrips: scene.proxy.traffic.roundTrips - roundTrips,
  }
}

const send = (mark: string) => (scope: Scope) => scope.connection.execute(insert(mark))
const failing = (scope: Scope) => scope.connection.execute({ text: 'select 1 / 0' })

/** Runs it in a savepoint, and undoes that. */
async function undone(scope: Scope, body: (inner: Scope) => Promise<unknown>): Promise<void> {
  const error = await errorOf(
    scope.savepoint(async (inner) => {
      await body(inner)
      throw undo
    }),
  )
  expect(error).toBe(undo)
}

describe('savepoints', () => {
  it('T2: take no round trips of their own, one after the other and inside of each other', async () => {
    const { statements, roundTrips } = await said(async (scope) => {
      await scope.savepoint(send('a'))
      await scope.savepoint(async (outer) => {
        await outer.savepoint(send('b'))
        await send('c')(outer)
      })
      await send('d')(scope)
    })
    expect(statements).toEqual([
      `begin; ${savepoint(0)}`,
      insert('a').text,
      [release(0), savepoint(1), savepoint(2)].join('; '),
      insert('b').text,
      release(2),
      insert('c').text,
      release(1),
      insert('d').text,
      'commit',
    ])
    expect(roundTrips).toBe(5)
    expect(await scene.marks()).toEqual(['a', 'b', 'c', 'd'])
  })

  it('T2: of which nothing was sent are not sent, kept or undone', async () => {
    const { statements, roundTrips } = await said(async (scope) => {
      await scope.savepoint(async () => {})
      await send('a')(scope)
      await scope.savepoint((inner) => inner.savepoint(async () => {}))
      await undone(scope, (inner) => inner.savepoint(async () => {}))
      await undone(scope, async () => {})
      await send('b')(scope)
    })
    expect(statements).toEqual(['begin', insert('a').text, insert('b').text, 'commit'])
    expect(roundTrips).toBe(3)
  })

  it('T2: released last, RELEASE goes with COMMIT', async () => {
    const { statements, roundTrips } = await said(async (scope) => {
      await send('a')(scope)
      await scope.savepoint(send('b'))
    })
    expect(statements).toEqual(['begin', insert('a').text, savepoint(0), insert('b').text, release(0), 'commit'])
    expect(roundTrips).toBe(3)
    expect(await scene.marks()).toEqual(['a', 'b'])
  })

  it('T2: undone at each depth, what is around goes on', async () => {
    const { statements } = await said(async (scope) => {
      await send('a')(scope)
      await scope.savepoint(async (outer) => {
        await undone(outer, send('undone'))
        await outer.savepoint(send('b'))
        expect(await errorOf(outer.savepoint(failing))).toMatchObject({ code: '22012' })
      })
      await undone(scope, (outer) => outer.savepoint((middle) => middle.savepoint(send('undone, too'))))
      await send('c')(scope)
    })
    expect(statements).toContain(backTo(1))
    expect(await scene.marks()).toEqual(['a', 'b', 'c'])
  })

  it('T2: whose first statement could not be written are there, and what is around goes on', async () => {
    const unwritable = {
      toString() {
        throw new Error('no text')
      },
    }
    await said(async (scope) => {
      await send('a')(scope)
      const text = 'insert into marks values ($1)'
      expect(
        await errorOf(scope.savepoint((inner) => inner.connection.execute({ text, values: [unwritable] }))),
      ).toBeInstanceOf(Error)
      await undone(scope, send('undone'))
      await send('b')(scope)
    })
    expect(await scene.marks()).toEqual(['a', 'b'])
  })

  it('T2: wait for their turn on the wire behind a statement that nobody has waited for', async () => {
    const { statements } = await said(async (scope) => {
      const stray = send('a')(scope)
      await scope.savepoint(send('b'))
      await stray
    })
    expect(statements).toEqual(['begin', insert('a').text, savepoint(0), insert('b').text, release(0), 'commit'])
    expect(await scene.marks()).toEqual(['a', 'b'])
  })

  it.each<[string, (scope: Scope) => Promise<unknown>]>([
    ['COMMIT', async () => {}],
    ['a statement that follows', send('after')],
    ['a savepoint that follows', (scope) => scope.savepoint(send('after'))],
  ])(
    'T2: released by a statement of somebody else’s, they fail the whole with %s, and nothing is kept',
    async (_, next) => {
      const pool = await openPool()
      const error = await errorOf(
        pool.transaction(async (scope) => {
          await scope.savepoint(async (inner) => {
            await send('undone')(inner)
            await inner.connection.execute({ text: release(0) })
          })
          await next(scope)
        }),
      )
      expect(error).toBeInstanceOf(StatementError)
      expect(error).toMatchObject({ code: '3B001' })
      expect(await scene.marks()).toEqual([])
      expect(
        await pool.transaction(async (scope) => (await scope.connection.execute({ text: 'select 1' })).count),
      ).toBe(1)
      expect(pool.stats()).toMatchObject({ leased: 0, idle: 1 })
    },
  )
})
