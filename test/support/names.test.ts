import dns from 'node:dns'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import pg from 'pg'
import postgres from 'postgres'
import { type Names, replaceNames, startOnOnePort } from './names.js'
import type { FaultProxy } from './proxy.js'
import { targetOf } from './proxy.js'
import { until } from './until.js'
import { useDatabase } from './use-database.js'

const database = useDatabase()
const name = 'database.test'
let names: Names
let port: number
let proxies: FaultProxy[]

beforeAll(async () => {
  const target = targetOf(database.url)
  ;({ port, proxies } = await startOnOnePort([target, target]))
})
afterAll(() => Promise.all(proxies.map((proxy) => proxy.close())))

beforeEach(() => {
  names = replaceNames()
})
afterEach(() => names.restore())

function url(): string {
  const named = new URL(database.url)
  named.hostname = name
  named.port = String(port)
  return named.href
}

function accepted(): number[] {
  return proxies.map((proxy) => proxy.accepted)
}

async function connectByName(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url(), connectionTimeoutMillis: 5_000 })
  await client.connect()
  return client
}

describe('a name', () => {
  test('leads to one server and then to another, with the same port, for pg and for postgres.js', async () => {
    const before = accepted()
    names.set(name, '127.0.0.2')
    const first = await connectByName()
    names.set(name, '127.0.0.3')
    const second = await connectByName()
    expect(accepted().map((count, place) => count - (before[place] ?? 0))).toEqual([1, 1])
    // A connection stays where it is.
    expect((await first.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    const sql = postgres(url(), { max: 1 })
    expect([...(await sql`select 2 as two`)]).toEqual([{ two: 2 }])
    expect(accepted().map((count, place) => count - (before[place] ?? 0))).toEqual([1, 2])
    expect(names.lookups(name)).toBe(3)
    await sql.end()
    await first.end()
    await second.end()
  })

  test('may mean several addresses, of which the next is tried when one refuses', async () => {
    names.set(name, '127.0.0.4', '127.0.0.3')
    const client = await connectByName()
    await client.end()
  })

  test('whose look-up hangs keeps a connect waiting until it means something', async () => {
    names.hang(name)
    let settled = false
    const connecting = connectByName().finally(() => {
      settled = true
    })
    await until(() => names.lookups(name) === 1, { what: 'the look-up' })
    await database.admin.query('select 1')
    expect(settled).toBe(false)
    names.set(name, '127.0.0.2')
    await (await connecting).end()
    names.hang(name)
    const impatient = new pg.Client({ connectionString: url(), connectionTimeoutMillis: 50 })
    await expect(impatient.connect()).rejects.toThrow('timeout')
  })

  test('that is not found, or cannot be asked for, fails the connect as the system does', async () => {
    names.fail(name)
    await expect(connectByName()).rejects.toMatchObject({ code: 'ENOTFOUND', hostname: name })
    names.fail(name, 'EAI_AGAIN')
    await expect(connectByName()).rejects.toMatchObject({ code: 'EAI_AGAIN' })
  })

  test('that nobody has set is looked up as ever', async () => {
    const { address } = await dns.promises.lookup('localhost', { family: 4 })
    expect(address).toBe('127.0.0.1')
  })

  test('means nothing any more once names are restored, also for a look-up that hangs', async () => {
    names.hang(name)
    const connecting = connectByName()
    const failed = expect(connecting).rejects.toMatchObject({ code: 'ENOTFOUND' })
    await until(() => names.lookups(name) === 1, { what: 'the look-up' })
    names.restore()
    await failed
    names = replaceNames()
    expect(() => replaceNames()).toThrow('restore them first')
  })

  test('is answered in every form in which it can be asked', async () => {
    names.set(name, '::1', '127.0.0.2')
    const asked = (...rest: unknown[]) =>
      new Promise((resolve) => Reflect.apply(dns.lookup, dns, [name, ...rest, (...all: unknown[]) => resolve(all)]))
    expect(await asked()).toEqual([null, '::1', 6])
    expect(await asked(4)).toEqual([null, '127.0.0.2', 4])
    const both = [
      { address: '::1', family: 6 },
      { address: '127.0.0.2', family: 4 },
    ]
    expect(await asked({ all: true })).toEqual([null, both])
    expect(await dns.promises.lookup(name, { family: 4 })).toEqual({ address: '127.0.0.2', family: 4 })
    expect(await dns.promises.lookup(name, { all: true })).toEqual(both)
  })
})
