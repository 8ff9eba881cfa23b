// What one borrower leaves on the session is not seen by the next, and a session left as it was found costs nothing.

import { afterEach, describe, expect, it } from '@jest/globals'
import type { SessionState } from '../driver.js'
import { LeaseReleasedError, StatementError } from '../errors.js'
import type { HookOptions } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const onConnect = "set search_path = 'shop'"

/** A leased connection whose session the borrower has changed, and a caller who waits for it. */
async function dirty(options: PoolOptions = {}, hooks: HookOptions = {}) {
  const setup = fixture({ max: 1, overflow: 0, ...options }, undefined, { hooks })
  const lease = await takeOne(setup.pool)
  const { connection } = lease
  lease.declare('settings')
  connection.sent.length = 0
  const [waiting] = await ask(setup.pool, 1)
  return { ...setup, lease, connection, waiting }
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('a session left as it was found', () => {
  it.each<[string, HookOptions]>([
    ['without hooks', {}],
    ['with every hook there is', { afterConnect: () => {}, beforeAcquire: () => 'use', afterRelease: () => 'keep' }],
  ])('costs nothing, %s: nothing at all is sent', async (_, hooks) => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 }, undefined, { hooks })
    for (let turn = 0; turn < 3; turn++) {
      const lease = await takeOne(pool)
      const [waiting] = await ask(pool, 1)
      lease.release()
      await settled()
      waiting?.value.release()
      await settled()
    }
    expect(driver.connections).toHaveLength(1)
    expect(driver.connection(1).sent).toEqual([])
  })

  it('is handed on in the same turn', async () => {
    const { pool } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    await ask(pool, 1)
    lease.release()
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })
})

describe('a session with something left on it', () => {
  const states: SessionState[] = ['settings', 'locks', 'temporary-tables', 'listens', 'cursors']

  it.each(states)('(%s) is reset before the next borrower gets it', async (left) => {
    const { pool } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    const { connection } = lease
    lease.declare(left)
    connection.next('reset', 'held')
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.state).toBe('pending')
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
    connection.held('reset').ok()
    await settled()
    expect(waiting?.value.connection).toBe(connection)
    expect(connection.sessionState).toBe('clean')
    expect(connection.sent).toEqual([`declare ${left}`, 'reset'])
  })

  it('is reset at the return, not at the next borrow, and once only', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.declare('locks')
    lease.release()
    await settled()
    expect(driver.connection(1).sent).toEqual(['declare locks', 'reset'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    const next = await takeOne(pool)
    next.release()
    await settled()
    expect(driver.connection(1).sent).toEqual(['declare locks', 'reset'])
  })

  it('in an open transaction besides is rolled back and undone in one reset', async () => {
    const { lease, connection, waiting } = await dirty()
    await connection.begin()
    lease.release()
    await settled()
    expect(connection.sent).toEqual(['begin', 'reset'])
    expect(waiting?.value.connection.transactionStatus).toBe('idle')
    expect(connection.sessionState).toBe('clean')
  })

  it('is told when it was reset, and how long that took', async () => {
    const { pool, clock, lease, connection } = await dirty()
    connection.next('reset', 'held')
    const events = await eventsOf('moorings:connection:reset', async () => {
      lease.release()
      await clock.advance(30)
      connection.held('reset').ok()
      await settled()
    })
    expect(events).toEqual([{ ...pool.identity, id: 1, tookMs: 30, error: undefined }])
  })
})

