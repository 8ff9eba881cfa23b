// The hook before each borrow: when it is asked, about which connection, and for whom.

import { afterEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError } from '../errors.js'
import type { AcquireVerdict, HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'
import { watch } from '../testing/watch.js'

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

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('the beforeAcquire hook', () => {
  it('is asked once for each borrow, the first one of a new connection included', async () => {
    const asked: number[] = []
    const { pool } = hooked(({ connection }) => void asked.push(connection.id))
    for (let turn = 0; turn < 3; turn++) {
      expect(pool.tryAcquire()).toBeUndefined()
      const lease = await takeOne(pool)
      lease.release()
    }
    expect(asked).toEqual([1, 1, 1])
  })

  it('is asked once for a caller that is handed the connection of another', async () => {
    const asked: number[] = []
    const { pool } = hooked(({ connection }) => void asked.push(connection.id))
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    expect(asked).toHaveLength(1)
    lease.release()
    await settled()
    expect(waiting?.state).toBe('resolved')
    expect(asked).toHaveLength(2)
  })

  it('is not asked when nobody wants the connection', async () => {
    let calls = 0
    const { pool, clock, driver } = hooked(() => void calls++, { min: 2, max: 2, keepaliveMs: 1_000 })
    await pool.start()
    await clock.advance(5_000)
    expect(driver.connection(1).sent).toContain('ping')
    expect(calls).toBe(0)
  })

  it('is asked after the connection was found alive, and not about a dead one', async () => {
    const { pool, driver, clock, hook } = await held(2, { validateAfterIdleMs: 1_000 })
    await clock.advance(1_000)
    driver.connection(1).next('ping', new Error('no'))
    driver.connection(2).next('ping', 'held')
    const [waiting] = await ask(pool, 1)
    expect(hook.calls).toHaveLength(0)
    driver.connection(2).held('ping').ok()
    await settled()
    expect(hook.calls.map(({ context }) => context.connection.id)).toEqual([2])
    hook.call(1).answer('use')
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('is not asked about a connection whose caller went while it was looked at', async () => {
    const { pool, driver, clock, hook } = await held(1, { validateAfterIdleMs: 1_000, acquireTimeoutMs: 100 })
    await clock.advance(1_000)
    driver.connection(1).next('ping', 'held')
    await ask(pool, 1)
    await clock.advance(100)
    driver.connection(1).held('ping').ok()
    await settled()
    expect(hook.calls).toHaveLength(0)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is asked about no more connections than there are callers', async () => {
    const { pool, hook } = await held(3)
    await ask(pool, 1)
    expect(hook.calls.map(({ context }) => context.connection.id)).toEqual([1])
    hook.call(1).answer('replace')
    await settled()
    expect(hook.calls.map(({ context }) => context.connection.id)).toEqual([1, 2])
  })

  it('is asked side by side for callers that come at once, each about another connection', async () => {
    const { pool, hook } = await held(3)
    const asked = await ask(pool, 3)
    expect(hook.calls.map(({ context }) => context.connection.id)).toEqual([1, 2, 3])
    for (const { answer } of hook.calls) answer(undefined)
    await settled()
    expect(asked.map(({ value }) => value.connection.id)).toEqual([1, 2, 3])
  })

  it('keeps the connection from everybody else while it thinks', async () => {
    const { pool, driver, hook } = await held(1)
    const [first, second] = await ask(pool, 2)
    expect(hook.calls).toHaveLength(1)
    expect(counts(pool)).toEqual({ ...empty, idle: 1, waiting: 2 })
    hook.call(1).answer('use')
    await settled()
    expect([first?.state, second?.state]).toEqual(['resolved', 'pending'])
    expect(hook.calls).toHaveLength(1)
    expect(driver.attempts).toHaveLength(1)
  })
})

describe('a caller that goes while beforeAcquire is asked', () => {
  it('leaves the connection to the pool, where the next caller is asked about anew', async () => {
    const { pool, hook } = await held(1)
    const abort = new AbortController()
    const gone = watch(pool.acquire({ signal: abort.signal }))
    await settled()
    abort.abort()
    hook.call(1).answer('use')
    await settled()
    expect(gone.error).toMatchObject({ name: 'AcquireAbortedError' })
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    const [next] = await ask(pool, 1)
    hook.call(2).answer('use')
    await settled()
    expect(next?.value.connection.id).toBe(1)
  })

  it('because its time is over does not stop the hook, whose connection stays', async () => {
    const { pool, clock, hook } = await held(1, { acquireTimeoutMs: 100 })
    const [waiting] = await ask(pool, 1)
    await clock.advance(100)
    expect(waiting?.error).toBeInstanceOf(AcquireTimeoutError)
    expect(hook.call(1).context.signal.aborted).toBe(false)
    hook.call(1).answer('use')
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('leaves the verdict to the next in line', async () => {
    const { pool, hook } = await held(1)
    const abort = new AbortController()
    watch(pool.acquire({ signal: abort.signal }))
    const [next, last] = await ask(pool, 2)
    abort.abort()
    hook.call(1).answer('use')
    await settled()
    expect(next?.value.connection.id).toBe(1)
    expect(last?.state).toBe('pending')
    expect(hook.calls).toHaveLength(1)
  })

  it('takes a connection that is to be replaced with it, and nobody gets an error', async () => {
    const { pool, driver, hook } = await held(1)
    const abort = new AbortController()
    const gone = watch(pool.acquire({ signal: abort.signal }))
    await settled()
    abort.abort()
    hook.call(1).answer('replace')
    await settled()
    expect(gone.error).toMatchObject({ name: 'AcquireAbortedError' })
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(counts(pool)).toEqual(empty)
  })
})
