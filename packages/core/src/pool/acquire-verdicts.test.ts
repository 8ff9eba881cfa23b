// What the verdict of the hook before each borrow, or its failure, does to the caller and to the connection.

import { afterEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, HookError } from '../errors.js'
import type { AcquireVerdict, HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'

function hooked(beforeAcquire: HookOptions['beforeAcquire'], options: PoolOptions = {}): Fixture {
  return fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks: { beforeAcquire } })
}

/** A pool with `count` connections at rest, used a moment ago. From now on the hook's calls wait for the test. */
async function held(count = 1, options: PoolOptions = {}) {
  const hook = new HeldCalls<HookContext, AcquireVerdict>()
  let holds = false
  const setup = hooked((context) => (holds ? hook.hook(context) : 'use'), { max: count, ...options })
  // Given back in reverse, so that connection 1 is the last in and the first out.
  for (const lease of (await take(setup.pool, count)).reverse()) lease.release()
  holds = true
  return { ...setup, hook }
}

/** Gives one verdict at a time, and the last one for ever. */
function verdicts(...list: AcquireVerdict[]): () => AcquireVerdict {
  return () => (list.length > 1 ? list.shift() : list[0])
}

const refused = new Error('wrong tenant')

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('a verdict of beforeAcquire', () => {
  it.each([undefined, 'use'] as const)('%s lends the connection', async (verdict) => {
    const { pool } = hooked(() => verdict)
    expect((await takeOne(pool)).connection.id).toBe(1)
  })

  it('replace destroys the connection, and the caller gets another without seeing anything of it', async () => {
    const { pool, driver, clock, hook } = await held(1)
    await clock.advance(500)
    const closed = await eventsOf('moorings:connection:closed', async () => {
      const [waiting] = await ask(pool, 1)
      hook.call(1).answer('replace')
      await settled()
      hook.call(2).answer('use')
      await settled()
      expect(waiting?.value.connection.id).toBe(2)
    })
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(closed).toMatchObject([{ id: 1, reason: 'hook' }])
    expect(pool.stats()).toMatchObject({ ...empty, leased: 1, failed: 0 })
  })

  it('replace about every new connection is no hot loop, and the caller’s time ends as always', async () => {
    let calls = 0
    // Bounded, or a pool that does loop would keep this test from ever ending.
    const setup = hooked(() => (++calls > 500 ? 'use' : 'replace'), { acquireTimeoutMs: 10_000 })
    const [waiting] = await ask(setup.pool, 1)
    await setup.clock.advance(10_000)
    expect(calls).toBeLessThanOrEqual(50)
    expect(waiting?.error).toBeInstanceOf(AcquireTimeoutError)
    expect(setup.driver.open).toEqual([])
  })

  it('fail with keep gives the caller the error, and the connection back to the pool', async () => {
    const { pool, driver } = hooked(verdicts({ fail: refused, connection: 'keep' }, 'use'))
    const [waiting] = await ask(pool, 1)
    expect(waiting?.error).toBeInstanceOf(HookError)
    expect(waiting?.error).toMatchObject({ hook: 'beforeAcquire', cause: refused })
    expect(driver.open).toHaveLength(1)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect((await takeOne(pool)).connection.id).toBe(1)
  })

  it('fail with keep is for one caller: the next in line is asked about in turn', async () => {
    const asked: number[] = []
    const next = verdicts('use', { fail: refused, connection: 'keep' }, 'use')
    const { pool } = hooked(({ connection }) => {
      asked.push(connection.id)
      return next()
    })
    const lease = await takeOne(pool)
    const [second, third] = await ask(pool, 2)
    lease.release()
    await settled()
    expect(second?.error).toMatchObject({ cause: refused })
    expect(third?.value.connection.id).toBe(1)
    expect(asked).toEqual([1, 1, 1])
  })

  it('fail with destroy gives the caller the error, and whoever comes next another connection', async () => {
    const { pool, driver, clock } = hooked(verdicts({ fail: refused, connection: 'destroy' }, 'use'))
    const closed = await eventsOf('moorings:connection:closed', async () => {
      const [first, second] = await ask(pool, 2)
      // It was a new one: the next is made after a pause.
      await clock.advance(25)
      expect(first?.error).toBeInstanceOf(HookError)
      expect(first?.error).toMatchObject({ cause: refused })
      expect(second?.value.connection.id).toBe(2)
    })
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(closed).toMatchObject([{ id: 1, reason: 'hook' }])
  })

  it('is no failure of the hook, whatever it is', async () => {
    const { pool, clock } = hooked(verdicts({ fail: refused, connection: 'keep' }, 'replace', 'use'))
    const failures = await eventsOf('moorings:hook:failed', async () => {
      await ask(pool, 2)
      await clock.advance(25)
    })
    expect(failures).toEqual([])
    expect(pool.stats()).toMatchObject({ acquired: 1, failed: 1 })
  })

  it('comes too late for a connection that was retired meanwhile', async () => {
    const { pool, driver, hook } = await held(1)
    const [waiting] = await ask(pool, 1)
    pool.invalidate()
    hook.call(1).answer('use')
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect(hook.call(2).context.connection.id).toBe(2)
    hook.call(2).answer('use')
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })
})

describe('a beforeAcquire hook that fails', () => {
  it.each<[string, () => AcquireVerdict | Promise<AcquireVerdict>]>([
    [
      'throws',
      () => {
        throw refused
      },
    ],
    ['rejects', () => Promise.reject(refused)],
  ])('because it %s destroys the connection, and its caller alone hears of it', async (_, fail) => {
    const { pool, driver, clock } = hooked(({ connection }) => (connection.id === 1 ? fail() : 'use'))
    const failures = await eventsOf('moorings:hook:failed', async () => {
      const [first, second] = await ask(pool, 2)
      await clock.advance(25)
      expect(first?.error).toBeInstanceOf(HookError)
      expect(first?.error).toMatchObject({ hook: 'beforeAcquire', cause: refused })
      expect(second?.value.connection.id).toBe(2)
    })
    expect(failures).toMatchObject([{ ...pool.identity, hook: 'beforeAcquire', id: 1, error: { cause: refused } }])
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(pool.stats()).toMatchObject({ failed: 1, closedBy: { hook: 1 } })
  })

  it('because it hangs is given up after hooks.timeoutMs, and its signal fires', async () => {
    const { pool, clock, driver, hook } = await held(1)
    const [waiting] = await ask(pool, 1)
    const { signal } = hook.call(1).context
    await clock.advance(4_999.9)
    expect(waiting?.state).toBe('pending')
    expect(signal.aborted).toBe(false)
    const failures = await eventsOf('moorings:hook:failed', () => clock.advance(0.1))
    expect(signal.reason).toBeInstanceOf(HookError)
    expect(failures).toMatchObject([{ hook: 'beforeAcquire', id: 1 }])
    expect(waiting?.error).toMatchObject({ name: 'HookError', message: expect.stringContaining('5000 ms') })
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(counts(pool)).toEqual(empty)
    hook.call(1).answer('use')
    await settled()
    expect(counts(pool)).toEqual(empty)
  })
})
