// Corners where hooks, listeners and the pool's own steps meet, each once found broken.

import { afterEach, describe, expect, it } from '@jest/globals'
import { PoolClosedError } from '../errors.js'
import type { AcquireVerdict, HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { listening } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { type Watched, watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }
const hooked = (hooks: HookOptions, options: PoolOptions = {}): Fixture =>
  fixture({ ...one, ...options }, undefined, { hooks })

afterEach(() => settled())

describe('close called again from inside close', () => {
  it.each(['beforeClose', 'closing', 'closed connection', 'failed acquire'])('by %s never rejects', async (where) => {
    const again: Watched<void>[] = []
    const close = () => void again.push(watch(setup.pool.close()))
    const setup = hooked(where === 'beforeClose' ? { beforeClose: close } : {})
    const lease = await takeOne(setup.pool)
    if (where === 'failed acquire') await ask(setup.pool, 1)
    else lease.release()
    const name =
      where === 'closing'
        ? 'moorings:pool:closing'
        : where === 'failed acquire'
          ? 'moorings:acquire:failed'
          : 'moorings:connection:closed'
    await listening(name, where === 'beforeClose' ? () => {} : close, async () => {
      const closed = watch(setup.pool.close())
      lease.release()
      await settled()
      expect(closed.state).toBe('resolved')
      expect(again.map((one) => (one.state === 'rejected' ? one.error : one.state))).toEqual(['resolved'])
    })
    await expectNothingLeft(setup)
  })
})

describe('close from a listener to the start', () => {
  it.each<[string, (setup: Fixture) => Promise<unknown>]>([
    ['acquire', ({ pool }) => pool.acquire()],
    ['start', ({ pool }) => pool.start()],
    ['suspend', async ({ pool }) => pool.suspend()],
  ])('leaves nobody hanging in %s', async (_, use) => {
    const setup = fixture({ min: 1 })
    await listening(
      'moorings:pool:started',
      () => void setup.pool.close(),
      async () => {
        const used = watch(use(setup))
        await setup.clock.advance(100_000)
        expect(used.error).toBeInstanceOf(PoolClosedError)
      },
    )
    await expectNothingLeft(setup)
  })
})

describe('close from inside beforeConnect, at once', () => {
  it('starts no further connects for min', async () => {
    const setup = hooked(
      {
        beforeConnect: () => {
          void setup.pool.close()
        },
      },
      { min: 3, max: 3 },
    )
    const waiting = watch(setup.pool.acquire())
    await settled()
    expect(waiting.error).toBeInstanceOf(PoolClosedError)
    expect(setup.driver.attempts).toHaveLength(0)
    await expectNothingLeft(setup)
  })
})

describe('a connection that came too late', () => {
  it('after close is not set up, but destroyed', async () => {
    const hook = new HeldCalls<HookContext, undefined>()
    const setup = hooked({ afterConnect: hook.hook }, { onConnect: 'select 1' })
    setup.driver.connects = 'deaf'
    await ask(setup.pool, 1)
    await setup.pool.close()
    await expectNothingLeft(setup)
    expect(hook.calls).toHaveLength(0)
    expect(setup.driver.connection(1).sent).toEqual([])
  })

  it('after connectTimeoutMs is not set up, but destroyed', async () => {
    const hook = new HeldCalls<HookContext, undefined>()
    const { pool, driver, clock } = hooked({ afterConnect: hook.hook }, { connectTimeoutMs: 100 })
    driver.connects = 'deaf'
    await ask(pool, 1)
    await clock.advance(100)
    driver.attempt(1).succeed()
    await settled()
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(hook.calls).toHaveLength(0)
  })
})

describe('the signal of a hook', () => {
  it.each(['beforeConnect', 'afterConnect'] as const)('%s fires with connectTimeoutMs', async (name) => {
    const hook = new HeldCalls<{ readonly signal: AbortSignal }, undefined>()
    const { pool, clock } = hooked({ [name]: hook.hook }, { connectTimeoutMs: 100 })
    await ask(pool, 1)
    await clock.advance(100)
    expect(hook.call(1).context.signal.aborted).toBe(true)
  })

  it.each(['beforeConnect', 'afterConnect'] as const)('%s fires when the pool closes', async (name) => {
    const hook = new HeldCalls<{ readonly signal: AbortSignal }, undefined>()
    const { pool } = hooked({ [name]: hook.hook })
    await ask(pool, 1)
    await pool.close()
    expect(hook.call(1).context.signal.aborted).toBe(true)
  })

  it.each(['beforeAcquire', 'afterRelease'] as const)('%s fires when the connection is lost', async (name) => {
    const hook = new HeldCalls<HookContext, undefined>()
    const { pool, driver } = hooked({ [name]: hook.hook })
    const [asked] = await ask(pool, 1)
    if (name === 'afterRelease') asked?.value.release()
    await settled()
    driver.connection(1).lose()
    await settled()
    expect(hook.call(1).context.signal.aborted).toBe(true)
  })
})

describe('a connection that dies before or in beforeAcquire', () => {
  async function old() {
    const hook = new HeldCalls<HookContext, AcquireVerdict>()
    const setup = hooked({ beforeAcquire: hook.hook }, { min: 1 })
    await setup.pool.start()
    await setup.clock.advance(500)
    return { ...setup, hook }
  }

  it('is nothing its caller sees, though the hook fails for it', async () => {
    const { pool, driver, hook } = await old()
    const [waiting] = await ask(pool, 1)
    driver.connection(1).lose()
    hook.call(1).fail(driver.connection(1).lost)
    await settled()
    hook.call(2).answer('use')
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('is not asked about when it was found dead by the look before', async () => {
    const { pool, driver, hook } = await old()
    watch(pool.acquire())
    driver.connection(1).lose()
    await settled()
    expect(hook.calls.map(({ context }) => context.connection.id)).toEqual([2])
  })
})
