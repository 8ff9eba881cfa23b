// What a session lends, to whom and in which order; what it keeps, and what it gives back.

import { describe, expect, it } from '@jest/globals'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  ConnectionLostError,
  LeaseReleasedError,
  PropagationError,
  SessionBusyError,
  SessionEndedError,
} from '../errors.js'
import { outsideTransaction } from '../scope.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { counts, empty, type FakeLease, type FakePool, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { type Watched, watch } from '../testing/watch.js'
import type { Session } from './session.js'
import type { SessionOptions } from './session-options.js'

type FakeSession = Session<FakeConnection>

interface Opened extends Fixture {
  readonly session: FakeSession
  /** Of the session as a whole. */
  readonly result: Watched<unknown>
  /** Lets its body return. */
  end(): Promise<void>
}

/** A session whose body waits to be told to end. */
async function opened(options?: SessionOptions, pool = {}): Promise<Opened> {
  const setup = fixture({ acquireTimeoutMs: 1_000, ...pool })
  let end = () => {}
  const ended = new Promise<void>((resolve) => {
    end = resolve
  })
  let session: FakeSession | undefined
  const result = watch(
    setup.pool.session((begun) => {
      session = begun
      return ended
    }, options),
  )
  await settled()
  if (session === undefined) throw new Error('the body was not run')
  return {
    ...setup,
    session,
    result,
    async end() {
      end()
      await settled()
    },
  }
}

async function lease(session: FakeSession, brief = true): Promise<FakeLease> {
  const lease = watch(session.acquire({ brief }))
  await settled()
  return lease.value
}

describe('the connection of a session', () => {
  it('is taken with its first use, and is the same from use to use', async () => {
    const { session, pool, driver } = await opened()
    expect(counts(pool)).toEqual(empty)
    expect(session.tryAcquire()).toBeUndefined()
    const first = await lease(session)
    const { id } = first.connection
    first.release()
    for (const brief of [true, false]) {
      const next = await lease(session, brief)
      expect(next.connection.id).toBe(id)
      next.release()
    }
    const quick = session.tryAcquire()
    expect(quick?.connection.id).toBe(id)
    expect(driver.connections).toHaveLength(1)
    expect(counts(pool)).toMatchObject({ leased: 1 })
  })

  it('goes back when its body has returned, and what was left on it is undone', async () => {
    const { session, driver, pool, end, result } = await opened()
    const one = await lease(session)
    one.declare('settings')
    one.release()
    await end()
    expect(result.state).toBe('resolved')
    expect(driver.connection(1).sent).toContain('reset')
    expect(counts(pool)).toMatchObject({ idle: 1, leased: 0 })
  })

  it('is not reached any more by what still holds a part of it', async () => {
    const { session, end, pool } = await opened()
    const kept = await lease(session)
    await end()
    expect(() => kept.connection).toThrow(LeaseReleasedError)
    expect(session.tryAcquire()).toBeUndefined()
    await expect(session.acquire()).rejects.toBeInstanceOf(SessionEndedError)
    kept.release()
    expect(counts(pool)).toMatchObject({ idle: 1 })
  })

  it('goes when work was still under way on it', async () => {
    const { session, driver, end } = await opened()
    const { connection } = await lease(session)
    connection.next('statement', 'held')
    const stray = watch(connection.statement())
    await end()
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(stray.state).toBe('rejected')
  })

  it('that arrives when nobody wants it any more goes back', async () => {
    const { session, driver, end, pool } = await opened()
    driver.connects = 'deaf'
    const late = watch(session.acquire())
    await settled()
    await end()
    driver.attempt(1).succeed()
    await settled()
    expect(late.error).toBeInstanceOf(SessionEndedError)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is waited for by many with one connect, each with a limit and a signal of its own', async () => {
    const { session, driver, clock } = await opened()
    driver.connects = 'deaf'
    const abort = new AbortController()
    const [hasty, patient] = [
      watch(session.acquire({ brief: true, timeoutMs: 100 })),
      watch(session.acquire({ brief: true })),
    ]
    await clock.advance(100)
    expect(hasty.error).toBeInstanceOf(AcquireTimeoutError)
    expect(patient.state).toBe('pending')
    const aborted = watch(session.acquire({ brief: true, signal: abort.signal, timeoutMs: 2_000 }))
    driver.attempt(1).succeed()
    await settled()
    expect(patient.state).toBe('resolved')
    expect(aborted.state).toBe('resolved')
    expect(driver.attempts).toHaveLength(1)
  })
})

