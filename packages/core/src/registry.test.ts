// Pools by name: all start or none, all end, whatever happens meanwhile.

import { describe, expect, it } from '@jest/globals'
import { AuthenticationError, ConnectError, InvalidOptionsError, PoolClosedError } from './errors.js'
import type { HealthStatus } from './events.js'
import { type ManagedPool, PoolRegistry } from './registry.js'
import { settled } from './testing/fake-clock.js'
import { watch } from './testing/watch.js'

/** A pool whose start a test can hold and let fail; every one that was made is kept. */
class FakePool implements ManagedPool {
  readonly name: string
  closed = false
  running = false
  /** What each of its starts was asked for. */
  readonly starts: unknown[] = []
  closedWithin: number | undefined
  status: HealthStatus = 'healthy'
  /** How its start ends: at once, or when the test says so. */
  outcome: Promise<void> = Promise.resolve()
  /** How its close ends. */
  farewell: Promise<void> = Promise.resolve()
  #giveUp: (() => void) | undefined

  constructor(name: string) {
    this.name = name
  }

  async start(options?: object): Promise<void> {
    this.starts.push(options)
    if (this.closed) throw new PoolClosedError()
    await Promise.race([
      this.outcome,
      new Promise<void>((resolve) => {
        this.#giveUp = resolve
      }),
    ])
    if (this.closed) throw new PoolClosedError()
    this.running = true
  }

  stats() {
    return { name: this.name, running: this.running }
  }

  async health() {
    return { status: this.status, reasons: [this.name] }
  }

  async close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.closed) return this.farewell
    this.closed = true
    this.running = false
    this.closedWithin = options.timeoutMs
    this.#giveUp?.()
    await this.farewell
  }
}

interface Setup {
  readonly pools: PoolRegistry<{ primary: FakePool; replica: FakePool; tenant: FakePool }>
  /** All there ever were by that name, oldest first. */
  made(name: string): FakePool[]
  /** Of all pools. */
  readonly running: string[]
  /** What happens to each pool that is made from now on. */
  prepare: (pool: FakePool) => void
}

function setup(): Setup {
  const all: FakePool[] = []
  const make = (name: string) => () => {
    const pool = new FakePool(name)
    made.prepare(pool)
    all.push(pool)
    return pool
  }
  const made: { prepare: (pool: FakePool) => void } = { prepare: () => {} }
  const pools = new PoolRegistry({ primary: make('primary'), replica: make('replica'), tenant: make('tenant') })
  return {
    pools,
    made: (name) => all.filter((pool) => pool.name === name),
    get running() {
      return all.filter((pool) => pool.running).map((pool) => pool.name)
    },
    set prepare(prepare: (pool: FakePool) => void) {
      made.prepare = prepare
    },
  }
}

const refused = () => new ConnectError('connect ECONNREFUSED db:5432', { code: 'ECONNREFUSED' })
const nothing = () => {}

function failing(pool: FakePool, error: Error = refused()): void {
  pool.outcome = Promise.reject(error)
  pool.outcome.catch(nothing)
}

function held(): { readonly promise: Promise<void>; end(): void; fail(error: Error): void } {
  let end = nothing
  let fail: (error: Error) => void = nothing
  const promise = new Promise<void>((resolve, reject) => {
    end = resolve
    fail = reject
  })
  promise.catch(nothing)
  return { promise, end, fail }
}

async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error('expected a rejection')
    },
    (error: unknown) => error,
  )
}

