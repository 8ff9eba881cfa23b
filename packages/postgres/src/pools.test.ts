// Several pools by name, and pools that outlive a module: what they are made with, and what is refused. What they do on a
// server is in test/integration/registry.test.ts.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { InvalidOptionsError, type OptionProblem } from '@moorings/core'
import postgres from 'postgres'
import { createClient } from './client.js'
import { type CreatePoolOptions, createPool, PostgresPool } from './pool.js'
import { createPools, type NamedPoolOptions, type PostgresPools } from './pools.js'

const url = 'postgres://app:hunter2@db.test/shop'
const kept = Symbol.for('moorings.shared.1')
const { env } = process
const keptEnvironment = { ...env }

beforeEach(() => {
  for (const name of Object.keys(env)) if (name.startsWith('PG')) delete env[name]
})
afterEach(async () => {
  Object.assign(env, keptEnvironment)
  const shared: unknown = Reflect.get(globalThis, kept)
  if (!(shared instanceof Map)) return
  for (const { pool } of shared.values()) await pool.close()
  Reflect.deleteProperty(globalThis, kept)
})

function problemsOf(make: () => unknown): readonly OptionProblem[] {
  try {
    make()
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems
    throw error
  }
  throw new Error('these options were accepted')
}

/** What only somebody who does without types can write. */
function untyped(pools: unknown, ...defaults: unknown[]): readonly OptionProblem[] {
  return problemsOf(() => Reflect.apply(createPools, undefined, [pools, ...defaults]))
}

