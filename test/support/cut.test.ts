import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import postgres from 'postgres'
import { backends } from './admin.js'
import { completes, executes, isCommit, isNamed } from './matchers.js'
import { type FaultProxy, startProxy, targetOf } from './proxy.js'
import type { CutOptions } from './rules.js'
import { until } from './until.js'
import { useDatabase } from './use-database.js'

const database = useDatabase()
const applicationName = 'cut'
let proxy: FaultProxy

beforeEach(async () => {
  await database.admin.query('drop table if exists written')
  await database.admin.query('create table written (id int)')
  proxy = await startProxy({ target: targetOf(database.url) })
})

afterEach(() => proxy.close())

/** A transaction of one insert; resolves with how it ended for the client. */
type Transaction = () => Promise<string>

function message(error: { code?: string; message: string }): string {
  return error.code ?? error.message
}

async function pgTransaction(run: (client: pg.Client, sql: string) => Promise<unknown>): Promise<string> {
  const client = new pg.Client({ connectionString: proxy.through(database.url), application_name: applicationName })
  client.on('error', () => {})
  await client.connect()
  await client.query('begin')
  await client.query('insert into written values (1)')
  return run(client, 'commit').then(() => 'committed', message)
}

const viaSimpleQuery: Transaction = () => pgTransaction((client, sql) => client.query(sql))

const viaUnnamedStatement: Transaction = () =>
  // An explicit query mode, as pg would take the simple protocol for a query without values.
  pgTransaction((client, text) => client.query({ text, queryMode: 'extended' } as pg.QueryConfig))

const viaPreparedStatement: Transaction = () =>
  pgTransaction(async (client, text) => {
    // Prepared and run before, so that the Execute that counts follows no Parse.
    const prepared = { name: 'the commit', text }
    await client.query(prepared)
    await client.query('begin')
    await client.query('insert into written values (2)')
    await client.query(prepared)
  })

const viaPostgresJs: Transaction = async () => {
  const sql = postgres(proxy.through(database.url), {
    max: 1,
    fetch_types: false,
    connection: { application_name: applicationName },
  })
  const outcome = await sql.begin((open) => open`insert into written values (1)`).then(() => 'committed', message)
  await sql.end({ timeout: 0 })
  return outcome
}

/** What is in the table once the server has no session left that could still change it. */
async function settledRows(): Promise<number[]> {
  await until(async () => (await backends(database.admin, applicationName)).length === 0, {
    what: 'the server to end the session',
  })
  const rows = await database.admin.query<{ id: number }>('select id from written order by id')
  return rows.map(({ id }) => id)
}

const commits = (options: Partial<CutOptions>): CutOptions => ({
  direction: 'to-server',
  match: isCommit,
  when: 'before',
  how: 'reset',
  ...options,
})

describe.each([
  ['a simple Query', viaSimpleQuery],
  ['an unnamed statement', viaUnnamedStatement],
  ['postgres.js', viaPostgresJs],
] as const)('a COMMIT sent as %s', (_, transaction) => {
  test('goes through without a rule', async () => {
    expect(await transaction()).toBe('committed')
    expect(proxy.statements.at(-1)).toBe('commit')
  })

  test.each(['reset', 'fin'] as const)('cut (%s) before it reaches the server: nothing is written', async (how) => {
    const cut = proxy.cutWhen(commits({ when: 'before', how }))
    expect(await transaction()).not.toBe('committed')
    expect(cut.fired).toBe(1)
    expect(await settledRows()).toEqual([])
  })

  test.each(['reset', 'fin'] as const)(
    'cut (%s) after it reached the server: the row is there, the answer is not',
    async (how) => {
      proxy.cutWhen(commits({ when: 'after', how }))
      expect(await transaction()).not.toBe('committed')
      expect(await settledRows()).toEqual([1])
    },
  )

  test.each(['reset', 'fin'] as const)(
    'its answer cut (%s) on the way back: the row is there, the answer is not',
    async (how) => {
      proxy.cutWhen(commits({ direction: 'to-client', when: 'before', how }))
      expect(await transaction()).not.toBe('committed')
      expect(await settledRows()).toEqual([1])
      expect(proxy.traffic.messages['to-client'].CommandComplete).toBeGreaterThan(0)
    },
  )
})

