// T7: the server goes and comes back in the middle of a transaction, or while it has a COMMIT to answer. The rows of the
// server that came back are the witness.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type Cluster, startCluster } from '../support/cluster.js'
import { createDatabase, type Database } from '../support/database.js'
import { executes, isCommit } from '../support/matchers.js'
import type { StopMode } from '../support/postmaster.js'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import type { CutOptions } from '../support/rules.js'
import { createMarks, type Db, type Orm, type ResilienceOptions, retried } from './orms.js'
import { outcome, within } from './scene.js'

const startMs = 60_000
/** A restart takes about a second, and the pool's back-off about as long. */
const soon = 40_000

let cluster: Cluster
let database: Database
let proxy: FaultProxy
let db: Db | undefined

beforeAll(async () => {
  cluster = await startCluster()
  database = await createDatabase('restarted', cluster.url)
  await database.admin.query(`${createMarks}; create table flushed (n int)`)
}, startMs)
afterAll(async () => {
  await database?.admin.end()
  await cluster?.stop()
}, startMs)
beforeEach(async () => {
  proxy = await startProxy({ target: targetOf(database.url) })
  await database.admin.query('truncate marks')
})
afterEach(async () => {
  proxy.resetAll()
  await db?.close()
  await proxy.close()
})

function open(orm: Orm, resilience: ResilienceOptions = {}): Db {
  db = orm.open(proxy.through(database.url), { pool: { min: 0, max: 1, overflow: 0 }, ...resilience })
  return db
}

async function marks(): Promise<string[]> {
  const rows = await database.admin.query<{ mark: string }>('select mark from marks order by mark')
  return rows.map(({ mark }) => mark)
}

describe.each(retried)('$name', (orm: Orm) => {
  it.each<StopMode>(['fast', 'immediate'])(
    'T7: a restart (%s) between two statements: the body is run again on the server that came back',
    async (mode) => {
      const { pool, withTransaction } = open(orm)
      let runs = 0
      const result = await within(
        soon,
        withTransaction(async (tx) => {
          runs++
          await tx.insert(`run ${runs}`)
          if (runs === 1) await cluster.restart(mode)
          await tx.insert('and on')
          return runs
        }),
      )
      expect(result).toBe(2)
      expect(await marks()).toEqual(['and on', 'run 2'])
      expect(pool.stats()).toMatchObject({ leased: 0, lost: 1, transactions: { committed: 1 } })
    },
  )

  /** What the caller is told, and the rows, when the wire goes silent at COMMIT, and then the server crashes. */
  async function crashed(
    cut: Pick<CutOptions, 'direction' | 'when'>,
    before?: () => Promise<unknown>,
  ): Promise<{ told: unknown; rows: string[] }> {
    const { pool, withTransaction } = open(orm)
    let crash: Promise<unknown> | undefined
    const match: CutOptions['match'] = (...seen) => {
      if (crash !== undefined || !isCommit(...seen)) return false
      crash = (async () => {
        await before?.()
        await cluster.kill('SIGKILL')
        proxy.refuse()
        await cluster.restart()
        // The silence ends as a reset.
        proxy.resetAll()
        await proxy.restore()
      })()
      return true
    }
    proxy.cutWhen({ ...cut, how: 'swallow', match })
    let runs = 0
    const done = withTransaction(async (tx) => {
      await tx.insert('once')
      return ++runs
    })
    const told = await within(soon, outcome(done))
    await crash
    expect(pool.stats()).toMatchObject({ leased: 0, lost: 1 })
    return { told, rows: await marks() }
  }

  const requestLost = { direction: 'to-server', when: 'before' } as const
  const answerLost = { direction: 'to-client', when: 'before' } as const

  it('T7: a crash behind a COMMIT whose answer never came: it is there, but could be a stranger’s, and nobody is told so', async () => {
    const error = expect.objectContaining({ name: 'CommitOutcomeUnknownError' })
    expect(await crashed(answerLost)).toEqual({ told: { error }, rows: ['once'] })
  })

  it('T7: a crash before COMMIT arrived: the server that came back knows that it did not, and the body is run again', async () => {
    // Somebody else's COMMIT takes what was done so far to the disk.
    const before = () => database.admin.query('insert into flushed values (1)')
    expect(await crashed(requestLost, before)).toEqual({ told: { value: 2 }, rows: ['once'] })
  })

  it('T7: a crash before COMMIT arrived, and nothing of it was on the disk: the body is run again', async () => {
    expect(await crashed(requestLost)).toEqual({ told: { value: 2 }, rows: ['once'] })
  })

  it('T7: a restart while it is asked what became of a COMMIT: it is asked again', async () => {
    const { withTransaction } = open(orm)
    proxy.cutWhen({ direction: 'to-client', when: 'before', how: 'reset', match: isCommit })
    let restarted: Promise<void> | undefined
    proxy.cutWhen({
      direction: 'to-server',
      when: 'before',
      how: 'reset',
      match: (...seen) => {
        const question = executes(/pg_xact_status/)(...seen)
        if (question) restarted = cluster.restart()
        return question
      },
    })
    let runs = 0
    const done = withTransaction(async (tx) => {
      await tx.insert('once')
      return ++runs
    })
    expect(await within(soon, done)).toBe(1)
    expect(restarted).toBeDefined()
    await restarted
    expect(await marks()).toEqual(['once'])
  })
})