describe('createPools', () => {
  it('makes a pool of each connection, called by its key in events', () => {
    const pools = createPools({
      primary: url,
      replica: { connection: { host: 'replica.test', user: 'app' }, resilience: { pool: { max: 30 } } },
      'tenant a': new URL(url),
      adopted: postgres(url, { max: 7 }),
    })
    expect(pools.names).toEqual(['primary', 'replica', 'tenant a', 'adopted'])
    expect(pools.names.map((name) => pools.get(name).name)).toEqual(pools.names)
    expect(pools.get('primary').driver.parsed.endpoints).toEqual([{ host: 'db.test', port: 5432 }])
    expect(pools.get('replica').driver.parsed.endpoints).toEqual([{ host: 'replica.test', port: 5432 }])
    expect(pools.names.map((name) => pools.get(name).resilience.pool.max)).toEqual([10, 30, 10, 7])
    expect(pools.get('adopted')).toBeInstanceOf(PostgresPool)
  })

  it('gives each pool the defaults, option by option, unless it says otherwise', () => {
    const logger = { debug() {}, info() {}, warn() {}, error() {} }
    const own = { ...logger }
    const pools = createPools(
      {
        plain: url,
        own: {
          connection: url,
          resilience: { pool: { max: 30, min: undefined, scaling: { up: 0.9 } }, logger: own },
        },
        fixed: { connection: url, resilience: { pool: { scaling: false }, logger: undefined } },
        adopted: postgres(url, { max: 7 }),
      },
      {
        resilience: { pool: { max: 20, min: 5, scaling: { down: 0.1 } }, statement: { timeoutMs: 5_000 }, logger },
      },
    )
    const made = pools.names.map((name) => pools.get(name).resilience)
    expect(made.map(({ pool }) => pool.max)).toEqual([20, 30, 20, 20])
    expect(made.map(({ pool }) => pool.min)).toEqual([5, 5, 5, 5])
    expect(made.map(({ pool }) => pool.scaling)).toEqual([
      { up: 0.8, down: 0.1, step: 0.2, everyMs: 60_000 },
      { up: 0.9, down: 0.1, step: 0.2, everyMs: 60_000 },
      false,
      { up: 0.8, down: 0.1, step: 0.2, everyMs: 60_000 },
    ])
    expect(made.map(({ statement }) => statement.timeoutMs)).toEqual([5_000, 5_000, 5_000, 5_000])
    expect(made.map((resilience) => resilience.logger === logger)).toEqual([true, false, true, true])
    expect(made[1]?.logger).toBe(own)
  })

  it('takes an object with `connection` beside postgres.js options for a connection with startup parameters', () => {
    const primary = { host: 'db.test', connection: { application_name: 'shop' } }
    const parsed: unknown = postgres(url, { connection: { application_name: 'parsed' } }).options
    const pools: PostgresPools = Reflect.apply(createPools, undefined, [{ primary, parsed }])
    const names = pools.names.map((name) => pools.get(name).driver.parsed.library.connection.application_name)
    expect(names).toEqual(['shop', 'parsed'])
  })

  it('tells everything that is wrong with any pool at once, where it is, without a password', () => {
    const problems = untyped(
      {
        primary: 'mysql://app:hunter2@db.test/shop',
        replica: {
          connection: { host: 'db.test', port: 'hunter2@', password: 'hunter2' },
          resilience: { pool: { max: 0 } },
        },
        'tenant a': { connection: url, resilence: {}, name: 'other', shared: 'yes' },
        missing: undefined,
        forgotten: { connection: undefined },
        alone: { resilience: {} },
        mixed: { connection: url, host: 'db.test' },
        beside: { connection: { host: 'db.test' }, resilience: {}, max: 5 },
        inside: { connection: { host: 'db.test', max: 5 } },
        timed: { host: 'db.test', connect_timeout: 5 },
      },
      { resilience: { statement: { timeoutMs: -1 } } },
    )
    expect(problems.map(({ path }) => path)).toEqual([
      'pools.primary',
      'defaults.resilience.statement.timeoutMs',
      'pools.replica.connection.port',
      'pools.replica.resilience.pool.max',
      'pools["tenant a"].resilence',
      'pools["tenant a"].shared',
      'pools["tenant a"].name',
      'pools.missing',
      'pools.forgotten.connection',
      'pools.alone.connection',
      'pools.mixed.host',
      'pools.beside.max',
      'pools.inside.connection.max',
      'pools.timed.connect_timeout',
    ])
    expect(JSON.stringify(problems)).not.toContain('hunter2')
    expect(problems.find(({ path }) => path.endsWith('resilence'))?.allowed).toContain('did you mean resilience?')
    expect(problems.find(({ path }) => path.endsWith('name'))?.allowed).toContain('its key')
  })

  it('says of a value whose it is: the pool’s, or the defaults’', () => {
    expect(
      untyped(
        { a: { connection: url, resilience: { pool: { max: 3 } } }, b: url, c: { connection: url, resilience: 5 } },
        { resilience: { pool: { min: 7, wrong: 1 } } },
      ),
    ).toMatchObject([
      { path: 'defaults.resilience.pool.wrong' },
      { path: 'defaults.resilience.pool.min', given: '7', allowed: 'an integer >= 0 and <= max (3)' },
      { path: 'pools.c.resilience', given: '5' },
    ])
    const both = { connection: url, resilience: { pool: { min: 7, maxUses: -1, 'no word': 1 } } }
    expect(untyped({ both }, { resilience: { pool: { max: 3, maxUses: 5 } } })).toMatchObject([
      { path: 'pools.both.resilience.pool.maxUses', given: '-1' },
      { path: 'pools.both.resilience.pool["no word"]' },
      { path: 'pools.both.resilience.pool.min', given: '7' },
    ])
  })

  it.each<[string, unknown, unknown, string[]]>([
    ['a URL instead of names', url, {}, ['pools']],
    ['a URL object instead of names', new URL(url), {}, ['pools']],
    ['a client instead of names', postgres(url), {}, ['pools']],
    ['nothing', undefined, undefined, ['pools']],
    ['a name in the defaults', {}, { name: 'a' }, ['defaults.name']],
    ['defaults that are none', {}, 'max', ['defaults']],
    ['resilience that is none', {}, { resilience: 'high' }, ['defaults.resilience']],
    ['a wrong flag in the defaults', {}, { shared: 1 }, ['defaults.shared']],
    ['two of them', null, null, ['pools', 'defaults']],
  ])('refuses %s', (_, pools, defaults, paths) => {
    const problems = untyped(pools, defaults)
    expect(problems.map(({ path }) => path)).toEqual(paths)
    expect(JSON.stringify(problems)).not.toContain('hunter2')
  })

  it('shares those pools that are to be shared', () => {
    const make = () => createPools({ a: url, b: { connection: url, shared: false } }, { shared: true })
    const [before, after] = [make(), make()]
    expect(after.get('a')).toBe(before.get('a'))
    expect(after.get('b')).not.toBe(before.get('b'))
  })
})

