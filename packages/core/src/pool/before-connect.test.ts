// The hook before each connect: whose credentials it brings, and what becomes of a connect whose hook fails.

import { afterEach, describe, expect, it } from '@jest/globals'
import type { Credentials } from '../driver.js'
import { AcquireTimeoutError, ConnectError, HookError } from '../errors.js'
import type { HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'

/** Its hook's calls wait for the test. */
function held(options: PoolOptions = {}) {
  const hook = new HeldCalls<{ readonly signal: AbortSignal }, Credentials | undefined>()
  return { hook, ...hooked(hook.hook, options) }
}

function hooked(beforeConnect: HookOptions['beforeConnect'], options: PoolOptions = {}): Fixture {
  return fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks: { beforeConnect } })
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('the beforeConnect hook', () => {
  it('gives each connect credentials of its own', async () => {
    let token = 0
    const { pool, driver } = hooked(() => ({ user: 'app', password: `token ${++token}` }), { max: 2 })
    await take(pool, 2)
    expect(driver.attempts.map(({ request }) => request.credentials)).toEqual([
      { user: 'app', password: 'token 1' },
      { user: 'app', password: 'token 2' },
    ])
  })

  it('may be async, and the driver is not asked before it has answered', async () => {
    const { pool, driver, hook } = held()
    const [waiting] = await ask(pool, 1)
    expect(driver.attempts).toHaveLength(0)
    expect(counts(pool)).toEqual({ ...empty, connecting: 1, waiting: 1 })
    hook.call(1).answer({ password: 'fresh' })
    await settled()
    expect(driver.attempt(1).request.credentials).toEqual({ password: 'fresh' })
    expect(waiting?.state).toBe('resolved')
  })

  it.each([
    ['returns nothing', () => undefined],
    ['resolves with nothing', async () => undefined],
  ])('that %s leaves the credentials as they were configured', async (_, hook) => {
    const { pool, driver } = hooked(hook)
    await takeOne(pool)
    expect(driver.attempt(1).request.credentials).toBeUndefined()
  })

  it('is called for the connects that fill min as well, and for no borrow', async () => {
    let calls = 0
    const { pool } = hooked(() => void calls++, { min: 3, max: 3 })
    await pool.start()
    const lease = await takeOne(pool)
    lease.release()
    await takeOne(pool)
    expect(calls).toBe(3)
  })

  it('that hangs does not keep another connect from its own', async () => {
    const { pool, hook } = held({ max: 2 })
    const [first] = await ask(pool, 2)
    hook.call(2).answer(undefined)
    await settled()
    expect(first?.state).toBe('resolved')
    expect(counts(pool)).toEqual({ ...empty, leased: 1, connecting: 1, waiting: 1 })
  })
})

