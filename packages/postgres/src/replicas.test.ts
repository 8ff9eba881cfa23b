// A pool with replicas: what they are made with, and what is refused. What they do on servers is in test/integration.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { InvalidOptionsError, type OptionProblem } from '@moorings/core'
import postgres from 'postgres'
import { createPool, type PostgresPool } from './pool.js'
import { createPools } from './pools.js'

const url = 'postgres://app:hunter2@db.test/shop'
const { env } = process
const keptEnvironment = { ...env }

beforeEach(() => {
  for (const name of Object.keys(env)) if (name.startsWith('PG')) delete env[name]
})
afterEach(() => {
  Object.assign(env, keptEnvironment)
})

/** What only somebody who does without types can write. */
function problemsOf(replicas: unknown, options: object = {}): readonly OptionProblem[] {
  try {
    Reflect.apply(createPool, undefined, [url, { ...options, replicas }])
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems
    throw error
  }
  throw new Error('these options were accepted')
}

function hosts({ replicas }: PostgresPool): unknown[] {
  return (replicas?.pools ?? []).map(({ driver }) => driver.endpoints.map(({ host }) => host))
}

describe('replicas', () => {
  it('are none unless some are given', () => {
    expect(createPool(url).replicas).toBeUndefined()
  })

  it('have a pool each, named after the primary’s', () => {
    const connections = ['postgres://app@a.test/shop', { host: ['b.test', 'c.test'], user: 'app' }]
    const pool = createPool(url, { replicas: connections })
    expect(hosts(pool)).toEqual([['a.test'], ['b.test', 'c.test']])
    expect(pool.replicas?.pools.map(({ name }) => name)).toEqual(['replica 1', 'replica 2'])
    expect(pool.replicas?.options).toEqual({ maxLagMs: 10_000, checkEveryMs: 1_000 })
    const named = createPool(url, { name: 'shop', replicas: { connections, maxLagMs: 0, checkEveryMs: 250 } })
    expect(named.replicas?.pools.map(({ name }) => name)).toEqual(['shop replica 1', 'shop replica 2'])
    expect(named.replicas?.options).toEqual({ maxLagMs: 0, checkEveryMs: 250 })
  })

  it('behave as the primary’s pool, option by option, unless they say otherwise', () => {
    const pool = createPool(url, {
      resilience: { pool: { max: 3, acquireTimeoutMs: 700 }, statement: { timeoutMs: 50 } },
      replicas: [url, { connection: url, resilience: { pool: { max: 30 } } }],
    })
    expect(pool.replicas?.pools.map(({ resilience }) => resilience)).toMatchObject([
      { pool: { max: 3, acquireTimeoutMs: 700 }, statement: { timeoutMs: 50 } },
      { pool: { max: 30, acquireTimeoutMs: 700 }, statement: { timeoutMs: 50 } },
    ])
  })

  it('know the array types that the primary’s connections have learnt', () => {
    const pool = createPool(url, { replicas: [url] })
    for (const { driver } of pool.replicas?.pools ?? []) expect(driver).toHaveProperty('arrays', pool.driver.arrays)
  })

  it('are closed with the pool', async () => {
    const pool = createPool(url, { replicas: [url, url] })
    await pool.close()
    expect(pool.replicas?.pools.map(({ closed }) => closed)).toEqual([true, true])
  })

  it.each<[unknown, string]>([
    [[], 'replicas'],
    ['postgres://a.test', 'replicas'],
    [new URL('postgres://a.test'), 'replicas'],
    [null, 'replicas'],
    [{ maxLagMs: 5 }, 'replicas.connections'],
    [{ connections: [] }, 'replicas.connections'],
    [{ connections: [url], maxLag: 5 }, 'replicas.maxLag'],
    [{ connections: [url], checkEveryMs: 0 }, 'replicas.checkEveryMs'],
    [{ connections: [url], maxLagMs: -1 }, 'replicas.maxLagMs'],
    [['mysql://a.test'], 'replicas[0]'],
    // biome-ignore lint/suspicious/noSparseArray: what it is about
    [[, url], 'replicas[0]'],
    [[url, { max: 5 }], 'replicas[1].max'],
    [[{ connection: 5, resilience: {} }], 'replicas[0].connection'],
    [
      { connections: [url, { connection: url, resilience: { pool: { mx: 1 } } }] },
      'replicas.connections[1].resilience.pool.mx',
    ],
    [[{ connection: url, resilience: {}, shared: true }], 'replicas[0].shared'],
    [[{ connection: url, replicas: [url] }], 'replicas[0].replicas'],
  ])('are refused as %j, which is told as %s', (given, path) => {
    expect(problemsOf(given).map((problem) => problem.path)).toEqual([path])
  })

  it('are told together with what is wrong with the primary, without a password, and each once', () => {
    const wrong = [
      'postgres://app:hunter3@a.test/shop?max=5',
      { connection: url, resilience: { pool: { max: 1, min: 2 } } },
    ]
    const problems = problemsOf(wrong, { resilience: { pool: { mx: 1 } } })
    expect(problems.map(({ path }) => path)).toEqual([
      'resilience.pool.mx',
      'replicas[0]?max',
      'replicas[1].resilience.pool.min',
    ])
    expect(JSON.stringify(problems)).not.toMatch('hunter')
  })

  it('may be those of one of several pools', () => {
    const pools = createPools(
      { shop: { connection: url, replicas: ['postgres://a.test'] }, audit: url },
      { resilience: { pool: { max: 4 } } },
    )
    expect(hosts(pools.get('shop'))).toEqual([['a.test']])
    expect(pools.get('shop').replicas?.pools.map(({ resilience }) => resilience.pool.max)).toEqual([4])
    expect(pools.get('audit').replicas).toBeUndefined()
    const wrong = () => createPools({ shop: { connection: url, replicas: [] } })
    expect(wrong).toThrow(
      expect.objectContaining({ problems: [expect.objectContaining({ path: 'pools.shop.replicas' })] }),
    )
  })

  it('make a shared pool another one when they change', async () => {
    const shared = (replicas: string[]) => createPool(url, { name: 'readers', shared: true, replicas })
    const [one, same, other] = [
      shared(['postgres://a.test']),
      shared(['postgres://a.test']),
      shared(['postgres://b.test']),
    ]
    expect(same).toBe(one)
    expect(other).not.toBe(one)
    const client = (host: string) => postgres({ host })
    const taken = (replica: postgres.Sql) => createPool(url, { name: 'taken over', shared: true, replicas: [replica] })
    const [first, second] = [taken(client('a.test')), taken(client('b.test'))]
    expect(hosts(first)).toEqual([['a.test']])
    expect(hosts(second)).toEqual([['b.test']])
    expect(taken(client('b.test'))).toBe(second)
    await Promise.all([one.close(), other.close(), first.close(), second.close()])
  })
})
