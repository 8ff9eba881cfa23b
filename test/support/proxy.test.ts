import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import postgres from 'postgres'
import { backends } from './admin.js'
import { freePort } from './free-port.js'
import { type FaultProxy, startProxy, targetOf } from './proxy.js'
import { until } from './until.js'
import { useDatabase } from './use-database.js'

const database = useDatabase()
const applicationName = 'through the proxy'
let proxy: FaultProxy

beforeEach(async () => {
  proxy = await startProxy({ target: targetOf(database.url) })
})

afterEach(async () => {
  await proxy.close()
  await untilBackends(0)
})

async function connected(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: proxy.through(database.url), application_name: applicationName })
  client.on('error', () => {})
  await client.connect()
  return client
}

function untilBackends(count: number): Promise<boolean> {
  return until(async () => (await backends(database.admin, applicationName)).length === count, {
    what: `the server to have ${count} connections of the proxy`,
  })
}

/** How a plain TCP connection to the proxy ends: with FIN, or with an error's code. */
async function ending(): Promise<string> {
  let end: string | undefined
  const socket = connect(proxy.port, proxy.host, () => socket.write('anything'))
  socket.once('end', () => {
    end = 'fin'
  })
  socket.once('error', (error: NodeJS.ErrnoException) => {
    end = error.code
  })
  try {
    return (await until(() => end, { what: 'the connection to end' })) ?? ''
  } finally {
    socket.destroy()
  }
}

describe('a plain wire', () => {
  test('carries pg and postgres.js, large values in both directions included', async () => {
    const large = 'x'.repeat(3_000_000)
    const client = await connected()
    expect((await client.query('select $1::text as large', [large])).rows).toEqual([{ large }])
    const sql = postgres(proxy.through(database.url), { max: 1 })
    expect([...(await sql`select ${large}::text as large`)]).toEqual([{ large }])
    await sql.end()
    await client.end()
  })

  test('passes the end of a connection on, from either side', async () => {
    const client = await connected()
    await client.end()
    await untilBackends(0)
    await until(() => proxy.open === 0, { what: 'the proxy to let go' })
    const other = await connected()
    const lost = new Promise((resolve) => other.once('end', resolve))
    await database.admin.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [
      applicationName,
    ])
    await lost
    await until(() => proxy.open === 0, { what: 'the proxy to let go' })
    expect(proxy.accepted).toBe(2)
  })

  test('resets its client when the server refuses', async () => {
    const nowhere = await startProxy({ target: { host: '127.0.0.1', port: 1 } })
    const client = new pg.Client({ connectionString: nowhere.through(database.url) })
    await expect(client.connect()).rejects.toMatchObject({ code: 'ECONNRESET' })
    await nowhere.close()
  })
})

describe('counting', () => {
  test('counts a round trip for each answer that was waited for', async () => {
    const client = await connected()
    const before = proxy.traffic.roundTrips
    await client.query('select 1')
    expect(proxy.traffic.roundTrips - before).toBe(1)
    await client.query('select 2')
    await client.query('select 3')
    expect(proxy.traffic.roundTrips - before).toBe(3)
    await client.end()
  })

  test('counts a batch sent at once as one round trip', async () => {
    const sql = postgres(proxy.through(database.url), { max: 1, fetch_types: false, prepare: true })
    await sql.unsafe('select $1::int', [1], { prepare: true })
    const before = proxy.traffic.roundTrips
    await sql.unsafe('select $1::int', [2], { prepare: true })
    expect(proxy.traffic.roundTrips - before).toBe(1)
    await sql.end()
  })

  test('counts bytes and messages by connection, and all together', async () => {
    const first = await connected()
    const second = await connected()
    await first.query({ name: 'named', text: 'select $1::int', values: [1] })
    await first.query({ name: 'named', text: 'select $1::int', values: [2] })
    await second.query('select 1')
    const [one, two] = proxy.connections
    expect(one?.traffic.messages['to-server']).toMatchObject({
      StartupMessage: 1,
      Parse: 1,
      Bind: 2,
      Execute: 2,
      Sync: 2,
    })
    expect(one?.traffic.messages['to-client']).toMatchObject({ DataRow: 2, ReadyForQuery: 3 })
    expect(two?.traffic.messages['to-server']).toMatchObject({ Query: 1 })
    const bytes = proxy.connections.map(({ traffic }) => traffic.bytes['to-client'])
    expect(proxy.traffic.bytes['to-client']).toBe(bytes.reduce((sum, each) => sum + each, 0))
    expect(proxy.traffic.messages['to-server'].StartupMessage).toBe(2)
    await first.end()
    await second.end()
  })

  test('lists the SQL executed, prepared statements each time they run', async () => {
    const client = await connected()
    await client.query('begin')
    await client.query({ name: 'named', text: 'select $1::int', values: [1] })
    await client.query({ name: 'named', text: 'select $1::int', values: [2] })
    await client.query('commit')
    expect(proxy.statements).toEqual(['begin', 'select $1::int', 'select $1::int', 'commit'])
    expect(proxy.connections[0]?.statements).toEqual(proxy.statements)
    expect(proxy.connections[0]?.state.startup).toMatchObject({ application_name: applicationName })
    await client.end()
  })

  test('lists CancelRequests by the process they mean', async () => {
    const sql = postgres(proxy.through(database.url), { max: 1, fetch_types: false })
    const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
    const slow = sql`select pg_sleep(60)`
    const ended = slow.catch((error: { code: string }) => error.code)
    const state = () => database.admin.query(`select 1 from pg_stat_activity where query like 'select pg_sleep(60)%'`)
    await until(async () => (await state()).length === 1, { what: 'the query to run' })
    slow.cancel()
    expect(await ended).toBe('57014')
    expect(proxy.cancelRequests).toEqual([row?.pid])
    await sql.end()
  })
})