describe('a COMMIT that was prepared and run before', () => {
  const second = (options: Partial<CutOptions>) => {
    let seen = 0
    const match: CutOptions['match'] = (one, connection) => {
      if (isCommit(one, connection)) seen += 1
      return seen === 2
    }
    return commits({ ...options, match })
  }

  test('cut before the Execute reaches the server: only the first transaction is written', async () => {
    proxy.cutWhen(second({ when: 'before' }))
    expect(await viaPreparedStatement()).not.toBe('committed')
    expect(await settledRows()).toEqual([1])
  })

  test('cut after the Execute reached the server: both are', async () => {
    proxy.cutWhen(second({ when: 'after' }))
    expect(await viaPreparedStatement()).not.toBe('committed')
    expect(await settledRows()).toEqual([1, 2])
    // Cut at the Execute itself: the Sync that was sent with it is gone.
    expect(proxy.traffic.messages['to-server'].Parse).toBe(1)
  })

  test('its answer cut on the way back: both are', async () => {
    proxy.cutWhen(second({ direction: 'to-client' }))
    expect(await viaPreparedStatement()).not.toBe('committed')
    expect(await settledRows()).toEqual([1, 2])
  })
})

describe('a swallowed COMMIT', () => {
  const session = () => backends(database.admin, applicationName)

  test('(before) leaves the transaction open on the server and the client waiting', async () => {
    const cut = proxy.cutWhen(commits({ when: 'before', how: 'swallow' }))
    const outcome = viaSimpleQuery()
    await until(() => cut.fired === 1, { what: 'the COMMIT to be swallowed' })
    expect(await session()).toMatchObject([{ state: 'idle in transaction' }])
    proxy.resetAll()
    expect(await outcome).toBe('ECONNRESET')
    expect(await settledRows()).toEqual([])
  })

  test('(after) leaves the row written, the session idle and the client waiting', async () => {
    const cut = proxy.cutWhen(commits({ when: 'after', how: 'swallow' }))
    const outcome = viaSimpleQuery()
    await until(async () => cut.fired === 1 && (await session())[0]?.state === 'idle', {
      what: 'the COMMIT to be done',
    })
    proxy.resetAll()
    expect(await outcome).toBe('ECONNRESET')
    expect(await settledRows()).toEqual([1])
  })
})

describe('a rule', () => {
  test('fires as often as it was told', async () => {
    const cut = proxy.cutWhen(commits({ when: 'before', times: 2 }))
    const outcomes = [await viaSimpleQuery(), await viaSimpleQuery(), await viaSimpleQuery()]
    expect(outcomes.map((outcome) => outcome === 'committed')).toEqual([false, false, true])
    expect(cut.fired).toBe(2)
  })

  test('fires no more once removed, or once the proxy is restored', async () => {
    const removed = proxy.cutWhen(commits({}))
    removed.remove()
    expect(await viaSimpleQuery()).toBe('committed')
    proxy.cutWhen(commits({}))
    await proxy.restore()
    expect(await viaSimpleQuery()).toBe('committed')
  })

  test('after an answer lets that answer through', async () => {
    proxy.cutWhen({ direction: 'to-client', match: isNamed('ReadyForQuery'), when: 'after', how: 'fin', times: 3 })
    const client = new pg.Client({ connectionString: proxy.through(database.url) })
    const ended = new Promise<Error>((resolve) => client.on('error', resolve))
    await client.connect()
    expect((await ended).message).toBe('Connection terminated unexpectedly')
  })

  test('after a reset lets the answer through that it follows', async () => {
    proxy.cutWhen(commits({ direction: 'to-client', match: isNamed('ReadyForQuery'), when: 'after', how: 'reset' }))
    const client = new pg.Client({ connectionString: proxy.through(database.url) })
    const ended = new Promise<NodeJS.ErrnoException>((resolve) => client.on('error', resolve))
    await client.connect()
    expect((await ended).code).toBe('ECONNRESET')
  })

  test('may look at the SQL, the tag and the connection', async () => {
    const sql = executes(/^insert/)
    const statement = proxy.cutWhen({
      direction: 'to-server',
      match: (one, connection) => sql(one, connection) && connection.transactionStatus === 'open',
      when: 'before',
      how: 'reset',
    })
    const answer = proxy.cutWhen({ direction: 'to-client', match: completes('INSERT'), when: 'before', how: 'reset' })
    await expect(viaSimpleQuery()).rejects.toBeDefined()
    await expect(viaSimpleQuery()).rejects.toBeDefined()
    expect([statement.fired, answer.fired]).toEqual([1, 1])
  })

  test('holds for a message far longer than what is kept of it', async () => {
    proxy.cutWhen({ direction: 'to-server', match: executes(/^insert/), when: 'after', how: 'reset' })
    const client = new pg.Client({ connectionString: proxy.through(database.url), application_name: applicationName })
    client.on('error', () => {})
    await client.connect()
    const values = Array.from({ length: 100_000 }, (_, index) => `(${index})`).join()
    await expect(client.query(`insert into written values ${values}`)).rejects.toMatchObject({ code: 'ECONNRESET' })
    expect(await settledRows()).toHaveLength(100_000)
  })

  test('delivers what it let pass even over a slow wire', async () => {
    proxy.delay(30)
    proxy.cutWhen(commits({ when: 'after' }))
    expect(await viaSimpleQuery()).not.toBe('committed')
    expect(await settledRows()).toEqual([1])
  })
})
