// A session that is made to end before its body does: by its time or its signal.

import { describe, expect, it } from '@jest/globals'
import { SessionEndedError, SessionExpiredError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { counts, empty, type FakePool, type Fixture, fixture } from '../testing/fixture.js'
import { gate } from '../testing/gate.js'
import { type Watched, watch } from '../testing/watch.js'
import type { Session } from './session.js'

type Way = 'maxDurationMs' | 'signal'

/** Both ways, and what they end with. */
const ways: readonly (readonly [Way, typeof SessionEndedError])[] = [
  ['maxDurationMs', SessionExpiredError],
  ['signal', SessionEndedError],
]

const never = () => new Promise<never>(() => {})

interface Ended extends Fixture {
  readonly session: Session<FakeConnection>
  readonly result: Watched<unknown>
}

async function ended(way: Way, body: (session: Session<FakeConnection>, pool: FakePool) => unknown): Promise<Ended> {
  const retry = { jitter: 'none', initialDelayMs: 10 } as const
  const setup = fixture({ max: 2, overflow: 0 }, undefined, { transaction: { retry } })
  const abort = new AbortController()
  let session: Session<FakeConnection> | undefined
  const options = way === 'signal' ? { signal: abort.signal } : { maxDurationMs: 1_000 }
  const result = watch(
    setup.pool.session(async (begun) => {
      session = begun
      await body(begun, setup.pool)
    }, options),
  )
  await setup.clock.advance(999)
  expect(result.state).toBe('pending')
  if (way === 'signal') abort.abort()
  await setup.clock.advance(1)
  if (session === undefined) throw new Error('the body was not run')
  return { ...setup, result, session }
}

describe.each(ways)('a session ended by its %s', (way, Kind) => {
  it('tells its caller at once, stops what runs, and destroys its connection', async () => {
    let running: Watched<unknown> = watch(never())
    const { result, driver, pool } = await ended(way, async (session) => {
      const { connection } = await session.acquire({ brief: true })
      connection.next('statement', 'held')
      running = watch(connection.statement())
      await never()
    })
    expect(result.error).toBeInstanceOf(Kind)
    expect(running.error).toBe(result.error)
    expect(driver.connection(1).sent).toEqual(['statement', 'stop'])
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(counts(pool)).toMatchObject(empty)
    expect(pool.stats().sessions).toEqual([])
  })

  it('takes an open transaction with it, which is not run again', async () => {
    let runs = 0
    let transaction: Watched<unknown> = watch(never())
    const { result, driver, clock } = await ended(way, async (_, pool) => {
      transaction = watch(
        pool.transaction(async ({ connection }) => {
          runs++
          connection.next('statement', 'held')
          await connection.statement()
        }),
      )
      await never()
    })
    await clock.advance(60_000)
    expect(transaction.error).toBe(result.error)
    expect(runs).toBe(1)
    expect(driver.connections).toHaveLength(1)
    expect(driver.connection(1).sent).not.toContain('commit')
  })

  it('rejects whatever its body does next, in its call chain as through its handle, and sends nothing', async () => {
    const go = gate()
    const seen: Watched<unknown>[] = []
    const { result, driver, clock } = await ended(way, async (session, pool) => {
      ;(await session.acquire({ brief: true })).release()
      await go.opened
      for (let turn = 0; turn < 2; turn++) {
        seen.push(watch(pool.source.acquire()), watch(session.acquire({ brief: true })))
        seen.push(watch(pool.transaction(() => {})), watch(pool.session(() => pool.source.acquire())))
        expect([session.tryAcquire(), pool.source.tryAcquire()]).toEqual([undefined, undefined])
        await settled()
      }
    })
    go.open()
    await clock.advance(60_000)
    expect(seen.map(({ error }) => error)).toEqual(Array.from({ length: 8 }, () => result.error))
    expect(driver.connections).toHaveLength(1)
  })

  it('fires the signal of its body, and ends those that wait for their turn', async () => {
    let waiting: Watched<unknown> = watch(never())
    const { result, session } = await ended(way, async (begun) => {
      await begun.acquire()
      waiting = watch(begun.acquire({ brief: true }))
      await never()
    })
    expect(session.context.signal.reason).toBe(result.error)
    expect(waiting.error).toBe(result.error)
  })

  it('has nothing to destroy where it has no connection', async () => {
    const { result, driver } = await ended(way, never)
    expect(result.error).toBeInstanceOf(Kind)
    expect(driver.connections).toHaveLength(0)
  })

  it('still rejects when its connection had been lost before', async () => {
    const { result, session } = await ended(way, async (begun) => {
      const lease = await begun.acquire({ brief: true })
      lease.declare('locks')
      lease.connection.lose()
      await never()
    })
    expect(result.error).toBeInstanceOf(Kind)
    await expect(session.acquire()).rejects.toBe(result.error)
  })
})

describe('a session that is aborted before it begins', () => {
  it('does not run its body', async () => {
    const { pool } = fixture()
    let ran = false
    const body = () => {
      ran = true
    }
    await expect(pool.session(body, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(SessionEndedError)
    expect(ran).toBe(false)
  })
})

describe('a session with a maxDurationMs of 0', () => {
  it('does not expire, and is reported when it holds its connection for too long', async () => {
    const { pool, clock } = fixture({ leakAfterMs: 10_000 })
    const result = watch(pool.session((session) => session.acquire().then(never), { maxDurationMs: 0 }))
    await clock.advance(2_000_000)
    expect(result.state).toBe('pending')
    expect(pool.stats().leaks.found).toBe(1)
  })

  it('is the one that is: another one has a limit of its own', async () => {
    const { pool, clock } = fixture({ leakAfterMs: 10_000 })
    const result = watch(pool.session((session) => session.acquire().then(never)))
    await clock.advance(1_799_999)
    expect(result.state).toBe('pending')
    expect(pool.stats().leaks.found).toBe(0)
    await clock.advance(1)
    expect(result.error).toBeInstanceOf(SessionExpiredError)
  })
})