describe('get', () => {
  it('gives the pool of that name, the same one each time, with its type', () => {
    const { pools, made } = setup()
    const primary: FakePool = pools.get('primary')
    expect(primary.name).toBe('primary')
    expect(pools.get('primary')).toBe(primary)
    expect(made('primary')).toHaveLength(1)
    expect(pools.names).toEqual(['primary', 'replica', 'tenant'])
  })

  it('refuses a name that comes from data and is no pool’s, naming those there are', () => {
    const pools: PoolRegistry<Record<string, FakePool>> = new PoolRegistry({ a: () => new FakePool('a') })
    for (const name of ['b', 'constructor', 'toString', '__proto__']) {
      expect(() => pools.get(name)).toThrow(InvalidOptionsError)
      expect(() => pools.get(name)).toThrow('allowed: one of "a"')
    }
  })

  it('is not confused by pools that are called like its own methods', async () => {
    const names = ['start', 'close', 'then', 'constructor', '__proto__']
    const pools: PoolRegistry<Record<string, FakePool>> = new PoolRegistry(
      Object.fromEntries(names.map((name) => [name, () => new FakePool(name)])),
    )
    await pools.start()
    expect(names.map((name) => pools.get(name).stats())).toEqual(names.map((name) => ({ name, running: true })))
    expect(Object.keys(pools.stats())).toEqual(names)
    await pools.close()
  })

  it('closes what it has made when one cannot be made, and lets the error through', async () => {
    const first = new FakePool('first')
    const error = new InvalidOptionsError([])
    const broken = (): FakePool => {
      throw error
    }
    expect(() => new PoolRegistry({ first: () => first, broken })).toThrow(error)
    await settled()
    expect(first.closed).toBe(true)
  })
})

