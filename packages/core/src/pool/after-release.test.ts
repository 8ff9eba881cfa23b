// The hook after each return: when it is called, and what becomes of the connection.

import { afterEach, describe, expect, it } from '@jest/globals'
import { HookError } from '../errors.js'
import type { HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'
import { watch } from '../testing/watch.js'

function hooked(afterRelease: HookOptions['afterRelease'], options: PoolOptions = {}): Fixture {
  return fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks: { afterRelease } })
}

/** Its hook's calls wait for the test. */
function held(options: PoolOptions = {}) {
  const hook = new HeldCalls<HookContext & { readonly heldMs: number }, 'keep' | 'destroy' | undefined>()
  return { hook, ...hooked(hook.hook, options) }
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('the afterRelease hook', () => {
  it('is called once for each return, with how long the connection was held', async () => {
    const calls: [number, number][] = []
    const { pool, clock } = hooked(({ connection, heldMs }) => void calls.push([connection.id, heldMs]))
    for (const ms of [120, 0]) {
      const lease = await takeOne(pool)
      await clock.advance(ms)
      lease.release()
      lease.release()
      await settled()
    }
    expect(calls).toEqual([
      [1, 120],
      [1, 0],
    ])
  })

  it.each(['keep', undefined] as const)('that answers %s lets the next in line have the connection', async (answer) => {
    const { pool, driver, hook } = held()
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    // The connection keeps its place: nobody gets one too many meanwhile.
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
    hook.call(1).answer(answer)
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
    expect(driver.attempts).toHaveLength(1)
    expect(hook.call(1).context.signal.aborted).toBe(false)
  })

  it('that answers keep lets the connection rest when nobody waits', async () => {
    const { pool, driver } = hooked(() => 'keep')
    const lease = await takeOne(pool)
    lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(driver.connection(1).sent).toEqual([])
  })

  it('that answers destroy has the connection closed', async () => {
    const { pool, driver } = hooked(() => Promise.resolve('destroy'))
    const lease = await takeOne(pool)
    const closed = await eventsOf('moorings:connection:closed', async () => {
      lease.release()
      await settled()
    })
    expect(closed).toMatchObject([{ id: 1, reason: 'hook', error: undefined }])
    expect(driver.connection(1).ended).toBe('closed')
    expect(counts(pool)).toEqual(empty)
    expect((await takeOne(pool)).connection.id).toBe(2)
  })

  it('that answers destroy gives whoever waits another connection at that moment', async () => {
    const { pool } = hooked(() => 'destroy')
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('may use the connection, and leave it set up for good', async () => {
    const { pool, driver } = hooked(async ({ connection }) => {
      await connection.execute({ text: 'vacuum' })
      if (connection.statements === 1) connection.declare('settings')
    })
    for (let turn = 0; turn < 2; turn++) {
      const lease = await takeOne(pool)
      expect(lease.connection.sessionState).toBe('clean')
      lease.release()
      await settled()
    }
    expect(driver.connection(1).sent).toEqual(['vacuum', 'declare settings', 'vacuum'])
  })

  it.each<[string, (connection: HookContext['connection']) => unknown]>([
    ['a transaction open', (connection) => connection.begin()],
    ['a statement running', (connection) => void connection.execute({ text: 'slow' }).catch(() => {})],
  ])('that leaves %s costs the connection', async (_, leave) => {
    const { pool, driver } = hooked(async ({ connection }) => {
      await leave(connection)
    })
    driver.always('statement', 'held')
    const lease = await takeOne(pool)
    lease.release()
    await settled()
    expect(driver.open).toEqual([])
    expect(pool.stats()).toMatchObject({ ...empty, closedBy: { unfit: 1 } })
  })

  it('is not called for a connection that is gone, or is not to be kept', async () => {
    let calls = 0
    const { pool, driver } = hooked(() => void calls++, { max: 3 })
    const [lost, busy, spoilt] = await ask(pool, 3)
    lost?.value.connection.lose()
    driver.connection(2).next('statement', 'held')
    const statement = watch(driver.connection(2).statement())
    spoilt?.value.declare('other')
    for (const lease of [lost, busy, spoilt]) lease?.value.release()
    await settled()
    expect(calls).toBe(0)
    expect(statement.state).toBe('rejected')
    expect(counts(pool)).toEqual(empty)
  })
})

describe('an afterRelease hook that fails', () => {
  const reason = new Error('the audit log is full')

  it.each<[string, () => Promise<undefined>]>([
    [
      'throws',
      () => {
        throw reason
      },
    ],
    ['rejects', () => Promise.reject(reason)],
  ])('because it %s costs the connection, and whoever waits gets another', async (_, fail) => {
    const { pool, driver } = hooked(({ connection }) => (connection.id === 1 ? fail() : 'keep'))
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    const failures = await eventsOf('moorings:hook:failed', async () => {
      lease.release()
      await settled()
    })
    expect(failures).toMatchObject([{ ...pool.identity, hook: 'afterRelease', id: 1, error: { cause: reason } }])
    expect(failures[0]?.error).toBeInstanceOf(HookError)
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('because it hangs is given up after hooks.timeoutMs, and its signal fires', async () => {
    const { pool, clock, driver, hook } = held()
    const lease = await takeOne(pool)
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    const { signal } = hook.call(1).context
    await clock.advance(4_999.9)
    expect(signal.aborted).toBe(false)
    expect(driver.connection(1).open).toBe(true)
    const failures = await eventsOf('moorings:hook:failed', () => clock.advance(0.1))
    expect(signal.reason).toBeInstanceOf(HookError)
    expect(failures).toMatchObject([{ hook: 'afterRelease', id: 1 }])
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(waiting?.value.connection.id).toBe(2)
    hook.call(1).answer('keep')
    await settled()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })

  it('does not reach whoever gave the connection back', async () => {
    const { pool } = hooked(() => Promise.reject(reason))
    await expect(pool.lease(() => 'done')).resolves.toBe('done')
  })
})