describe('createPool with `shared`', () => {
  const options: CreatePoolOptions = { name: 'main', shared: true }

  it('gives the pool of that name again, and without it another one', () => {
    const pool = createPool(url, options)
    expect(pool.name).toBe('main')
    expect(createPool(url, options)).toBe(pool)
    expect(createPool(url, { name: 'main' })).not.toBe(pool)
    expect(createPool(url, { name: 'main', shared: false })).not.toBe(pool)
    expect(createPool(url, { ...options, name: 'other' })).not.toBe(pool)
  })

  it('keeps nothing global unless it is asked for', () => {
    const before = Reflect.ownKeys(globalThis)
    createPool(url)
    createPool(url, { name: 'main', shared: false })
    createPools({ main: url })
    expect(Reflect.ownKeys(globalThis)).toEqual(before)
    createPool(url, options)
    createPool(url, { ...options, name: 'other' })
    expect(Reflect.ownKeys(globalThis).filter((key) => !before.includes(key))).toEqual([kept])
  })

  it.each<[string, () => readonly [Parameters<typeof createPool>[0], CreatePoolOptions?]]>([
    ['as a URL object', () => [new URL(url)]],
    ['as options', () => [{ host: 'db.test', user: 'app', password: 'hunter2', database: 'shop' }]],
    ['with the defaults written out', () => [url, { resilience: { pool: { max: 10 }, hooks: {} } }]],
    ['as a client', () => [postgres(url, { connect_timeout: 10 })]],
  ])('knows what it was made with when it is written otherwise: %s', (_, write) => {
    const pool = createPool(url, options)
    const [connection, own] = write()
    expect(createPool(connection, { ...options, ...own })).toBe(pool)
  })

  it('knows functions by their source, and clients by their options', () => {
    const make = () =>
      createPool(
        { host: 'db.test', password: () => 'hunter2', types: {} },
        { ...options, resilience: { hooks: { beforeConnect: () => ({ user: 'app' }) } } },
      )
    const pool = make()
    expect(make()).toBe(pool)
    const client = () => createPool(postgres(url, { max: 3 }), { ...options, name: 'client' })
    const adopted = client()
    expect(client()).toBe(adopted)
    expect(createPool(postgres(url, { max: 4 }), { ...options, name: 'client' })).not.toBe(adopted)
  })

  it.each<[string, Parameters<typeof createPool>[0], CreatePoolOptions]>([
    ['another database', 'postgres://app:hunter2@db.test/other', {}],
    ['another password', 'postgres://app:hunter3@db.test/shop', {}],
    ['a password function', { host: 'db.test', user: 'app', password: () => 'hunter2', database: 'shop' }, {}],
    ['TLS', `${url}?sslmode=require`, {}],
    ['another option', url, { resilience: { pool: { max: 11 } } }],
  ])('makes another pool of %s, and closes the one before', async (_, connection, own) => {
    const pool = createPool(url, options)
    const next = createPool(connection, { ...options, ...own })
    expect(next).not.toBe(pool)
    expect(pool.closed).toBe(true)
    expect(next.closed).toBe(false)
    expect(createPool(connection, { ...options, ...own })).toBe(next)
  })

  it('makes another pool when the environment says otherwise', () => {
    env.PGHOST = 'a.test'
    const pool = createPool({}, options)
    env.PGHOST = 'b.test'
    expect(createPool({}, options)).not.toBe(pool)
  })

  it('makes another pool of one that was closed', async () => {
    const pool = createPool(url, options)
    await pool.close()
    expect(createPool(url, options).closed).toBe(false)
  })

  it('keeps the one before when the new options are wrong', () => {
    const pool = createPool(url, options)
    expect(problemsOf(() => createPool('mysql://h', options))).toHaveLength(1)
    expect(problemsOf(() => createPool(url, { ...options, resilience: { pool: { max: 0 } } }))).toHaveLength(1)
    expect(pool.closed).toBe(false)
    expect(createPool(url, options)).toBe(pool)
  })

  it.each<[string, object, string[]]>([
    ['without a name', { shared: true }, ['options.name']],
    ['with an empty name', { shared: true, name: '' }, ['options.name']],
    ['unless it is true or false', { shared: 'main' }, ['options.shared']],
    ['with a name that is none, beside a typo', { shared: true, name: 5, nam: '' }, ['options.nam', 'options.name']],
  ])('is refused %s', (_, wrong, paths) => {
    expect(problemsOf(() => createPool(url, wrong)).map(({ path }) => path)).toEqual(paths)
  })

  it('is for createPool to do, not for a pool itself', () => {
    expect(problemsOf(() => new PostgresPool(url, { name: 'main', ...{ shared: true } }))).toMatchObject([
      { path: 'options.shared' },
    ])
  })
})

describe('another copy of the package', () => {
  it('knows our pools for pools, and nothing else', async () => {
    jest.resetModules()
    const other = await import('./index.js')
    expect(other.PostgresPool).not.toBe(PostgresPool)
    const pool = createPool(url)
    expect(pool).toBeInstanceOf(other.PostgresPool)
    expect(other.createClient(pool).pool).toBe(pool)
    expect(createClient(other.createPool(url))).toBeInstanceOf(Function)
    for (const value of [undefined, null, 'pool', {}, () => {}, { driver: pool.driver }]) {
      expect(value instanceof other.PostgresPool).toBe(false)
      expect(problemsOf(() => Reflect.apply(other.createClient, undefined, [value]))).toHaveLength(1)
    }
    class Special extends PostgresPool {}
    expect(new Special(url)).toBeInstanceOf(other.PostgresPool)
    expect(new Special(url)).toBeInstanceOf(Special)
    expect(pool).not.toBeInstanceOf(Special)
  })

  it('finds the shared pool that we have made', async () => {
    const options = { name: 'main', shared: true }
    const pool = createPool(url, options)
    jest.resetModules()
    const other = await import('./index.js')
    expect(other.createPool(url, options)).toBe(pool)
  })
})

it('has types that know the names', () => {
  const pools = createPools({ primary: url, replica: { connection: url } satisfies NamedPoolOptions })
  const primary: PostgresPool = pools.get('primary')
  expect(primary.name).toBe('primary')
  // @ts-expect-error there is no such pool
  expect(() => pools.get('tenant')).toThrow(InvalidOptionsError)
})