describe('start', () => {
  it('starts every pool, and resolves when the last one runs', async () => {
    const { pools, made, running } = setup()
    expect(running).toEqual([])
    const last = held()
    pools.get('tenant').outcome = last.promise
    const started = watch(pools.start())
    await settled()
    expect(started.state).toBe('pending')
    last.end()
    await settled()
    expect(started.state).toBe('resolved')
    expect(['primary', 'replica', 'tenant'].flatMap(made).map((pool) => pool.running)).toEqual([true, true, true])
  })

  it('called at the same time several times is one start', async () => {
    const { pools, made } = setup()
    const slow = held()
    pools.get('replica').outcome = slow.promise
    const starts = [pools.start(), pools.start()]
    await settled()
    starts.push(pools.start())
    slow.end()
    await Promise.all(starts)
    expect(['primary', 'replica', 'tenant'].flatMap(made).map((pool) => pool.starts.length)).toEqual([1, 1, 1])
  })

  it('tells each pool how long it may take', async () => {
    const { pools, made } = setup()
    await pools.start({ timeoutMs: 50, failFast: true })
    const starts = ['primary', 'replica', 'tenant'].flatMap(made).map((pool) => pool.starts)
    expect(starts).toEqual(Array(3).fill([{ timeoutMs: 50, failFast: true }]))
  })

  it('of what runs already does nothing', async () => {
    const { pools } = setup()
    await pools.start()
    failing(pools.get('primary'))
    await pools.start()
    expect(pools.get('primary').starts).toHaveLength(1)
  })

  it('closes all of them when one cannot start, before it rejects', async () => {
    const { pools, made } = setup()
    const first = ['primary', 'replica', 'tenant'].flatMap(made)
    failing(pools.get('replica'))
    const goodbye = held()
    pools.get('primary').farewell = goodbye.promise
    const started = watch(pools.start())
    await settled()
    expect(first.map((pool) => pool.closed)).toEqual([true, true, true])
    expect(started.state).toBe('pending')
    goodbye.end()
    await settled()
    expect(started.error).toBeInstanceOf(ConnectError)
  })

  it('waits for all before it gives up, so that every failure is told', async () => {
    const { pools } = setup()
    failing(pools.get('primary'))
    const late = held()
    pools.get('tenant').outcome = late.promise
    const started = watch(pools.start())
    await settled()
    expect(started.state).toBe('pending')
    late.fail(new AuthenticationError('password refused', { code: '28P01' }))
    await settled()
    const { error } = started
    if (!(error instanceof ConnectError) || !(error.cause instanceof AggregateError)) throw error
    expect(error.message).toBe(
      '2 of 3 pools could not be started: primary (connect ECONNREFUSED db:5432); tenant (password refused)',
    )
    // One of them will not go away by itself; and they do not share a code.
    expect(error).toMatchObject({ retry: 'never', code: undefined })
    expect(error.cause.errors).toMatchObject([
      { name: 'ConnectError', code: 'ECONNREFUSED' },
      { name: 'AuthenticationError', code: '28P01' },
    ])
  })

  it('tells the failures in the order of the names, with the code they share', async () => {
    const { pools } = setup()
    const late = held()
    pools.get('primary').outcome = late.promise
    failing(pools.get('tenant'))
    const started = watch(pools.start())
    await settled()
    late.fail(refused())
    await settled()
    expect(started.error).toMatchObject({ code: 'ECONNREFUSED', retry: 'reconnect' })
    expect(String(started.error)).toContain('2 of 3 pools could not be started: primary (')
  })

  it('after a failed one makes new pools, once, and starts those', async () => {
    const { pools, made } = setup()
    const before = pools.get('primary')
    failing(pools.get('replica'))
    await errorOf(pools.start())
    await Promise.all([pools.start(), pools.start()])
    expect(['primary', 'replica', 'tenant'].map((name) => made(name).map((pool) => pool.running))).toEqual([
      [false, true],
      [false, true],
      [false, true],
    ])
    expect(pools.get('primary')).not.toBe(before)
  })

  it('that failed leaves nothing running, not even a pool made anew', async () => {
    const { pools, made } = setup()
    failing(pools.get('replica'))
    await errorOf(pools.start())
    expect(pools.stats().primary).toEqual({ name: 'primary', running: false })
    expect(made('primary')).toHaveLength(1)
    // Whoever asks for it wants one that can be used.
    expect(pools.get('primary').closed).toBe(false)
    expect(made('primary')).toHaveLength(2)
    expect(pools.get('primary')).toBe(made('primary')[1])
    await pools.start()
    expect(made('primary')).toHaveLength(2)
  })

  it('fails again when it must, and says so each time', async () => {
    const fixture = setup()
    fixture.prepare = (pool) => pool.name === 'tenant' && failing(pool)
    failing(fixture.pools.get('tenant'))
    for (let i = 0; i < 3; i++) expect(String(await errorOf(fixture.pools.start()))).toContain('1 of 3 pools')
    expect(fixture.running).toEqual([])
    expect(fixture.made('primary').map((pool) => pool.closed)).toEqual([true, true, true])
  })

  it('replaces a pool that somebody has closed, and leaves those that run alone, even when it fails', async () => {
    const fixture = setup()
    const { pools, made } = fixture
    await pools.start()
    await pools.get('tenant').close()
    expect(pools.get('tenant').closed).toBe(true)
    fixture.prepare = failing
    await errorOf(pools.start())
    expect(fixture.running).toEqual(['primary', 'replica'])
    fixture.prepare = nothing
    await pools.start()
    expect(fixture.running).toEqual(['primary', 'replica', 'tenant'])
    expect(made('primary')).toHaveLength(1)
  })

  it('counts a pool that cannot be made anew among those that failed', async () => {
    const fixture = setup()
    const { pools } = fixture
    failing(pools.get('replica'))
    await errorOf(pools.start())
    fixture.prepare = (pool) => {
      if (pool.name === 'tenant') throw new Error('no such tenant')
    }
    const error = await errorOf(pools.start())
    expect(String(error)).toContain('1 of 3 pools could not be started: tenant (no such tenant)')
    expect(fixture.running).toEqual([])
    fixture.prepare = nothing
    await pools.start()
    expect(fixture.running).toHaveLength(3)
  })
})

