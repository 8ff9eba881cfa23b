// Replicas that lag, crash, freeze or are promoted, while somebody reads: on a real primary with streaming standbys.

import { setTimeout } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { ReplicaState } from '@moorings/core'
import { createPool, type ReplicasConfig } from '@moorings/postgres'
import { type Node, type Replicated, startReplicated } from '../support/replicated.js'
import { until } from '../support/until.js'
import { createMarks } from './orms.js'
import { type Place, type Reader, type ReadingOrm, readers, replicasOf } from './readers.js'

const resilience = {
  pool: {
    min: 0,
    max: 3,
    overflow: 0,
    validationTimeoutMs: 500,
    closeTimeoutMs: 1_000,
    acquireTimeoutMs: 10_000,
    connectTimeoutMs: 1_000,
  },
  statement: { livenessAfterMs: 1_000 },
  breaker: { resetTimeoutMs: 500 },
}
const soon = { maxLagMs: 1_000, checkEveryMs: 100 }

let servers: Replicated
const open: { close(): Promise<void> }[] = []

beforeAll(async () => {
  servers = await startReplicated({ standbys: 2 })
  await servers.primary.admin.query(createMarks)
}, 120_000)

beforeEach(async () => {
  for (const { proxy } of servers.nodes) await proxy.restore()
  for (const { server } of servers.nodes) {
    await server.thaw()
    if (server.pid === undefined) await server.restart()
  }
  for (const standby of servers.standbys) {
    await standby.delayReplay(0)
    await standby.resumeReplay()
  }
  await servers.primary.admin.query('truncate marks')
  await servers.caughtUp()
}, 120_000)

afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

afterAll(() => servers?.stop(), 60_000)

function standby(place: number): Node {
  const found = servers.standbys[place]
  if (found === undefined) throw new Error(`there is no standby ${place}`)
  return found
}

/** After the first check: both of them do. */
async function opened(orm: ReadingOrm, options: Partial<ReplicasConfig> = {}): Promise<Reader> {
  const connections = servers.standbys.map((one) => one.url())
  const reader = orm.open(servers.primary.url(), { connections, ...soon, ...options }, resilience)
  open.push(reader)
  await states(reader, 'fit', 'fit')
  return reader
}

async function states({ pool }: Pick<Reader, 'pool'>, ...wanted: ReplicaState[]): Promise<void> {
  const replicas = replicasOf(pool)
  await replicas.start()
  const are = () => replicas.stats().replicas.every(({ state }, at) => state === wanted[at])
  await until(are, { what: `the replicas to be ${wanted.join(' and ')}`, timeoutMs: 20_000 })
}

function isAt(place: Place, node: Node): boolean {
  return place.port === node.server.port
}

/** Reads from it and from nowhere else, for so many reads. */
async function readsOnlyFrom(db: Reader, node: Node, reads = 6): Promise<void> {
  for (let count = 0; count < reads; count++) expect(isAt(await db.where(), node)).toBe(true)
}

/** Reads all the time, until told to stop. */
function reading(db: Reader, count = 6) {
  const errors: unknown[] = []
  const reads = new Map<number, number>()
  let stopped = false
  const read = async () => {
    while (!stopped) {
      try {
        const { port } = await db.where()
        reads.set(port, (reads.get(port) ?? 0) + 1)
      } catch (error) {
        errors.push(error)
        await setTimeout(5)
      }
    }
  }
  const all = Promise.all(Array.from({ length: count }, read))
  const at = (node: Node) => reads.get(node.server.port) ?? 0
  return {
    errors,
    /** So many more are read from that server than now. */
    more(node: Node, more: number) {
      const enough = at(node) + more
      return until(() => at(node) >= enough, { what: `${more} more reads from one server`, timeoutMs: 30_000 })
    },
    async stop() {
      stopped = true
      await all
    },
  }
}