describe('what set the session up', () => {
  it('is done again after a reset: onConnect, afterConnect, then afterRelease, then the next borrower', async () => {
    const steps: string[] = []
    const { lease, connection, waiting } = await dirty(
      { onConnect },
      {
        afterConnect: ({ connection }) => void steps.push(`afterConnect after ${connection.statements}`),
        afterRelease: ({ connection }) => void steps.push(`afterRelease after ${connection.statements}`),
        beforeAcquire: ({ connection }) => void steps.push(`beforeAcquire after ${connection.statements}`),
      },
    )
    steps.length = 0
    lease.release()
    await settled()
    expect(connection.sent).toEqual(['reset', onConnect])
    expect(steps).toEqual(['afterConnect after 2', 'afterRelease after 2', 'beforeAcquire after 2'])
    expect(waiting?.value.connection).toBe(connection)
  })

  it('counts as how the session should be, again', async () => {
    const { pool, lease, connection, waiting } = await dirty(
      {},
      { afterConnect: (hook) => hook.connection.declare('settings') },
    )
    lease.release()
    await settled()
    expect(connection.sessionState).toBe('clean')
    waiting?.value.release()
    await settled()
    expect(connection.sent).toEqual(['reset', 'declare settings'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is not done again when only a transaction was rolled back', async () => {
    const { pool, driver } = fixture({ onConnect })
    const lease = await takeOne(pool)
    await lease.connection.begin()
    lease.release()
    await settled()
    expect(driver.connection(1).sent).toEqual([onConnect, 'begin', 'reset'])
  })

  it.each<[string, PoolOptions, HookOptions]>([
    ['onConnect', { onConnect }, {}],
    [
      'afterConnect',
      {},
      {
        // Only where something was done already.
        afterConnect({ connection }) {
          if (connection.statements > 0) throw new Error('no such role')
        },
      },
    ],
  ])('costs the connection when %s fails then, and whoever waits gets another', async (_, options, hooks) => {
    const { pool, lease, connection, waiting } = await dirty(options, hooks)
    connection.always('statement', new StatementError('no such schema'))
    const closed = await eventsOf('moorings:connection:closed', async () => {
      lease.release()
      await settled()
    })
    expect(connection.ended).toBe('destroyed')
    expect(closed).toMatchObject([{ id: 1, reason: 'unfit', error: { name: 'ConnectError' } }])
    expect(waiting?.value.connection.id).toBe(2)
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })

  it('costs the connection when it hangs then', async () => {
    const { clock, lease, connection, waiting } = await dirty({ onConnect })
    connection.next('statement', 'held')
    lease.release()
    await clock.advance(4_999.9)
    expect(connection.open).toBe(true)
    await clock.advance(0.1)
    expect(connection.ended).toBe('destroyed')
    expect(waiting?.value.connection.id).toBe(2)
  })
})

describe('a reset that', () => {
  it('hangs destroys the connection within five seconds, and whoever waits gets another', async () => {
    const { clock, lease, connection, waiting } = await dirty()
    connection.next('reset', 'held')
    lease.release()
    const { signal } = connection.held('reset')
    await clock.advance(4_999.9)
    expect(connection.open).toBe(true)
    const events = await eventsOf('moorings:connection:reset', () => clock.advance(0.1))
    expect(events).toMatchObject([{ id: 1, tookMs: 5_000, error: { name: 'ConnectionLostError' } }])
    expect(signal?.aborted).toBe(true)
    expect(connection.ended).toBe('destroyed')
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('fails destroys the connection, and nothing more is done to it', async () => {
    let calls = 0
    const { lease, connection, waiting } = await dirty({ onConnect }, { afterRelease: () => void calls++ })
    connection.next('reset', new StatementError('no'))
    lease.release()
    await settled()
    expect(connection.ended).toBe('destroyed')
    expect(connection.sent).toEqual(['reset'])
    expect(waiting?.value.connection.id).toBe(2)
    expect(calls).toBe(0)
  })

  it('is under way when the connection is lost frees its place at once, and is counted once', async () => {
    const { pool, clock, lease, connection, waiting } = await dirty()
    await clock.advance(1_000)
    connection.next('reset', 'held')
    lease.release()
    connection.lose()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
    expect(pool.stats()).toMatchObject({ created: 2, closed: 1, lost: 1 })
  })
})

describe('a session that nothing can undo', () => {
  it('is replaced politely rather than lent again, and not reset', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.declare('other')
    const closed = await eventsOf('moorings:connection:closed', async () => {
      lease.release()
      await settled()
    })
    expect(driver.connection(1).ended).toBe('closed')
    expect(driver.connection(1).sent).toEqual(['declare other', 'close'])
    expect(closed).toMatchObject([{ id: 1, reason: 'unfit', error: undefined }])
    expect((await takeOne(pool)).connection.id).toBe(2)
  })

  it('keeps nobody waiting: a new connection is made at that moment', async () => {
    const { pool } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.declare('other')
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('stays that when more is left on it', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.declare('other')
    lease.declare('settings')
    lease.release()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
  })
})

describe('lease.declare', () => {
  it('is refused once the lease was given back: the connection may be somebody else’s', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(pool)
    lease.release()
    expect(() => lease.declare('locks')).toThrow(LeaseReleasedError)
    expect(driver.connection(1).sessionState).toBe('clean')
  })

  it('makes lease() with a body clean up, too, whether or not the body fails', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    const failed = watch(
      pool.lease((lease) => {
        lease.declare('temporary-tables')
        throw new Error('oh')
      }),
    )
    await settled()
    expect(failed.error).toMatchObject({ message: 'oh' })
    expect(driver.connection(1).sent).toEqual(['declare temporary-tables', 'reset'])
  })
})