describe('close', () => {
  it('closes all at the same time, with the limit it was given, and waits for the last', async () => {
    const { pools, made } = setup()
    await pools.start()
    const goodbye = held()
    pools.get('primary').farewell = goodbye.promise
    const closed = watch(pools.close({ timeoutMs: 50 }))
    expect(pools.closed).toBe(true)
    await settled()
    expect(['primary', 'replica', 'tenant'].flatMap(made).map((pool) => pool.closedWithin)).toEqual([50, 50, 50])
    expect(closed.state).toBe('pending')
    goodbye.end()
    await settled()
    expect(closed.state).toBe('resolved')
  })

  it('called again waits for the same end', async () => {
    const { pools } = setup()
    const goodbye = held()
    pools.get('primary').farewell = goodbye.promise
    const first = pools.close({ timeoutMs: 1 })
    expect(pools.close({ timeoutMs: 2 })).toBe(first)
    expect(pools.get('primary').closedWithin).toBe(1)
    goodbye.end()
    await first
    await pools.close()
  })

  it('never rejects, and a pool that fails to close keeps no other open', async () => {
    const { pools, made } = setup()
    const goodbye = held()
    pools.get('primary').farewell = goodbye.promise
    pools.get('replica').close = () => {
      throw new Error('thrown')
    }
    const closed = pools.close()
    goodbye.fail(new Error('rejected'))
    await closed
    expect(made('tenant').map((pool) => pool.closed)).toEqual([true])
  })

  it('ends a start under way, which rejects, and is over only when that is', async () => {
    const { pools, made } = setup()
    pools.get('replica').outcome = held().promise
    const started = watch(pools.start())
    await settled()
    await pools.close()
    expect(started.error).toBeInstanceOf(PoolClosedError)
    expect(['primary', 'replica', 'tenant'].flatMap(made).map((pool) => pool.closed)).toEqual([true, true, true])
  })

  it('during the end of a failed start waits for the pools of that start', async () => {
    const { pools } = setup()
    failing(pools.get('replica'))
    const goodbye = held()
    pools.get('primary').farewell = goodbye.promise
    const started = watch(pools.start())
    await settled()
    pools.get('primary')
    const closed = watch(pools.close())
    await settled()
    expect([started.state, closed.state]).toEqual(['pending', 'pending'])
    goodbye.end()
    await settled()
    expect([started.state, closed.state]).toEqual(['rejected', 'resolved'])
  })

  it('is for good: nothing is made or started afterwards', async () => {
    const { pools, made } = setup()
    failing(pools.get('replica'))
    await errorOf(pools.start())
    await pools.close()
    expect(await errorOf(pools.start())).toBeInstanceOf(PoolClosedError)
    expect(pools.get('primary').closed).toBe(true)
    expect(made('primary')).toHaveLength(1)
  })
})

describe('stats and health', () => {
  it('tells the stats of each, by name', async () => {
    const { pools } = setup()
    await pools.get('primary').start()
    expect(pools.stats()).toEqual({
      primary: { name: 'primary', running: true },
      replica: { name: 'replica', running: false },
      tenant: { name: 'tenant', running: false },
    })
  })

  it.each<[HealthStatus[], HealthStatus]>([
    [['healthy', 'healthy', 'healthy'], 'healthy'],
    [['healthy', 'degraded', 'healthy'], 'degraded'],
    [['degraded', 'healthy', 'unhealthy'], 'unhealthy'],
  ])('of pools that are %j the health is %s', async (each, worst) => {
    const { pools } = setup()
    pools.names.forEach((name, i) => {
      pools.get(name).status = each[i] ?? 'healthy'
    })
    const health = await pools.health()
    expect(health.status).toBe(worst)
    expect(health.pools.tenant).toEqual({ status: each[2], reasons: ['tenant'] })
    expect(Object.keys(health.pools)).toEqual(['primary', 'replica', 'tenant'])
  })

  it('is healthy without any pool', async () => {
    const pools = new PoolRegistry({})
    await pools.start()
    expect(await pools.health()).toEqual({ status: 'healthy', pools: {} })
    expect(pools.stats()).toEqual({})
    await pools.close()
  })
})