describe('turns', () => {
  it('are shared by single statements, and taken alone by a transaction, first come, first served', async () => {
    const { session } = await opened()
    const [a, b] = [await lease(session), await lease(session)]
    const alone = watch(session.acquire())
    const after = watch(session.acquire({ brief: true }))
    await settled()
    expect(session.tryAcquire()).toBeUndefined()
    a.release()
    await settled()
    expect([alone.state, after.state]).toEqual(['pending', 'pending'])
    b.release()
    await settled()
    expect([alone.state, after.state]).toEqual(['resolved', 'pending'])
    alone.value.release()
    await settled()
    expect(after.state).toBe('resolved')
  })

  it('are not waited for beyond acquireTimeoutMs, and whoever waited behind goes on', async () => {
    const { session, clock } = await opened({ acquireTimeoutMs: 200 })
    const statement = await lease(session)
    const alone = watch(session.acquire())
    await clock.advance(100)
    const behind = watch(session.acquire({ brief: true }))
    await clock.advance(99)
    expect([alone.state, behind.state]).toEqual(['pending', 'pending'])
    await clock.advance(1)
    expect(alone.error).toBeInstanceOf(SessionBusyError)
    expect(behind.state).toBe('resolved')
    statement.release()
  })

  it('are given up by a signal', async () => {
    const { session, clock } = await opened()
    const holder = await lease(session, false)
    const abort = new AbortController()
    const waiting = watch(session.acquire({ signal: abort.signal }))
    await settled()
    abort.abort()
    await settled()
    expect(waiting.error).toBeInstanceOf(AcquireAbortedError)
    expect(watch(session.acquire({ signal: abort.signal }))).toBeDefined()
    holder.release()
    const next = await lease(session, false)
    next.release()
    await clock.advance(0)
  })

  it('end with the session', async () => {
    const { session, end } = await opened()
    await lease(session, false)
    const waiting = watch(session.acquire({ brief: true }))
    await end()
    expect(waiting.error).toBeInstanceOf(SessionEndedError)
  })
})

describe('an idle session', () => {
  it('gives its connection back after idleTimeoutMs, and takes one again with the next use', async () => {
    const { session, clock, pool } = await opened({ idleTimeoutMs: 500 })
    ;(await lease(session)).release()
    await clock.advance(400)
    ;(await lease(session)).release()
    await clock.advance(499)
    expect(counts(pool)).toMatchObject({ leased: 1 })
    await clock.advance(1)
    expect(counts(pool)).toMatchObject({ leased: 0, idle: 1 })
    const again = await lease(session)
    expect(again.connection.id).toBe(1)
    again.release()
  })

  it('keeps it while a transaction is open on it, or something is left on it', async () => {
    const { session, clock, pool } = await opened({ idleTimeoutMs: 500 })
    const raw = await lease(session)
    await raw.connection.begin()
    raw.release()
    await clock.advance(5_000)
    expect(counts(pool)).toMatchObject({ leased: 1 })
    const end = await lease(session)
    await end.connection.commit()
    end.declare('temporary-tables')
    end.release()
    await clock.advance(5_000)
    expect(counts(pool)).toMatchObject({ leased: 1 })
  })

  it('keeps it while work goes on', async () => {
    const { session, clock, pool } = await opened({ idleTimeoutMs: 500 })
    ;(await lease(session)).release()
    const long = await lease(session)
    await clock.advance(5_000)
    expect(counts(pool)).toMatchObject({ leased: 1 })
    long.release()
    await clock.advance(500)
    expect(counts(pool)).toMatchObject({ leased: 0 })
  })

  it('keeps it to the end with an idleTimeoutMs of 0', async () => {
    const { session, clock, pool } = await opened({ idleTimeoutMs: 0 })
    ;(await lease(session)).release()
    await clock.advance(1_000_000)
    expect(counts(pool)).toMatchObject({ leased: 1 })
  })

  it('gives one back at once that the pool wants to replace', async () => {
    const { session, pool, driver } = await opened()
    const one = await lease(session)
    pool.invalidate()
    one.release()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect((await lease(session)).connection.id).toBe(2)
  })

  it('leaves no timer behind that keeps a process alive', async () => {
    const { session, clock, end } = await opened({ maxDurationMs: 10_000 })
    ;(await lease(session)).release()
    await end()
    expect(clock.holding).toBe(0)
  })
})

