// What is done to a new connection before anybody is lent it: the SQL of onConnect, then the afterConnect hook.

import { afterEach, describe, expect, it } from '@jest/globals'
import { ConnectError, ConnectionLostError, HookError, StatementError } from '../errors.js'
import type { HookContext, HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { HeldCalls } from '../testing/held-calls.js'

const onConnect = "set application_name = 'shop'"

function hooked(afterConnect: HookOptions['afterConnect'], options: PoolOptions = {}): Fixture {
  return fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks: { afterConnect } })
}

/** Its hook's calls wait for the test. */
function held(options: PoolOptions = {}) {
  const hook = new HeldCalls<HookContext, undefined>()
  return { hook, ...hooked(hook.hook, options) }
}

/** Nobody has got the connection, its place is free, and whoever waits gets the next one after the pause. */
async function expectAnother({ pool, driver, clock }: Fixture, waiting: { state: string } | undefined): Promise<void> {
  expect(driver.connection(1).ended).toBe('destroyed')
  expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
  await clock.advance(12)
  expect(driver.attempts).toHaveLength(1)
  await clock.advance(13)
  expect(waiting?.state).toBe('resolved')
  expect(pool.stats().connections).toMatchObject([{ id: 2, state: 'leased' }])
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('onConnect', () => {
  it('is run on each new connection before anybody gets it, and not for a later borrow', async () => {
    const { pool, driver } = fixture({ max: 2, overflow: 0, onConnect })
    driver.always('statement', 'held')
    const asked = await ask(pool, 2)
    expect(counts(pool)).toEqual({ ...empty, connecting: 2, waiting: 2 })
    for (const connection of driver.connections) connection.held('statement').ok()
    await settled()
    for (const { value } of asked) value.release()
    await take(pool, 2)
    expect(driver.connections.map(({ sent }) => sent)).toEqual([[onConnect], [onConnect]])
  })

  it('that can never work fails all who wait at once, when nothing lives', async () => {
    const { pool, driver } = fixture({ min: 2, onConnect: 'selekt 1' })
    const reason = new StatementError('syntax error at or near "selekt"', { code: '42601' })
    driver.always('statement', reason)
    const asked = await ask(pool, 3)
    for (const { error } of asked) {
      expect(error).toBeInstanceOf(ConnectError)
      expect(error).toMatchObject({ code: '42601', retry: 'never', cause: reason })
      expect(error).toMatchObject({ message: expect.stringContaining('onConnect') })
    }
    expect(driver.open).toEqual([])
    expect(counts(pool)).toEqual(empty)
  })

  it('that can never work makes start() fail at once', async () => {
    const { pool, driver } = fixture({ min: 1, onConnect })
    driver.always('statement', new StatementError('permission denied', { code: '42501' }))
    await expect(pool.start()).rejects.toMatchObject({ name: 'ConnectError', code: '42501' })
  })

  it('that fails does not reject those who wait while a connection lives', async () => {
    const { pool, driver, clock } = fixture({ max: 2, overflow: 0, onConnect })
    const lease = await takeOne(pool)
    driver.always('statement', new StatementError('no such schema', { code: '3F000' }))
    const [waiting] = await ask(pool, 1)
    await clock.advance(5_000)
    expect(waiting?.state).toBe('pending')
    expect(driver.attempts.length).toBeLessThanOrEqual(50)
    lease.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(1)
  })

  it('that fails for a reason which may pass is tried again on another connection', async () => {
    const setup = fixture({ max: 1, overflow: 0, onConnect })
    const { pool, driver } = setup
    driver.always('statement', new ConnectionLostError('terminating connection', { code: '57P01' }))
    const [waiting] = await ask(pool, 1)
    driver.always('statement', 'ok')
    await expectAnother(setup, waiting)
  })

  it.each([
    ['hooks.timeoutMs', 5_000, 10_000],
    ['connectTimeoutMs', 300, 300],
  ])('that hangs is given up by %s', async (_, ms, connectTimeoutMs) => {
    const setup = fixture({ max: 1, overflow: 0, onConnect, connectTimeoutMs })
    const { pool, driver, clock } = setup
    driver.always('statement', 'held')
    const [waiting] = await ask(pool, 1)
    await clock.advance(ms - 0.1)
    expect(driver.connection(1).open).toBe(true)
    driver.always('statement', 'ok')
    const events = await eventsOf('moorings:connect:failed', () => clock.advance(0.1))
    expect(events).toMatchObject([{ error: { name: 'ConnectError', retry: 'reconnect' } }])
    await expectAnother(setup, waiting)
  })
})

describe('the afterConnect hook', () => {
  it('is called once for each new connection, after onConnect, before anybody gets it', async () => {
    const steps: string[] = []
    const { pool } = hooked(
      ({ connection }) => void steps.push(`hook ${connection.id} after ${connection.statements}`),
      {
        max: 2,
        onConnect,
      },
    )
    const opened = await eventsOf('moorings:connection:opened', async () => {
      for (const { value } of await ask(pool, 2)) value.release()
    })
    await take(pool, 2)
    expect(steps).toEqual(['hook 1 after 1', 'hook 2 after 1'])
    expect(opened).toHaveLength(2)
  })

  it('is waited for: until then it is a connect under way', async () => {
    const { pool, hook } = held()
    const [waiting] = await ask(pool, 1)
    expect(counts(pool)).toEqual({ ...empty, connecting: 1, waiting: 1 })
    hook.call(1).answer(undefined)
    await settled()
    expect(waiting?.state).toBe('resolved')
    expect(hook.call(1).context.signal.aborted).toBe(false)
  })

  it('sets the session up for good: the first return undoes nothing of it', async () => {
    const { pool, driver } = hooked(({ connection }) => connection.declare('settings'))
    const lease = await takeOne(pool)
    expect(lease.connection.sessionState).toBe('clean')
    lease.release()
    await settled()
    expect(driver.connection(1).sent).toEqual(['declare settings'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })
})

describe('an afterConnect hook that fails', () => {
  const reason = new Error('no such role')
  const ways: [string, () => void | Promise<void>][] = [
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
      const [{ error } = { error: undefined }] = events
      expect(events).toHaveLength(1)
      expect(error).toBeInstanceOf(ConnectError)
      expect(error).toMatchObject({ retry: 'reconnect' })
      expect(error?.cause).toBeInstanceOf(HookError)
      expect(error?.cause).toMatchObject({ hook: 'afterConnect', cause: reason })
    })
    expect(failures).toMatchObject([{ ...pool.identity, hook: 'afterConnect', id: 1, error: { cause: reason } }])
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(pool.stats()).toMatchObject({ created: 0, connectFailures: 1 })
  })

  it.each(ways)('because it %s is called again on another connection for who waits', async (_, fail) => {
    const setup = hooked(({ connection }) => (connection.id === 1 ? fail() : undefined))
    const [waiting] = await ask(setup.pool, 1)
    await expectAnother(setup, waiting)
  })

  it('every time is no hot loop', async () => {
    const { pool, driver, clock } = hooked(() => Promise.reject(reason))
    await ask(pool, 1)
    await clock.advance(10_000)
    expect(driver.attempts.length).toBeLessThanOrEqual(50)
    expect(driver.open).toEqual([])
  })

  it('because it left a transaction open is told so, and trying again cannot help', async () => {
    const { pool, driver } = hooked(({ connection }) => connection.begin())
    const [waiting] = await ask(pool, 1)
    expect(waiting?.error).toBeInstanceOf(ConnectError)
    expect(waiting?.error).toMatchObject({ retry: 'never', message: expect.stringContaining('transaction') })
    expect(driver.open).toEqual([])
    expect(counts(pool)).toEqual(empty)
  })

  it('because it left a statement running is told so', async () => {
    const { pool, driver } = hooked(({ connection }) => void connection.execute({ text: 'slow' }).catch(() => {}))
    driver.always('statement', 'held')
    const [waiting] = await ask(pool, 1)
    expect(waiting?.error).toMatchObject({ name: 'ConnectError', message: expect.stringContaining('running') })
    expect(driver.open).toEqual([])
  })
})