describe('delay', () => {
  test('lets each byte arrive later, in order, in both directions', async () => {
    const client = await connected()
    proxy.delay(50)
    const start = performance.now()
    for (const n of [1, 2, 3]) expect((await client.query('select $1::int as n', [n])).rows).toEqual([{ n }])
    // There and back three times; a timer may be early by less than a millisecond.
    expect(performance.now() - start).toBeGreaterThan(290)
    proxy.delay(0)
    await client.end()
  })

  test('holds an end back as well, so that it overtakes nothing', async () => {
    const client = await connected()
    proxy.delay(50)
    client.query('create table delayed as select 1 as one').catch(() => {})
    await until(() => proxy.statements.length === 1, { what: 'the query to reach the proxy' })
    // With a query running, pg does not say goodbye but closes the socket.
    void client.end()
    await untilBackends(0)
    expect(await database.admin.query('select * from delayed')).toEqual([{ one: 1 }])
  })
})

describe('throttle', () => {
  test('limits the bytes per second', async () => {
    const client = await connected()
    proxy.throttle(200_000)
    const start = performance.now()
    const { rows } = await client.query(`select repeat('x', 50000) as text`)
    expect(rows[0].text).toHaveLength(50_000)
    expect(performance.now() - start).toBeGreaterThanOrEqual(240)
    proxy.throttle(undefined)
    await client.end()
  })
})

describe('swallow', () => {
  test('to-server: the server sees nothing, and both sockets stay open', async () => {
    const client = await connected()
    proxy.swallow('to-server')
    let settled = false
    const lost = client.query('create table swallowed ()').finally(() => {
      settled = true
    })
    lost.catch(() => {})
    await until(() => proxy.statements.includes('create table swallowed ()'), { what: 'the query to be swallowed' })
    await untilBackends(1)
    expect((await backends(database.admin, applicationName))[0]?.state).toBe('idle')
    expect(settled).toBe(false)
    expect(proxy.open).toBe(1)
  })

  test('to-client: the server does the work and its answer is lost', async () => {
    const client = await connected()
    proxy.swallow('to-client')
    client.query('create table done as select 1 as one').catch(() => {})
    const done = () => database.admin.query(`select from pg_class where relname = 'done'`)
    await until(async () => (await done()).length === 1, { what: 'the work to be done' })
    expect(proxy.open).toBe(1)
    expect(client.listenerCount('end')).toBe(0)
  })

  test('both: new connections are accepted and never answered', async () => {
    proxy.swallow()
    const client = new pg.Client({
      connectionString: proxy.through(database.url),
      connectionTimeoutMillis: 100,
    })
    await expect(client.connect()).rejects.toThrow('timeout')
    expect(proxy.accepted).toBe(1)
  })

  test('hides from the server that its client went away, until the wire is restored', async () => {
    const client = await connected()
    proxy.swallow()
    void client.end()
    await until(() => proxy.traffic.messages['to-server'].Terminate === 1, { what: 'the goodbye to be swallowed' })
    await untilBackends(1)
    await proxy.restore()
    await untilBackends(0)
  })

  test('leaves connections that lost nothing usable when the wire is restored, and the others dead', async () => {
    const lucky = await connected()
    const unlucky = await connected()
    proxy.swallow()
    unlucky.query('select 1').catch(() => {})
    await until(() => proxy.statements.includes('select 1'), { what: 'the query to be swallowed' })
    await proxy.restore()
    expect((await lucky.query('select 2 as two')).rows).toEqual([{ two: 2 }])
    expect(proxy.connections.map(({ open }) => open)).toEqual([true, true])
    expect(proxy.connections[1]?.traffic.messages['to-client'].DataRow).toBeUndefined()
  })

  test('of one connection spares the others', async () => {
    const dead = await connected()
    const alive = await connected()
    proxy.connections[0]?.swallow('both')
    dead.query('select 1').catch(() => {})
    expect((await alive.query('select 2 as two')).rows).toEqual([{ two: 2 }])
    expect(proxy.connections[0]?.traffic.messages['to-client'].DataRow).toBeUndefined()
  })
})