describe('a beforeConnect hook that fails', () => {
  const reason = new Error('the vault is sealed')
  const ways: [string, () => Credentials | Promise<Credentials>][] = [
    [
      'throws',
      () => {
        throw reason
      },
    ],
    ['rejects', () => Promise.reject(reason)],
  ]

  it.each(ways)('because it %s fails the connect, with its own error inside', async (_, fail) => {
    const { pool, driver } = hooked(fail)
    const failures = await eventsOf('moorings:hook:failed', async () => {
      const events = await eventsOf('moorings:connect:failed', async () => {
        await ask(pool, 1)
      })
      expect(events).toHaveLength(1)
      const [{ error } = { error: undefined }] = events
      expect(error).toBeInstanceOf(ConnectError)
      expect(error).toMatchObject({ retry: 'reconnect', message: expect.stringContaining(reason.message) })
      expect(error?.cause).toBeInstanceOf(HookError)
      expect(error?.cause).toMatchObject({ hook: 'beforeConnect', cause: reason })
    })
    expect(failures).toMatchObject([
      { ...pool.identity, hook: 'beforeConnect', id: undefined, error: { cause: reason } },
    ])
    expect(driver.attempts).toHaveLength(0)
  })

  it.each(ways)('because it %s frees the place, and is asked again after a pause for who waits', async (_, fail) => {
    let calls = 0
    const { pool, clock } = hooked(() => (++calls === 1 ? fail() : { password: 'good' }))
    const [waiting] = await ask(pool, 1)
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
    expect(calls).toBe(1)
    await clock.advance(12)
    expect(calls).toBe(1)
    await clock.advance(1)
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('every time is no hot loop, and the caller learns of it at the end of its wait', async () => {
    let calls = 0
    const { pool, clock } = hooked(() => Promise.reject(new Error(`no ${++calls}`)), { acquireTimeoutMs: 10_000 })
    const [waiting] = await ask(pool, 1)
    await clock.advance(10_000)
    expect(waiting?.error).toBeInstanceOf(AcquireTimeoutError)
    expect(waiting?.error).toMatchObject({ cause: { name: 'ConnectError', cause: { name: 'HookError' } } })
    expect(calls).toBeLessThanOrEqual(50)
    expect(counts(pool)).toEqual(empty)
  })

  it('makes start() with failFast fail with the same error', async () => {
    const { pool } = hooked(() => Promise.reject(reason), { min: 1 })
    await expect(pool.start({ failFast: true })).rejects.toMatchObject({
      name: 'ConnectError',
      cause: { name: 'HookError', cause: reason },
    })
  })
})

describe('a beforeConnect hook that hangs', () => {
  it('is given up after hooks.timeoutMs, its signal fires, and the place is free', async () => {
    const { pool, clock, driver, hook } = held()
    const [waiting] = await ask(pool, 1)
    const { signal } = hook.call(1).context
    await clock.advance(4_999.9)
    expect(signal.aborted).toBe(false)
    expect(counts(pool)).toEqual({ ...empty, connecting: 1, waiting: 1 })
    const events = await eventsOf('moorings:connect:failed', () => clock.advance(0.1))
    expect(signal.reason).toBeInstanceOf(HookError)
    expect(events).toMatchObject([
      { error: { name: 'ConnectError', cause: { name: 'HookError', hook: 'beforeConnect' } } },
    ])
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
    expect(driver.attempts).toHaveLength(0)
    await clock.advance(25)
    hook.call(2).answer(undefined)
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('is limited by connectTimeoutMs as well', async () => {
    const { pool, clock, hook } = held({ connectTimeoutMs: 100 })
    const [waiting] = await ask(pool, 1)
    const events = await eventsOf('moorings:connect:failed', async () => {
      await clock.advance(99.9)
      expect(counts(pool)).toEqual({ ...empty, connecting: 1, waiting: 1 })
      await clock.advance(0.1)
    })
    expect(events).toMatchObject([{ error: { name: 'ConnectError', message: expect.stringContaining('100 ms') } }])
    await clock.advance(25)
    hook.call(2).answer(undefined)
    await settled()
    expect(waiting?.state).toBe('resolved')
  })

  it.each([
    ['hooks.timeoutMs', 10_000],
    ['connectTimeoutMs', 100],
  ])('and answers after %s opens nothing any more', async (_, connectTimeoutMs) => {
    const { pool, clock, driver, hook } = held({ connectTimeoutMs })
    await ask(pool, 1)
    await clock.advance(Math.min(5_000, connectTimeoutMs))
    hook.call(1).answer({ password: 'too late' })
    await settled()
    expect(driver.attempts).toHaveLength(0)
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
  })

  it('is one failure, not two, when both limits pass', async () => {
    const { pool, clock } = held({ connectTimeoutMs: 100, acquireTimeoutMs: 50 })
    const events = await eventsOf('moorings:connect:failed', async () => {
      await ask(pool, 1)
      await clock.advance(60_000)
    })
    expect(events).toHaveLength(1)
  })
})
