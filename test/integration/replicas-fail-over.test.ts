// The primary goes, and a standby that is read from takes its place, while somebody reads and writes.

import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { createClient, createPool } from '@moorings/postgres'
import { type Node, type Replicated, startReplicated } from '../support/replicated.js'
import { until } from '../support/until.js'
import { createMarks } from './orms.js'
import { type ReadingOrm, readers, replicasOf } from './readers.js'

const resilience = {
  pool: { min: 0, max: 3, overflow: 0, validationTimeoutMs: 500, closeTimeoutMs: 1_000 },
  statement: { livenessAfterMs: 1_000 },
}

let servers: Replicated
let used: Node | undefined
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  servers = await startReplicated({ standbys: 2, synchronous: true })
  await servers.primary.admin.query(createMarks)
}, 120_000)

beforeEach(async () => {
  if (used !== undefined) await servers.rejoin(used)
  used = servers.primary
  await servers.primary.admin.query('truncate marks')
  await servers.caughtUp()
}, 120_000)

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

afterAll(() => servers?.stop(), 60_000)

describe.each(readers)('$name', (orm: ReadingOrm) => {
  it('F3: a fail-over: reads go on meanwhile, and afterwards from those that follow the new primary', async () => {
    const url = new URL(servers.primary.url())
    const everybody = servers.nodes.map(({ proxy }) => `${proxy.host}:${proxy.port}`).join(',')
    const db = orm.open(
      `${url.href.replace(url.host, everybody)}?target_session_attrs=read-write`,
      { connections: servers.standbys.map((one) => one.url()), maxLagMs: 30_000, checkEveryMs: 100 },
      resilience,
    )
    open.push(db)
    await db.pool.start()
    await db.insert('before')
    await servers.caughtUp()
    const [promoted, follower] = servers.standbys as [Node, Node]
    await servers.primary.server.kill('SIGKILL')
    expect(await db.marks()).toEqual(['before'])
    await servers.failOver(promoted)
    expect(await db.marks()).toEqual(['before'])
    await until(() => db.insert('after').then(() => true), { what: 'a write to succeed', timeoutMs: 30_000 })
    await servers.caughtUp()
    expect(await db.marks()).toEqual(['after', 'before'])
    const { replicas } = replicasOf(db.pool).stats()
    expect(replicas.map(({ state }) => state)).toEqual(['fit', 'fit'])
    const ports = new Set<number>()
    await until(async () => ports.add((await db.where()).port).size === 2, { what: 'both of them to be read from' })
    expect(ports).toEqual(new Set([promoted.server.port, follower.server.port]))
  }, 120_000)
})

describe('a replica that cannot follow', () => {
  it('F3: the new primary, as it has what that never had, is not read from', async () => {
    const [promoted, ahead] = servers.standbys as [Node, Node]
    await servers.primary.server.configure({ synchronous_standby_names: '' })
    await promoted.server.configure({ primary_conninfo: '' })
    const mine = (node: Node) => node.admin.query<{ mark: string }>('select mark from marks')
    await servers.primary.admin.query(`insert into marks select 'lost' from generate_series(1, 5000)`)
    await until(async () => (await mine(ahead)).length === 5_000, { what: 'one of the standbys to have it' })
    await servers.primary.server.kill('SIGKILL')
    expect(await mine(promoted)).toEqual([])

    const places = servers.nodes.map(({ proxy }) => `${proxy.host}:${proxy.port}`).join(',')
    const url = new URL(promoted.url())
    const pool = createPool(`${url.href.replace(url.host, places)}?target_session_attrs=read-write`, {
      replicas: { connections: [ahead.url()], maxLagMs: 30_000, checkEveryMs: 100 },
      resilience,
    })
    open.push(pool)
    const started = replicasOf(pool).start()
    await promoted.admin.query('select pg_promote(true, 60)')
    await started
    const state = () => replicasOf(pool).stats().replicas[0]?.state
    await until(() => state() === 'lagging', { what: 'it to be known to be astray' })
    const sql = createClient(pool).on(replicasOf(pool))
    expect(await sql`select mark from marks`).toHaveLength(0)
    // Wherever the new primary's log goes.
    await promoted.admin.query(`create table filling as select n from generate_series(1, 50000) n`)
    for (let count = 0; count < 20; count++) {
      expect(state()).toBe('lagging')
      await setTimeout(50)
    }
  }, 120_000)
})