describe.each(readers)('$name', (orm: ReadingOrm) => {
  it('F3: a replica that lags is not read from, and is read from again when it has caught up', async () => {
    const db = await opened(orm)
    await standby(0).pauseReplay()
    await db.insert('one')
    await states(db, 'lagging', 'fit')
    await readsOnlyFrom(db, standby(1))
    expect(await db.marks()).toEqual(['one'])
    await standby(0).resumeReplay()
    await states(db, 'fit', 'fit')
    const work = reading(db)
    await work.more(standby(0), 5)
    await work.stop()
    expect(work.errors).toEqual([])
  }, 60_000)

  it('F3: when all of them lag, reads go to the primary', async () => {
    const db = await opened(orm)
    for (const one of servers.standbys) await one.pauseReplay()
    await db.insert('one')
    await states(db, 'lagging', 'lagging')
    await readsOnlyFrom(db, servers.primary)
    expect(await db.marks()).toEqual(['one'])
  }, 60_000)

  it('F3: a replica that follows at a distance is read from while that is small enough', async () => {
    await standby(0).delayReplay(700)
    await standby(1).delayReplay(5_000)
    const db = await opened(orm, { maxLagMs: 2_000 })
    const writing = { stopped: false }
    const writes = (async () => {
      while (!writing.stopped) {
        await db.insert('another')
        await setTimeout(50)
      }
    })()
    await states(db, 'fit', 'lagging')
    await until(() => (replicasOf(db.pool).stats().replicas[0]?.lagMs ?? 0) >= 700, { what: 'its lag to show' })
    await readsOnlyFrom(db, standby(0))
    writing.stopped = true
    await writes
  }, 60_000)

  it('F3: a replica that crashes is not read from any more, and nobody who reads has an error of it', async () => {
    const db = await opened(orm)
    const work = reading(db)
    await work.more(standby(0), 20)
    await standby(0).server.kill('SIGKILL')
    await states(db, 'down', 'fit')
    await work.more(standby(1), 50)
    await standby(0).server.restart()
    await states(db, 'fit', 'fit')
    await work.more(standby(0), 20)
    await work.stop()
    expect(work.errors).toEqual([])
    expect(replicasOf(db.pool).stats().fellBack).toBe(0)
  }, 60_000)

  it('F3: when all of them have crashed, reads go to the primary, and nobody has an error of it', async () => {
    const db = await opened(orm)
    const work = reading(db)
    await work.more(standby(0), 20)
    await Promise.all(servers.standbys.map((one) => one.server.kill('SIGKILL')))
    await work.more(servers.primary, 50)
    await standby(1).server.restart()
    await work.more(standby(1), 20)
    await work.stop()
    expect(work.errors).toEqual([])
  }, 60_000)

  it('F2: a replica in a black hole is not read from any more, and nobody has an error of it', async () => {
    const db = await opened(orm)
    const work = reading(db)
    await work.more(standby(0), 20)
    standby(0).proxy.swallow()
    await states(db, 'down', 'fit')
    await work.more(standby(1), 50)
    await standby(0).proxy.restore()
    await states(db, 'fit', 'fit')
    await work.more(standby(0), 20)
    await work.stop()
    expect(work.errors).toEqual([])
  }, 60_000)

  it('F3: while the primary is down, replicas are read from, until what they show is too old', async () => {
    const db = await opened(orm, { maxLagMs: 4_000 })
    const work = reading(db)
    await servers.primary.server.kill('SIGKILL')
    await work.more(standby(0), 50)
    await work.more(standby(1), 50)
    await work.stop()
    expect(work.errors).toEqual([])
    await states(db, 'lagging', 'lagging')
    await expect(db.where()).rejects.toMatchObject({ kind: expect.stringMatching(/acquire|connection/) })
    await servers.primary.server.restart()
    await states(db, 'fit', 'fit')
  }, 60_000)
})

describe('lag', () => {
  it('F3: is none while nothing is written, also at the beginning of a segment of the log', async () => {
    const pool = createPool(servers.primary.url(), {
      replicas: { connections: servers.standbys.map((one) => one.url()), ...soon },
      resilience,
    })
    open.push(pool)
    await states({ pool }, 'fit', 'fit')
    const { admin } = servers.primary
    await admin.query('select pg_switch_wal()')
    await servers.caughtUp()
    await states({ pool }, 'fit', 'fit')
    // Not written to by anybody, it stands behind the header of a segment that holds nothing yet.
    const ahead = 'select (pg_current_wal_insert_lsn() - pg_current_wal_lsn())::int as bytes'
    const seen = new Set<number | undefined>()
    const until = performance.now() + 2 * soon.maxLagMs
    while (performance.now() < until) {
      const [row] = await admin.query<{ bytes: number }>(ahead)
      seen.add(row?.bytes)
      expect(replicasOf(pool).stats().replicas).toMatchObject([{ state: 'fit' }, { state: 'fit' }])
      await setTimeout(50)
    }
    expect([...seen]).toContain(40)
  }, 60_000)

  it('F3: of a replica that has lost its primary grows as soon as anything is written, though it shows all it ever received', async () => {
    const pool = createPool(servers.primary.url(), {
      replicas: { connections: servers.standbys.map((one) => one.url()), ...soon },
      resilience,
    })
    open.push(pool)
    await states({ pool }, 'fit', 'fit')
    const [row] = await standby(0).admin.query<{ info: string }>(`select current_setting('primary_conninfo') as info`)
    await standby(0).server.configure({ primary_conninfo: '' })
    await servers.primary.admin.query(`insert into marks values ('one')`)
    await states({ pool }, 'lagging', 'fit')
    await standby(0).server.configure({ primary_conninfo: row?.info ?? '' })
    await states({ pool }, 'fit', 'fit')
  }, 60_000)
})