describe('an afterConnect hook that hangs', () => {
  it('is given up after hooks.timeoutMs, and its signal fires', async () => {
    const { hook, ...setup } = held()
    const [waiting] = await ask(setup.pool, 1)
    const { signal } = hook.call(1).context
    await setup.clock.advance(4_999.9)
    expect(signal.aborted).toBe(false)
    expect(setup.driver.connection(1).open).toBe(true)
    await setup.clock.advance(0.1)
    expect(signal.reason).toBeInstanceOf(HookError)
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    expect(counts(setup.pool)).toEqual({ ...empty, waiting: 1 })
    await setup.clock.advance(25)
    hook.call(2).answer(undefined)
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('is limited by connectTimeoutMs as well, and what comes of it later is nobody’s', async () => {
    const { hook, pool, driver, clock } = held({ connectTimeoutMs: 100 })
    const [waiting] = await ask(pool, 1)
    await clock.advance(100)
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(counts(pool)).toEqual({ ...empty, waiting: 1 })
    hook.call(1).answer(undefined)
    await settled()
    expect(waiting?.state).toBe('pending')
    expect(pool.stats().created).toBe(0)
    await clock.advance(25)
    hook.call(2).answer(undefined)
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('does not keep another caller from a connection of its own', async () => {
    const { pool, hook } = held({ max: 2 })
    const [first, second] = await ask(pool, 2)
    hook.call(2).answer(undefined)
    await settled()
    expect(first?.value.connection.id).toBe(2)
    expect(second?.state).toBe('pending')
  })
})
