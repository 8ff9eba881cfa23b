// The hook before a connection's goodbye: what it is called for, and that nothing it does keeps the connection open.

import { afterEach, describe, expect, it } from '@jest/globals'
import { HookError } from '../errors.js'
import type { CloseReason } from '../events.js'
import type { HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type FakePool, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { watch } from '../testing/watch.js'

type Context = HookContext & { readonly reason: CloseReason }

function hooked(beforeClose: HookOptions['beforeClose'], options: PoolOptions = {}): Fixture {
  return fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks: { beforeClose } })
}

/** A connection on its way out, which the hook holds up. */
async function leaving(options: PoolOptions = {}) {
  const hook = new HeldCalls<Context, undefined>()
  const setup = hooked(hook.hook, options)
  const lease = await takeOne(setup.pool)
  lease.invalidate()
  lease.release()
  await settled()
  return { ...setup, hook, connection: setup.driver.connection(1) }
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('the beforeClose hook', () => {
  const closes: [CloseReason, PoolOptions, (pool: FakePool, setup: Fixture) => Promise<unknown>][] = [
    ['overflow', { overflow: 1 }, async (pool) => (await take(pool, 2)).at(-1)?.release()],
    [
      'lifetime',
      { maxLifetimeMs: 60_000 },
      async (pool, { clock }) => {
        const lease = await takeOne(pool)
        await clock.advance(60_000)
        lease.release()
      },
    ],
    ['uses', { maxUses: 1 }, async (pool) => (await takeOne(pool)).release()],
    [
      'idle',
      { idleTimeoutMs: 60_000 },
      async (pool, { clock }) => {
        ;(await takeOne(pool)).release()
        await clock.advance(60_000)
      },
    ],
    [
      'epoch',
      {},
      async (pool) => {
        ;(await takeOne(pool)).release()
        pool.invalidate()
      },
    ],
    [
      'unfit',
      {},
      async (pool) => {
        const lease = await takeOne(pool)
        lease.declare('other')
        lease.release()
      },
    ],
    [
      'closing',
      {},
      async (pool) => {
        ;(await takeOne(pool)).release()
        await pool.close()
      },
    ],
  ]

  it.each(closes)('is told when a connection is closed for %s', async (reason, options, close) => {
    const seen: unknown[] = []
    const setup = hooked(({ connection, reason, signal }) => {
      // It still lives, and can be used.
      seen.push({ reason, lost: connection.lost, aborted: signal.aborted })
    }, options)
    await close(setup.pool, setup)
    await settled()
    expect(seen).toEqual([{ reason, lost: undefined, aborted: false }])
    expect(setup.driver.connections.filter(({ ended }) => ended === 'closed')).toHaveLength(1)
  })

  it('is told when afterRelease has a connection closed', async () => {
    const seen: CloseReason[] = []
    const { pool } = fixture({}, undefined, {
      hooks: { afterRelease: () => 'destroy', beforeClose: ({ reason }) => void seen.push(reason) },
    })
    const lease = await takeOne(pool)
    lease.release()
    await settled()
    expect(seen).toEqual(['hook'])
  })

  it('is not called for a connection that is dead, or is to go at once', async () => {
    let calls = 0
    const { pool, driver } = hooked(() => void calls++, { max: 3 })
    const [first, second, third] = await take(pool, 3)
    driver.connection(1).lose()
    first?.release()
    second?.release()
    pool.evict({ id: 2 })
    driver.connection(3).next('statement', 'held')
    const statement = watch(driver.connection(3).statement())
    third?.release()
    await settled()
    expect(statement.state).toBe('rejected')
    expect(counts(pool)).toEqual(empty)
    expect(calls).toBe(0)
  })

  it('comes before the goodbye, and may use the connection', async () => {
    const { pool, driver } = hooked(async ({ connection }) => {
      await connection.execute({ text: 'unlisten *' })
    })
    const lease = await takeOne(pool)
    lease.release()
    await pool.close()
    expect(driver.connection(1).sent).toEqual(['unlisten *', 'close'])
  })

  it('keeps nobody waiting: the place of the connection is free already', async () => {
    const { pool, hook, connection } = await leaving()
    expect(connection.open).toBe(true)
    expect(counts(pool)).toEqual(empty)
    expect((await takeOne(pool)).connection.id).toBe(2)
    hook.call(1).answer(undefined)
    await settled()
    expect(connection.ended).toBe('closed')
  })
})

describe('a beforeClose hook that fails', () => {
  const reason = new Error('nobody to say goodbye to')

  it.each<[string, () => Promise<void>]>([
    [
      'throws',
      () => {
        throw reason
      },
    ],
    ['rejects', () => Promise.reject(reason)],
  ])('because it %s is told, and the connection is closed all the same', async (_, fail) => {
    const setup = hooked(fail)
    const lease = await takeOne(setup.pool)
    lease.release()
    const failures = await eventsOf('moorings:hook:failed', () => setup.pool.close())
    expect(failures).toMatchObject([{ ...setup.pool.identity, hook: 'beforeClose', id: 1, error: { cause: reason } }])
    expect(failures[0]?.error).toBeInstanceOf(HookError)
    expect(setup.driver.connection(1).sent).toEqual(['close'])
    expect(setup.driver.connection(1).ended).toBe('closed')
    await expectNothingLeft(setup)
  })

  it('because it hangs is given up after hooks.timeoutMs, and the connection says goodbye', async () => {
    const { clock, hook, connection } = await leaving()
    const { signal } = hook.call(1).context
    await clock.advance(4_999.9)
    expect(signal.aborted).toBe(false)
    expect(connection.open).toBe(true)
    const failures = await eventsOf('moorings:hook:failed', () => clock.advance(0.1))
    expect(signal.reason).toBeInstanceOf(HookError)
    expect(failures).toMatchObject([{ hook: 'beforeClose', id: 1 }])
    expect(connection.sent).toEqual(['close'])
    expect(connection.ended).toBe('closed')
  })

  it('because it hangs has no longer than closeTimeoutMs, goodbye included', async () => {
    const { clock, hook, connection } = await leaving({ closeTimeoutMs: 500 })
    await clock.advance(499.9)
    expect(connection.open).toBe(true)
    await clock.advance(0.1)
    expect(connection.ended).toBe('destroyed')
    hook.call(1).answer(undefined)
    await settled()
    expect(connection.sent).toEqual([])
  })

  it('leaves the goodbye what is left of closeTimeoutMs', async () => {
    const { clock, hook, connection } = await leaving({ closeTimeoutMs: 500 })
    connection.next('close', 'held')
    await clock.advance(400)
    hook.call(1).answer(undefined)
    await clock.advance(99.9)
    expect(connection.sent).toEqual(['close'])
    expect(connection.open).toBe(true)
    await clock.advance(0.1)
    expect(connection.ended).toBe('destroyed')
  })
})

describe('close', () => {
  it('waits for the hooks of all connections, which are called side by side', async () => {
    const hook = new HeldCalls<Context, undefined>()
    const setup = hooked(hook.hook, { min: 3, max: 3 })
    await setup.pool.start()
    const closed = watch(setup.pool.close())
    await settled()
    expect(hook.calls.map(({ context }) => context.connection.id)).toEqual([1, 2, 3])
    hook.call(1).answer(undefined)
    hook.call(2).answer(undefined)
    await settled()
    expect(closed.state).toBe('pending')
    hook.call(3).answer(undefined)
    await settled()
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('takes no longer than its limit for a connection that was leaving already, under a limit of its own', async () => {
    const { hook, ...setup } = await leaving({ closeTimeoutMs: 10_000 })
    const closed = watch(setup.pool.close({ timeoutMs: 100 }))
    await setup.clock.advance(99.9)
    expect(closed.state).toBe('pending')
    await setup.clock.advance(0.1)
    expect(closed.state).toBe('resolved')
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    await expectNothingLeft(setup)
    expect(hook.calls).toHaveLength(1)
  })

  it('takes no longer than its limit though a hook hangs', async () => {
    const hook = new HeldCalls<Context, undefined>()
    const setup = hooked(hook.hook)
    const [first] = await ask(setup.pool, 1)
    first?.value.release()
    const closed = watch(setup.pool.close({ timeoutMs: 100 }))
    await setup.clock.advance(99.9)
    expect(closed.state).toBe('pending')
    await setup.clock.advance(0.1)
    expect(closed.state).toBe('resolved')
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    await expectNothingLeft(setup)
  })
})
