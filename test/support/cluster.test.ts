import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import postgres from 'postgres'
import { type Admin, connectAdmin, killBackends } from './admin.js'
import { type Cluster, startCluster } from './cluster.js'
import { childrenOf, commandLine, signal, stateOf } from './processes.js'

let cluster: Cluster
let admin: Admin

beforeAll(async () => {
  cluster = await startCluster({ settings: { application_name: "it's set" } })
  admin = connectAdmin(cluster.url)
})

afterAll(async () => {
  await admin.end()
  await cluster.stop()
})

async function setting(name: string): Promise<string> {
  const [row] = await admin.query<{ value: string }>('select current_setting($1) as value', [name])
  return row?.value ?? ''
}

describe('a started cluster', () => {
  test('answers at its URL, with the version it names', async () => {
    expect(await setting('server_version')).toBe(cluster.version)
    expect(Number.parseInt(cluster.version, 10)).toBeGreaterThanOrEqual(18)
  })

  test('has settings that suit tests, and those asked for', async () => {
    expect(await setting('fsync')).toBe('off')
    expect(await setting('max_connections')).toBe('200')
    expect(await setting('max_prepared_transactions')).toBe('10')
    expect(await setting('listen_addresses')).toBe('127.0.0.1')
    expect(await setting('server_encoding')).toBe('UTF8')
    const client = new pg.Client({ connectionString: cluster.url })
    await client.connect()
    expect((await client.query('show application_name')).rows).toEqual([{ application_name: "it's set" }])
    await client.end()
  })

  test('refuses a wrong password', async () => {
    const { host, port, user } = cluster
    const client = new pg.Client({ host, port, user, password: 'wrong', database: 'postgres' })
    await expect(client.connect()).rejects.toMatchObject({ code: '28P01' })
  })

  test('answers on its unix socket too', async () => {
    const { socketDir: host, port, user, password } = cluster
    const client = new pg.Client({ host, port, user, password, database: 'postgres' })
    await client.connect()
    expect((await client.query('select inet_client_addr() as address')).rows).toEqual([{ address: null }])
    await client.end()
  })

  test('keeps its data closed to other users', async () => {
    expect((await stat(cluster.dataDir)).mode & 0o077).toBe(0)
  })
})

describe('restart', () => {
  test.each(['smart', 'fast', 'immediate'] as const)(
    '(%s) brings the server back on its port, data kept',
    async (mode) => {
      await admin.query('create table if not exists kept as select 1 as one')
      // A smart shutdown waits for its clients.
      await admin.end()
      const before = cluster.pid
      await cluster.restart(mode)
      expect(cluster.pid).not.toBe(before)
      expect(await admin.query('select * from kept')).toEqual([{ one: 1 }])
    },
  )
})

describe('kill', () => {
  test('by SIGKILL takes every backend along, and restart recovers what was committed', async () => {
    await admin.query('create table committed as select 1 as one')
    const client = new pg.Client({ connectionString: cluster.url, statement_timeout: 30_000 })
    const lost = new Promise<Error>((resolve) => client.on('error', resolve))
    await client.connect()
    const rows = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const busy = client.query('select count(*) from generate_series(1, 1e12)').catch(() => 'cut')
    await cluster.kill('SIGKILL')
    expect(cluster.pid).toBeUndefined()
    await lost
    expect(await busy).toBe('cut')
    await expect(new pg.Client({ connectionString: cluster.url }).connect()).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
    await cluster.restart()
    expect(await commandLine(rows.rows[0]?.pid ?? 0)).toBe('')
    expect(await admin.query('select * from committed')).toEqual([{ one: 1 }])
  })
})

