// The pool closed from inside a hook, and a connection that dies under one.

import { afterEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError, MooringsError } from '../errors.js'
import type { AcquireVerdict, HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf, listening } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { type Watched, watch } from '../testing/watch.js'

const names = ['beforeConnect', 'afterConnect', 'beforeAcquire', 'afterRelease', 'beforeClose'] as const
type Name = (typeof names)[number]

/** The hook is `run`, whichever it is. */
function hooked(name: Name, run: () => unknown, options: PoolOptions = {}): Fixture {
  const hooks: HookOptions = {
    [name]: async () => {
      await run()
    },
  }
  return fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks })
}

/** What a pool of one does in its life: three callers, one after the other, whoever gets a connection gives it back. */
async function live({ pool, clock }: Fixture, ms = 30_000): Promise<Watched<void>[]> {
  const callers = [1, 2, 3].map(() => watch(pool.lease(() => {})))
  await settled()
  pool.invalidate()
  await clock.advance(ms)
  return callers
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe.each(names)('close from inside %s', (name) => {
  it('ends, though the hook waits for it; nobody hangs, and nothing is left', async () => {
    let closed: Watched<void> | undefined
    const setup = hooked(name, () => {
      const closing = setup.pool.close()
      closed ??= watch(closing)
      return closing
    })
    const callers = await live(setup)
    expect(closed?.state).toBe('resolved')
    for (const { state } of callers) expect(state).not.toBe('pending')
    await expectNothingLeft(setup)
  })

  it('ends, though the hook never does', async () => {
    let closed: Watched<void> | undefined
    const setup = hooked(
      name,
      () => {
        closed ??= watch(setup.pool.close())
        return new Promise(() => {})
      },
      { closeTimeoutMs: 500 },
    )
    const callers = await live(setup, 500)
    expect(closed?.state).toBe('resolved')
    for (const { state } of callers) expect(state).not.toBe('pending')
    await expectNothingLeft(setup)
  })

  it('ends, though the hook fails after it', async () => {
    let closed: Watched<void> | undefined
    const setup = hooked(name, async () => {
      closed ??= watch(setup.pool.close())
      await settled()
      throw new Error('and now this')
    })
    const callers = await live(setup)
    expect(closed?.state).toBe('resolved')
    for (const { state } of callers) expect(state).not.toBe('pending')
    await expectNothingLeft(setup)
  })

  it('or from what listens to its failure, leaves nothing', async () => {
    let closed: Watched<void> | undefined
    const setup = hooked(name, () => Promise.reject(new Error('no')))
    const close = () => {
      closed ??= watch(setup.pool.close())
    }
    await listening('moorings:hook:failed', close, async () => {
      const callers = await live(setup)
      expect(closed?.state).toBe('resolved')
      for (const { state } of callers) expect(state).not.toBe('pending')
    })
    await expectNothingLeft(setup)
  })
})

it.each(['beforeAcquire', 'afterRelease'] as const)(
  'close from inside %s that does not wait for it says goodbye as soon as the hook has ended',
  async (name) => {
    const setup = hooked(name, () => void setup.pool.close())
    watch(setup.pool.lease(() => {}))
    await settled()
    expect(setup.driver.connection(1).ended).toBe('closed')
    expect(setup.pool.stats().state).toBe('closed')
    await expectNothingLeft(setup)
  },
)

describe.each(names)('%s failing all the time', (name) => {
  it('leaves no caller without an answer, no connection, and no timer', async () => {
    const setup = hooked(name, () => Promise.reject(new Error('no')), { acquireTimeoutMs: 5_000 })
    const callers = await live(setup)
    for (const caller of callers) {
      expect(caller.state).not.toBe('pending')
      if (caller.state === 'rejected') expect(caller.error).toBeInstanceOf(MooringsError)
    }
    await setup.pool.close()
    await expectNothingLeft(setup)
  })
})

describe('a connection that dies', () => {
  it('while onConnect runs on it is a failed connect', async () => {
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0, onConnect: 'select 1' })
    driver.always('statement', 'held')
    const [waiting] = await ask(pool, 1)
    const events = await eventsOf('moorings:connect:failed', async () => {
      driver.connection(1).lose(new ConnectionLostError('going down', { code: '57P01' }))
      await settled()
    })
    expect(events).toMatchObject([{ error: { name: 'ConnectError', code: '57P01' } }])
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
    driver.always('statement', 'ok')
    await clock.advance(25)
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('in afterConnect is never lent, whatever the hook says', async () => {
    const hook = new HeldCalls<HookContext, undefined>()
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 }, undefined, { hooks: { afterConnect: hook.hook } })
    const [waiting] = await ask(pool, 1)
    driver.connection(1).lose()
    hook.call(1).answer(undefined)
    await settled()
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
    await clock.advance(25)
    hook.call(2).answer(undefined)
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('in beforeAcquire is replaced at once, without waiting for the hook', async () => {
    const hook = new HeldCalls<HookContext, AcquireVerdict>()
    const { pool, driver, clock } = fixture({ min: 1, max: 1, overflow: 0 }, undefined, {
      hooks: { beforeAcquire: hook.hook },
    })
    await pool.start()
    await clock.advance(60_000)
    const [waiting] = await ask(pool, 1)
    driver.connection(1).lose()
    await settled()
    expect(hook.call(2).context.connection.id).toBe(2)
    hook.call(2).answer('use')
    hook.call(1).answer('use')
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    expect(pool.stats()).toMatchObject({ ...empty, leased: 1, created: 2, closed: 1, lost: 1 })
  })

  it('in afterRelease frees its place at once, and is counted once', async () => {
    const hook = new HeldCalls<HookContext, 'keep' | undefined>()
    const { pool, driver, clock } = fixture({ max: 1, overflow: 0 }, undefined, { hooks: { afterRelease: hook.hook } })
    const lease = await takeOne(pool)
    await clock.advance(60_000)
    lease.release()
    const [waiting] = await ask(pool, 1)
    driver.connection(1).lose()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    hook.call(1).answer('keep')
    await settled()
    expect(pool.stats()).toMatchObject({ ...empty, leased: 1, created: 2, closed: 1, lost: 1 })
  })

  it('in beforeClose has no goodbye to say, and was counted already', async () => {
    const hook = new HeldCalls<HookContext, undefined>()
    const setup = fixture({}, undefined, { hooks: { beforeClose: hook.hook } })
    const { pool, driver } = setup
    const lease = await takeOne(pool)
    lease.release()
    const closed = watch(pool.close())
    await settled()
    driver.connection(1).lose()
    hook.call(1).answer(undefined)
    await settled()
    expect(closed.state).toBe('resolved')
    expect(driver.connection(1).sent).toEqual([])
    expect(pool.stats()).toMatchObject({ created: 1, closed: 1, lost: 0, closedBy: { closing: 1, lost: 0 } })
    await expectNothingLeft(setup)
  })
})