describe('where it stands, and where it leads', () => {
  test('listens where it is told to', async () => {
    const second = await startProxy({ target: targetOf(database.url), host: 'localhost', port: await freePort() })
    const client = new pg.Client({ connectionString: second.through(database.url) })
    await client.connect()
    expect([second.host, second.accepted]).toEqual(['localhost', 1])
    await client.end()
    await second.close()
  })

  test('leads new connections elsewhere, and those that exist on where they were', async () => {
    const client = await connected()
    const elsewhere = await startProxy({ target: targetOf(database.url) })
    proxy.leadTo(elsewhere)
    const other = await connected()
    await client.query('select 1')
    await other.query('select 2')
    expect(elsewhere.statements).toEqual(['select 2'])
    await client.end()
    await other.end()
    await elsewhere.close()
  })
})

describe('ending what exists', () => {
  test('resetAll sends RST to the clients and ends the server sessions', async () => {
    const client = await connected()
    const error = new Promise<NodeJS.ErrnoException>((resolve) => client.on('error', resolve))
    proxy.resetAll()
    expect((await error).code).toBe('ECONNRESET')
    await untilBackends(0)
    expect((await (await connected()).query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })

  test('closeAll sends FIN, after what is on its way', async () => {
    const client = await connected()
    proxy.delay(30)
    const answer = client.query('select 1 as one')
    await until(() => proxy.traffic.messages['to-client'].DataRow === 1, { what: 'the answer to reach the proxy' })
    const error = new Promise<NodeJS.ErrnoException>((resolve) => client.on('error', resolve))
    proxy.closeAll()
    expect((await answer).rows).toEqual([{ one: 1 }])
    expect(await error).toMatchObject({ message: 'Connection terminated unexpectedly' })
    await untilBackends(0)
  })

  test('resetAll ends also what closeAll is just closing', async () => {
    await connected()
    proxy.closeAll()
    proxy.resetAll()
    await until(() => proxy.open === 0, { what: 'the proxy to let go' })
  })

  test('close releases the port and every socket', async () => {
    await connected()
    await proxy.close()
    expect(proxy.open).toBe(0)
    expect(await ending()).toBe('ECONNREFUSED')
  })
})

describe('refuse', () => {
  test('closed: connecting is refused, and connections that exist go on', async () => {
    const client = await connected()
    proxy.refuse()
    expect(await ending()).toBe('ECONNREFUSED')
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
  })

  test('reset: the connection is accepted and then reset', async () => {
    proxy.refuse('reset')
    expect(await ending()).toBe('ECONNRESET')
  })

  test('fin: the connection is accepted and then ended', async () => {
    proxy.refuse('fin')
    expect(await ending()).toBe('fin')
    await until(() => proxy.open === 0, { what: 'the proxy to let go' })
  })

  test('silent: the connection is accepted and never answered, nor shown to the server', async () => {
    proxy.refuse('silent')
    const client = new pg.Client({ connectionString: proxy.through(database.url), connectionTimeoutMillis: 100 })
    await expect(client.connect()).rejects.toThrow('timeout')
    expect(proxy.accepted).toBe(1)
    expect(proxy.connections).toHaveLength(0)
    expect(proxy.open).toBe(1)
    const letGo = async () => {
      await proxy.restore()
      return proxy.open === 0
    }
    await until(letGo, { what: 'the proxy to let go of a client that gave up' })
  })

  test('ends with restore, on the same port', async () => {
    const { port } = proxy
    proxy.refuse('closed')
    expect(await ending()).toBe('ECONNREFUSED')
    await proxy.restore()
    expect(proxy.port).toBe(port)
    expect((await (await connected()).query('select 1 as one')).rows).toEqual([{ one: 1 }])
  })
})
