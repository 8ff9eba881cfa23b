// Corners where hooks, listeners and the pool's own steps meet, each once found broken.

import { afterEach, describe, expect, it } from '@jest/globals'
import { AuthenticationError, PoolClosedError } from '../errors.js'
import type { AcquireVerdict, HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }
const hooked = (hooks: HookOptions, options: PoolOptions = {}): Fixture =>
  fixture({ ...one, ...options }, undefined, { hooks })

afterEach(() => settled())

describe('beforeAcquire is asked once for each borrow', () => {
  it('also when a connection comes back while another is asked about', async () => {
    const hook = new HeldCalls<HookContext, AcquireVerdict>()
    let holds = false
    const { pool } = hooked({ beforeAcquire: (context) => (holds ? hook.hook(context) : 'use') }, { max: 2 })
    const [first, second] = await take(pool, 2)
    await ask(pool, 1)
    holds = true
    first?.release()
    await settled()
    second?.release()
    await settled()
    expect(hook.calls).toHaveLength(1)
  })

  it('also when all that rest are looked at because one was dead', async () => {
    let calls = 0
    const { pool, driver, clock } = hooked({ beforeAcquire: () => void calls++ }, { min: 3, max: 3 })
    await pool.start()
    await clock.advance(5_000)
    driver.connection(3).next('ping', new Error('no'))
    await takeOne(pool)
    expect(calls).toBe(1)
  })

  it('and not while the pool is suspended', async () => {
    let calls = 0
    const { pool } = hooked({ beforeAcquire: () => void calls++ })
    const lease = await takeOne(pool)
    await ask(pool, 1)
    pool.suspend()
    lease.release()
    await settled()
    expect(calls).toBe(1)
  })
})

describe('beforeAcquire that leaves a transaction open', () => {
  it('and keeps the connection for another: that one does not get it so', async () => {
    const { pool, driver } = hooked({
      async beforeAcquire({ connection }) {
        await connection.begin()
        return { fail: new Error('no'), connection: 'keep' }
      },
    })
    await ask(pool, 1)
    expect(driver.open.every(({ transactionStatus }) => transactionStatus === 'idle')).toBe(true)
  })
})

describe('a connection taken away at close', () => {
  it('is not given to afterRelease any more, and no timer is left', async () => {
    const setUp = new HeldCalls<HookContext, undefined>()
    const after = new HeldCalls<HookContext, undefined>()
    const setup = hooked({ afterConnect: setUp.hook, afterRelease: after.hook })
    const asked = watch(setup.pool.acquire())
    await settled()
    setUp.call(1).answer(undefined)
    await settled()
    asked.value.declare('settings')
    asked.value.release()
    await settled()
    const closed = watch(setup.pool.close({ timeoutMs: 100 }))
    await setup.clock.advance(100)
    expect(closed.state).toBe('resolved')
    setUp.call(2).answer(undefined)
    await settled()
    expect(after.calls).toHaveLength(0)
    await expectNothingLeft(setup)
  })
})

describe('retiring many, when a hook or listener takes some away meanwhile', () => {
  it('calls beforeClose for none that is gone', async () => {
    const seen: unknown[] = []
    const setup = hooked(
      {
        beforeClose: ({ connection }) => {
          seen.push([connection.id, connection.lost])
          setup.pool.evict()
        },
      },
      { max: 3 },
    )
    for (const lease of await take(setup.pool, 3)) lease.release()
    setup.pool.invalidate()
    await settled()
    expect(seen).toEqual([[1, undefined]])
  })
})

describe('start', () => {
  it('after a failure that trying again could not help tries again', async () => {
    const { pool, driver, clock } = fixture({ min: 2 })
    driver.connects = new AuthenticationError('no')
    await expect(pool.start()).rejects.toBeInstanceOf(AuthenticationError)
    driver.connects = 'ok'
    const again = watch(pool.start())
    await clock.advance(1_000)
    expect(again.state).toBe('resolved')
  })

  it('is content with the min of now when the pool was resized meanwhile', async () => {
    const { pool, driver } = fixture({ min: 3 })
    driver.connects = 'deaf'
    const started = watch(pool.start())
    await settled()
    pool.resize({ min: 1, max: 1, overflow: 0 })
    for (const attempt of driver.pending) attempt.succeed()
    await settled()
    expect(started.state).toBe('resolved')
  })

  it('with a min of 0 is no borrow: no hook, no use, no count', async () => {
    let calls = 0
    const { pool } = hooked({ beforeAcquire: () => void calls++, afterRelease: () => void calls++ }, { maxUses: 1 })
    await pool.start()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(calls).toBe(0)
    expect(pool.stats()).toMatchObject({ acquired: 0, created: 1 })
  })

  it('with a min of 0 and a minIdle opens minIdle', async () => {
    const { pool } = fixture({ min: 0, minIdle: 3 })
    await pool.start()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 3 })
  })
})

describe('resize', () => {
  it('to a smaller min works without scaling, too', async () => {
    const { pool, clock } = fixture({ min: 4, idleTimeoutMs: 60_000, scaling: false })
    await pool.start()
    pool.resize({ min: 1 })
    await clock.advance(200_000)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('of a closed pool is refused', async () => {
    const { pool } = fixture()
    await pool.close()
    expect(() => pool.resize({ max: 5 })).toThrow(PoolClosedError)
  })
})
