import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { type Node, type Replicated, startReplicated } from './replicated.js'
import { until } from './until.js'

async function asked<Row>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000, query_timeout: 30_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

function rows(node: Node, table: string): Promise<{ n: number }[]> {
  return asked(node.url(), `select n from ${table} order by n`)
}

function exists(set: Replicated, place: number): Node {
  const node = set.nodes[place]
  if (!node) throw new Error(`there is no node ${place}`)
  return node
}

describe('a primary with two standbys', () => {
  let set: Replicated
  beforeAll(async () => {
    set = await startReplicated({ standbys: 2 })
  })
  afterAll(() => set?.stop())

  test('hands on what the primary commits, and only the primary takes writes', async () => {
    await asked(set.primary.url(), 'create table streamed as select 1 as n')
    await set.caughtUp()
    for (const standby of set.standbys) {
      expect(await rows(standby, 'streamed')).toEqual([{ n: 1 }])
      await expect(asked(standby.url(), 'insert into streamed values (2)')).rejects.toMatchObject({ code: '25006' })
    }
  })

  test('has a proxy before each, whose faults the others do not feel', async () => {
    const [standby] = set.standbys
    expect(new Set(set.ports).size).toBe(3)
    standby?.proxy.refuse()
    await expect(asked(standby?.url() ?? '', 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await rows(set.primary, 'streamed')).toEqual([{ n: 1 }])
    await standby?.proxy.restore()
    expect(await rows(exists(set, 1), 'streamed')).toEqual([{ n: 1 }])
  })

  test('shows a standby that pauses its replay as one that lags, until it resumes', async () => {
    const { primary } = set
    const standby = exists(set, 1)
    await standby.pauseReplay()
    const [after] = await primary.admin.query<{ lsn: string }>(
      `with there as (insert into streamed values (2)) select pg_current_wal_insert_lsn()::text as lsn`,
    )
    const received = () => standby.admin.query('select pg_last_wal_receive_lsn() >= $1::pg_lsn as there', [after?.lsn])
    await until(async () => (await received())[0]?.there, { what: 'the standby to receive the row' })
    expect(await rows(standby, 'streamed')).toEqual([{ n: 1 }])
    await standby.resumeReplay()
    await set.caughtUp()
    expect(await rows(standby, 'streamed')).toEqual([{ n: 1 }, { n: 2 }])
  })

  test('lets a standby lag by a time', async () => {
    const standby = exists(set, 2)
    await standby.delayReplay(3_600_000)
    await set.primary.admin.query('insert into streamed values (3)')
    const waits = `select wait_event from pg_stat_activity where wait_event = 'RecoveryApplyDelay'`
    await until(async () => (await standby.admin.query(waits)).length === 1, { what: 'the standby to hold it back' })
    expect(await rows(standby, 'streamed')).toEqual([{ n: 1 }, { n: 2 }])
    await standby.delayReplay(0)
    await set.caughtUp()
    expect(await rows(standby, 'streamed')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  test('demotes the primary to read-only, for connections that exist and for new ones, and back', async () => {
    const { primary } = set
    const client = new pg.Client({ connectionString: primary.url() })
    await client.connect()
    await primary.makeReadOnly()
    await expect(asked(primary.url(), 'create table refused ()')).rejects.toMatchObject({ code: '25006' })
    const refused = () =>
      client.query('create table if not exists streamed ()').then(
        () => '',
        ({ code }) => code,
      )
    await until(async () => (await refused()) === '25006', { what: 'the old connection to be refused' })
    await primary.makeReadOnly(false)
    await asked(primary.url(), 'insert into streamed values (4)')
    await client.end()
  })

  test('survives the crash of its primary: a promoted standby takes writes, and the other one follows it', async () => {
    const old = set.primary
    const next = exists(set, 1)
    await set.caughtUp()
    await old.server.kill('SIGKILL')
    await expect(asked(old.url(), 'select 1')).rejects.toMatchObject({ code: 'ECONNRESET' })
    await set.failOver(next)
    expect(set.primary).toBe(next)
    expect(set.standbys).toEqual([old, exists(set, 2)])
    await asked(next.url(), 'insert into streamed values (5)')
    await set.caughtUp()
    expect(await rows(exists(set, 2), 'streamed')).toHaveLength(5)
  })

  test('takes the old primary back with a fresh copy, behind the same proxy, when its data went its own way', async () => {
    const old = exists(set, 0)
    const { port } = old.proxy
    await old.server.restart()
    // It still takes itself for the primary.
    await asked(old.url(), 'insert into streamed values (666)')
    await set.rejoin(old)
    expect(old.proxy.port).toBe(port)
    await set.caughtUp()
    expect((await rows(old, 'streamed')).map(({ n }) => n)).toEqual([1, 2, 3, 4, 5])
    await expect(asked(old.url(), 'insert into streamed values (6)')).rejects.toMatchObject({ code: '25006' })
  })

  test('switches over without losing anything, and the old primary is a standby afterwards', async () => {
    const old = set.primary
    const next = exists(set, 0)
    await asked(old.url(), 'insert into streamed values (7)')
    await set.switchOver(next)
    expect(set.primary).toBe(next)
    await asked(next.url(), 'insert into streamed values (8)')
    await set.caughtUp()
    for (const node of set.nodes) {
      expect((await rows(node, 'streamed')).map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 7, 8])
    }
    await expect(asked(old.url(), 'insert into streamed values (9)')).rejects.toMatchObject({ code: '25006' })
  })
})

describe('synchronous replication', () => {
  test('makes COMMIT wait for the standby, and a promoted standby waits for nobody', async () => {
    const set = await startReplicated({ synchronous: true })
    try {
      const { primary } = set
      const standby = exists(set, 1)
      await asked(primary.url(), 'create table awaited as select 1 as n')
      await standby.server.freeze()
      let told = false
      const write = asked(primary.url(), 'insert into awaited values (2)').then(() => {
        told = true
      })
      const waits = `select from pg_stat_activity where wait_event = 'SyncRep'`
      await until(async () => (await primary.admin.query(waits)).length === 1, { what: 'the COMMIT to wait' })
      expect(told).toBe(false)
      await standby.server.thaw()
      await write
      await primary.server.kill('SIGKILL')
      await set.failOver(standby)
      await asked(standby.url(), 'insert into awaited values (3)')
      expect(await rows(standby, 'awaited')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    } finally {
      await set.stop()
    }
  })
})