describe('a session that loses its connection', () => {
  it('goes on with another one when nothing was left on it', async () => {
    const { session, driver, clock } = await opened({}, { validateAfterIdleMs: 3_600_000 })
    const running = await lease(session)
    driver.connection(1).lose()
    expect(() => running.connection).toThrow(ConnectionLostError)
    running.release()
    const next = watch(session.acquire())
    await clock.advance(500)
    expect(next.value.connection.id).toBe(2)
  })

  it.each(['settings', 'an open transaction'])('is lost with it when there was: %s', async (what) => {
    const { session, driver, end, result, pool } = await opened()
    const one = await lease(session)
    if (what === 'settings') one.declare('settings')
    else await one.connection.begin()
    one.release()
    const waiting = watch(session.acquire())
    driver.connection(1).lose()
    await settled()
    expect(waiting.state).toBe('rejected')
    await expect(session.acquire()).rejects.toMatchObject({
      name: 'ConnectionLostError',
      code: '57P01',
      retry: 'never',
    })
    expect(session.context.signal.reason).toMatchObject({ code: '57P01' })
    expect(pool.stats().sessions).toMatchObject([{ state: 'lost', connection: undefined }])
    await end()
    expect(result.state).toBe('resolved')
  })

  it('runs its transaction again, when nothing was left before that', async () => {
    const { session, driver, pool, clock } = await opened({}, { validateAfterIdleMs: 3_600_000 })
    const runs: number[] = []
    const done = watch(
      pool.transaction(
        async ({ connection }) => {
          runs.push(connection.id)
          connection.next('statement', runs.length === 1 ? 'held' : 'ok')
          const running = connection.statement()
          if (runs.length === 1) connection.lose()
          await running
        },
        { retry: { jitter: 'none', initialDelayMs: 10 } },
        { source: session },
      ),
    )
    for (let turn = 0; turn < 5; turn++) await clock.advance(100)
    expect(done.state).toBe('resolved')
    expect(runs).toEqual([1, 2])
    expect(driver.connection(2).sent).toContain('commit')
  })

  it('is lost when the pool evicts it', async () => {
    const { session, pool } = await opened()
    const one = await lease(session)
    one.declare('locks')
    one.release()
    pool.evict()
    await expect(session.acquire()).rejects.toBeInstanceOf(ConnectionLostError)
  })
})

describe('a transaction in a session', () => {
  it('is on its connection, alone, and what asks for a connection in it joins it', async () => {
    const { pool, driver } = fixture({ max: 1, overflow: 0 })
    await pool.session(async (session) => {
      await pool.transaction(async (scope) => {
        expect(pool.source).toBe(pool)
        expect(pool.joinable?.scope).toBe(scope)
        expect(session.joinable?.scope).toBe(scope)
        expect(session.tryAcquire()).toBeUndefined()
        await scope.savepoint(async (nested) => {
          expect(session.joinable?.scope).toBe(nested)
        })
      })
      expect(session.joinable).toBeUndefined()
      expect(pool.joinable).toBeUndefined()
      expect(pool.source).toBe(session)
    })
    expect(pool.source).toBe(pool)
    expect(driver.connections).toHaveLength(1)
  })

  it('is joined by the root database also when it was begun for its own handle', async () => {
    const { pool } = fixture({}, undefined, { transaction: { rootUse: 'error', retry: false } })
    await pool.session(async () => {
      await pool.transaction(
        (scope) => expect(pool.joinable?.scope).toBe(scope),
        {},
        { inside: 'none', joined: false, lenient: true },
      )
    })
  })

  it('that requires a new one has a connection beside it, and so does what steps outside of it', async () => {
    const { pool, driver } = fixture()
    await pool.session(async (session) => {
      await pool.transaction(async (outer) => {
        await pool.transaction(
          (inner) => {
            expect(inner.connection.id).not.toBe(outer.connection.id)
            expect(session.joinable?.scope).toBe(outer)
          },
          { propagation: 'requiresNew' },
        )
      })
    })
    expect(driver.connections).toHaveLength(2)
  })
})

