import { describe, expect, test } from '@jest/globals'
import pg from 'pg'
import { backends, connectAdmin, killBackends } from './admin.js'
import { createDatabase, serverUrl, withDatabase } from './database.js'
import { until } from './until.js'
import { useDatabase } from './use-database.js'

const database = useDatabase()

async function connectAs(applicationName: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: applicationName })
  client.on('error', () => {})
  await client.connect()
  return client
}

describe('a test database', () => {
  test('is empty, speaks UTF-8 and sorts by the locale C', async () => {
    const tables = await database.admin.query(`select * from pg_class where relnamespace = 'public'::regnamespace`)
    expect(tables).toEqual([])
    const [settings] = await database.admin.query(
      `select pg_encoding_to_char(encoding) as encoding, datcollate from pg_database where datname = current_database()`,
    )
    expect(settings).toEqual({ encoding: 'UTF8', datcollate: 'C' })
  })

  test('carries the name of its test file', () => {
    expect(database.name).toMatch(/^moorings_database_[0-9a-f]{8}$/)
  })

  test('can be dropped while clients are connected to it', async () => {
    const doomed = await createDatabase()
    const client = new pg.Client({ connectionString: doomed.url })
    const lost = new Promise((resolve) => client.on('error', resolve))
    await client.connect()
    await doomed.drop()
    await lost
    const names = await database.admin.query('select datname from pg_database where datname = $1', [doomed.name])
    expect(names).toEqual([])
  })

  test('may have a name that needs quoting', async () => {
    const odd = await createDatabase(`odd "name" of ${process.pid}`)
    expect(await odd.admin.query('select current_database() as name')).toEqual([{ name: odd.name }])
    await odd.drop()
  })

  test('is found at the server of the run', () => {
    expect(withDatabase(serverUrl(), database.name)).toBe(database.url)
  })
})

describe('the admin connection', () => {
  test('passes parameters and returns rows', async () => {
    expect(await database.admin.query('select $1::int + 1 as sum', [1])).toEqual([{ sum: 2 }])
  })

  test('reports an error and goes on', async () => {
    await expect(database.admin.query('select nonsense')).rejects.toMatchObject({ code: '42703' })
    expect(await database.admin.query('select 1 as one')).toEqual([{ one: 1 }])
  })

  test('reconnects after its backend was killed', async () => {
    const other = connectAdmin(database.url)
    const [before] = await other.query<{ pid: number }>('select pg_backend_pid() as pid')
    await killBackends(database.admin, 'pid = $1', [before?.pid])
    const after = await until(() => other.query<{ pid: number }>('select pg_backend_pid() as pid'), {
      what: 'the admin connection to come back',
    })
    expect(after[0]?.pid).not.toBe(before?.pid)
    await other.end()
  })
})

describe('backends', () => {
  test('lists the sessions of one application with their state', async () => {
    const client = await connectAs('listed')
    const other = await connectAs('not listed')
    await client.query('begin')
    const seen = await backends(database.admin, 'listed')
    expect(seen).toMatchObject([{ application_name: 'listed', state: 'idle in transaction', query: 'begin' }])
    await client.end()
    await other.end()
  })
})

describe('killBackends', () => {
  test('resolves when the chosen backends are gone, and spares the others', async () => {
    const chosen = await connectAs('chosen')
    const spared = await connectAs('spared')
    const busy = chosen.query('select pg_sleep(60)').catch((error: pg.DatabaseError) => error.code)
    await until(async () => (await backends(database.admin, 'chosen'))[0]?.state === 'active', {
      what: 'the query to run',
    })
    const killed = await killBackends(database.admin, 'application_name = $1', ['chosen'])
    expect(killed).toHaveLength(1)
    expect(await backends(database.admin, 'chosen')).toEqual([])
    expect(await busy).toBe('57P01')
    expect((await spared.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await spared.end()
  })

  test('resolves at once when there is nothing to kill', async () => {
    expect(await killBackends(database.admin, 'application_name = $1', ['nobody'])).toEqual([])
  })
})