describe('restartSlowly', () => {
  test.each(['fast', 'immediate'] as const)('(%s) answers 57P03 until it may finish, data kept', async (mode) => {
    await admin.query('create table if not exists slow as select 1 as one')
    const slow = await cluster.restartSlowly(mode)
    for (const _ of [1, 2]) {
      await expect(new pg.Client({ connectionString: cluster.url }).connect()).rejects.toMatchObject({ code: '57P03' })
    }
    await slow.finish()
    expect(await admin.query('select * from slow')).toEqual([{ one: 1 }])
    // It keeps no trace of having been held.
    await cluster.restart()
    expect(await admin.query('select * from slow')).toEqual([{ one: 1 }])
  })

  test('may be given up', async () => {
    await cluster.restartSlowly()
    await cluster.restart('immediate')
    expect(await admin.query('select 1 as one')).toEqual([{ one: 1 }])
  })
})

describe('freeze', () => {
  test('leaves every connection silent, old or new, until thaw', async () => {
    const client = new pg.Client({ connectionString: cluster.url })
    await client.connect()
    await cluster.freeze()
    const states = await Promise.all([cluster.pid ?? 0, ...(await childrenOf(cluster.pid ?? 0))].map(stateOf))
    expect(new Set(states)).toEqual(new Set(['T']))
    const impatient = new pg.Client({ connectionString: cluster.url, connectionTimeoutMillis: 100 })
    await expect(impatient.connect()).rejects.toThrow('timeout')
    const answer = client.query('select 1 as one')
    await cluster.thaw()
    expect((await answer).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  test.each(['SIGINT', 'SIGKILL'] as const)('does not keep a server from being ended by %s', async (signal) => {
    await cluster.freeze()
    const children = await childrenOf(cluster.pid ?? 0)
    await cluster.kill(signal)
    expect(await Promise.all(children.map(commandLine))).toEqual(children.map(() => ''))
    await cluster.restart()
  })
})

describe('configure', () => {
  test('has new connections use the setting at once', async () => {
    await cluster.configure({ work_mem: '7MB' })
    const client = new pg.Client({ connectionString: cluster.url })
    await client.connect()
    expect((await client.query('show work_mem')).rows).toEqual([{ work_mem: '7MB' }])
    await client.end()
  })
})

describe('killBackends', () => {
  test('waits until a backend is gone that takes its time to die', async () => {
    const client = new pg.Client({ connectionString: cluster.url })
    client.on('error', () => {})
    await client.connect()
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pid = rows[0]?.pid ?? 0
    signal(pid, 'SIGSTOP')
    let killed: number[] | undefined
    const killing = killBackends(admin, 'pid = $1', [pid]).then((pids) => {
      killed = pids
    })
    // Each is answered after whatever the killing asked before.
    for (let look = 0; look < 5; look += 1) await admin.query('select 1')
    expect(killed).toBeUndefined()
    signal(pid, 'SIGCONT')
    await killing
    expect(killed).toEqual([pid])
  })
})

describe('enableTls', () => {
  test('lets clients connect that trust only the returned certificate', async () => {
    const { ca } = await cluster.enableTls()
    const sql = postgres(cluster.url, { max: 1, ssl: { ca, rejectUnauthorized: true } })
    expect([...(await sql`select ssl from pg_stat_ssl where pid = pg_backend_pid()`)]).toEqual([{ ssl: true }])
    await sql.end()
    const distrustful = new pg.Client({ connectionString: cluster.url, ssl: { rejectUnauthorized: true } })
    await expect(distrustful.connect()).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
  })
})

describe('a start that fails', () => {
  test("shows the end of the server's log, and leaves nothing", async () => {
    const attempt = startCluster({ settings: { shared_buffers: 'plenty' } })
    await expect(attempt).rejects.toThrow(/did not start: it ended with code 1.*invalid value.*"plenty"/s)
  })
})

describe('stop', () => {
  test('leaves neither a process nor a file, and may be called again', async () => {
    const short = await startCluster()
    const { pid, dataDir } = short
    await Promise.all([short.stop(), short.stop()])
    await short.stop()
    expect(await commandLine(pid ?? 0)).toBe('')
    expect(existsSync(dirname(dataDir))).toBe(false)
    await expect(short.restart()).rejects.toThrow('the cluster was stopped')
  })
})