describe('what steps outside of a transaction of a session', () => {
  it.each<[string, (pool: FakePool, work: () => Promise<void>) => Promise<unknown>]>([
    ['outsideTransaction()', (_, work) => outsideTransaction(work)],
    ['notSupported', (pool, work) => pool.transaction(work, { propagation: 'notSupported' }, { without: work })],
  ])('(%s) and asks for its connection is refused at once, rather than joining it', async (_, outside) => {
    const { pool, driver } = fixture()
    await pool.session((session) =>
      pool.transaction(async (tx) => {
        await outside(pool, async () => {
          expect(session.joinable).toBeUndefined()
          expect(session.tryAcquire()).toBeUndefined()
          await expect(session.acquire({ brief: true })).rejects.toMatchObject({ name: 'PropagationError' })
        })
        expect(session.joinable?.scope).toBe(tx)
      }),
    )
    expect(driver.connection(1).sent).toEqual(['begin', 'commit'])
  })
})

describe('a session behind a pooler that lends sessions to others as well', () => {
  it('F6: is refused with its first piece of work, and the connection is given back as it was', async () => {
    const { session, pool, end, driver, result } = await opened({}, { min: 0, max: 1, overflow: 0 })
    const made = await takeOne(pool)
    made.connection.shared = true
    made.release()
    for (const brief of [true, false]) {
      await expect(session.acquire({ brief })).rejects.toMatchObject({ name: 'PoolerError', needs: 'session' })
    }
    expect(driver.connection(1).sent).toEqual([])
    expect(counts(pool)).toMatchObject({ idle: 1, leased: 0 })
    await end()
    expect(result.value).toBeUndefined()
  })
})

describe('a session inside of something', () => {
  it('of a session is a part of it, and its own limits are refused', async () => {
    const { pool } = fixture()
    await pool.session(async (outer) => {
      await pool.session((inner) => expect(inner).toBe(outer), { name: 'part' })
      for (const name of ['maxDurationMs', 'idleTimeoutMs', 'warnAfterMs']) {
        await expect(pool.session(() => {}, { [name]: 5 })).rejects.toBeInstanceOf(PropagationError)
      }
      expect(pool.source).toBe(outer)
      expect(pool.stats().sessions).toHaveLength(1)
    })
    expect(pool.stats().sessions).toHaveLength(0)
  })

  it('of a session ends by its own signal, and the one around it goes on', async () => {
    const { pool } = fixture()
    await pool.session(async (outer) => {
      const abort = new AbortController()
      const part = watch(pool.session(() => new Promise(() => {}), { signal: abort.signal }))
      abort.abort()
      await settled()
      expect(part.error).toBeInstanceOf(SessionEndedError)
      expect((await lease(outer)).connection.id).toBe(1)
    })
  })

  it('of a transaction is refused', async () => {
    const { pool } = fixture()
    await pool.transaction(async () => {
      await expect(pool.session(() => {})).rejects.toBeInstanceOf(PropagationError)
    })
  })
})

describe('what a body throws', () => {
  it('is what the caller gets, before its first await as well', async () => {
    const { pool } = fixture()
    const error = new Error('no')
    const throwing = () => {
      throw error
    }
    for (const body of [throwing, async () => throwing()]) await expect(pool.session(body)).rejects.toBe(error)
    expect(pool.sessions.size).toBe(0)
  })
})
