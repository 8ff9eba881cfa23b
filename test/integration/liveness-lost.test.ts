// F2: an answer that will never come, though nobody's limit says so: the wire is cut where nobody can tell, in one way or
// both, or the server has gone behind it. Through another connection the server is asked, and whoever waits hears of it.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { killBackends } from '../support/admin.js'
import { completes, executes, isCommit } from '../support/matchers.js'
import type { CutOptions } from '../support/rules.js'
import { until } from '../support/until.js'
import { backendOf, type Db, type Orm, orms, retried } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
/** Nothing has a limit but the question. */
const endless = {
  pool: { min: 0, max: 1, overflow: 0, validationTimeoutMs: 500, validateAfterIdleMs: 60_000, closeTimeoutMs: 500 },
  statement: { livenessAfterMs: 200 },
}
/** Three questions, each with its limit, on a busy machine. */
const patience = 15_000

/** One connection of the pool. */
async function connected(orm: Orm, resilience = {}) {
  const db = scene.open(orm, { ...endless, ...resilience })
  return { db, pid: await backendOf(db) }
}

/** On the wires there are, and for good; new ones are whole. */
function swallow(direction: 'to-client' | 'to-server' | 'both'): void {
  for (const wire of scene.proxy.connections) wire.swallow(direction)
}

async function expectLost(db: Db, lost: Promise<unknown>, why: RegExp): Promise<void> {
  const error = await within(patience, errorOf(lost))
  expect(error).toBeInstanceOf(ConnectionLostError)
  expect(error).toMatchObject({ retry: 'reconnect', sent: undefined, message: expect.stringMatching(why) })
  expect(db.pool.stats()).toMatchObject({ leased: 0, lost: 1, liveness: { lost: 1 } })
}

it('F2: in Drizzle, the description of a statement is swallowed, which the server calls active then', async () => {
  const { db } = await connected(orms[0] as Orm)
  swallow('to-client')
  // It was not carried out for certain.
  await within(patience, db.insert('sent again'))
  expect(await scene.marks()).toEqual(['sent again'])
  expect(db.pool.stats()).toMatchObject({ lost: 1, liveness: { lost: 1 }, statements: { resent: 1 } })
})

describe.each(orms)('$name', (orm: Orm) => {
  it.each([
    ['the answer', 'to-client'],
    ['the statement', 'to-server'],
  ] as const)('F2: %s is swallowed: the server is idle, and its session is ended', async (_, direction) => {
    const { db, pid } = await connected(orm)
    swallow(direction)
    await expectLost(db, db.query('select 2'), /had nothing to do for it/)
    const left = async () => (await scene.backends()).every((backend) => backend.pid !== pid)
    await until(left, { what: 'the session to end' })
    expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
  })

  it('F2: the server has ended the session, and its last words are swallowed', async () => {
    const { db, pid } = await connected(orm)
    const lost = db.query('select pg_sleep(60)')
    const atWork = async () => (await scene.backends()).some(({ wait_event }) => wait_event === 'PgSleep')
    await until(atWork, { what: 'it to run' })
    swallow('both')
    await killBackends(scene.admin, 'pid = $1', [pid])
    await expectLost(db, lost, /no longer knew it/)
  })

  it('F2: a black hole swallows the questions as well: after three of them nothing is waited for', async () => {
    const { db } = await connected(orm)
    scene.proxy.swallow()
    await expectLost(db, db.query('select 2'), /nothing was heard/)
    await scene.proxy.restore()
    expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
  })

  it.each(['closed', 'reset', 'fin', 'silent'] as const)(
    'F2: behind a black hole nobody is there any more (%s): the same',
    async (refusal) => {
      const { db } = await connected(orm)
      swallow('both')
      scene.proxy.refuse(refusal)
      await expectLost(db, db.query('select 2'), /nothing was heard/)
    },
  )

  it('F2: others on the same endpoint are not touched', async () => {
    const { db } = await connected(orm)
    swallow('to-client')
    const lost = errorOf(db.query('select 2'))
    db.pool.resize({ max: 2 })
    const other = db.query('select 4 as n from pg_sleep(2)')
    expect(await within(patience, lost)).toBeInstanceOf(ConnectionLostError)
    expect(await other).toEqual([{ n: 4 }])
    expect(db.pool.stats()).toMatchObject({ created: 2, lost: 1 })
  })
})

describe.each(retried)('$name', (orm: Orm) => {
  const retry = { retry: { initialDelayMs: 1 } }

  it.each<[string, Pick<CutOptions, 'direction' | 'match' | 'when'>]>([
    ['its first statement, with BEGIN', { direction: 'to-server', match: executes(/first/), when: 'before' }],
    ['the answer to its first statement', { direction: 'to-client', match: completes('UPDATE'), when: 'before' }],
    ['COMMIT', { direction: 'to-server', match: isCommit, when: 'before' }],
  ])('F2: a transaction whose wire swallows %s is run again, and waits for no lock of its own', async (_, cut) => {
    await scene.admin.query(`insert into marks values ('none')`)
    const { db } = await connected(orm, { transaction: retry })
    const fired = scene.proxy.cutWhen({ ...cut, how: 'swallow' })
    let runs = 0
    const done = db.withTransaction(async (tx) => {
      runs++
      await tx.query(`update marks set mark = 'first'`)
      await tx.query(`update marks set mark = 'run ${runs}'`)
    })
    await within(patience, done)
    expect([runs, fired.fired]).toEqual([2, 1])
    expect(await scene.marks()).toEqual(['run 2'])
  })

  it('F2: a transaction whose COMMIT is answered in vain has committed, once', async () => {
    const { db } = await connected(orm, { transaction: retry })
    const fired = scene.proxy.cutWhen({ direction: 'to-client', match: isCommit, when: 'before', how: 'swallow' })
    let runs = 0
    const done = db.withTransaction(async (tx) => {
      await tx.insert(`run ${++runs}`)
      return runs
    })
    expect(await within(patience, done)).toBe(1)
    expect(fired.fired).toBe(1)
    expect(await scene.marks()).toEqual(['run 1'])
    expect(db.pool.stats()).toMatchObject({ liveness: { lost: 1 }, transactions: { resolved: { committed: 1 } } })
  })
})
