// Waiting until a session has its connection: each who waits within limits of its own, and no longer than the session.

import { describe, expect, it } from '@jest/globals'
import { AcquireAbortedError, SessionBusyError, SessionEndedError, SessionExpiredError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { counts, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { type Watched, watch } from '../testing/watch.js'

const never = () => new Promise<never>(() => {})
const one = { max: 1, overflow: 0 } as const

async function elsewhere(): Promise<Fixture & { readonly giveBack: () => void }> {
  const setup = fixture({ ...one, acquireTimeoutMs: 30_000 })
  const lease = await takeOne(setup.pool)
  return { ...setup, giveBack: () => lease.release() }
}

describe('who waits for a session’s connection beside another one', () => {
  it('waits no longer than by its own signal and timeoutMs, and the others go on', async () => {
    const { pool, clock, giveBack } = await elsewhere()
    const abort = new AbortController()
    let waiting: Watched<unknown>[] = []
    watch(
      pool.session(async (session) => {
        waiting = [
          watch(session.acquire({ brief: true })),
          watch(session.acquire({ brief: true, signal: abort.signal })),
          watch(session.acquire({ brief: true, timeoutMs: 50 })),
          watch(session.acquire({ brief: true })),
        ]
        await never()
      }),
    )
    await clock.advance(49)
    const states = () => waiting.map(({ state }) => state)
    expect(states()).toEqual(['pending', 'pending', 'pending', 'pending'])
    abort.abort()
    await settled()
    expect(waiting[1]?.error).toBeInstanceOf(AcquireAbortedError)
    await clock.advance(1)
    expect(waiting[2]?.error).toBeInstanceOf(SessionBusyError)
    expect(states()).toEqual(['pending', 'rejected', 'rejected', 'pending'])
    giveBack()
    await settled()
    expect(states()).toEqual(['resolved', 'rejected', 'rejected', 'resolved'])
  })

  it('goes on when that one gives up', async () => {
    const { pool, giveBack } = await elsewhere()
    const abort = new AbortController()
    let waiting: Watched<unknown>[] = []
    watch(
      pool.session(async (session) => {
        waiting = [
          watch(session.acquire({ brief: true, signal: abort.signal })),
          watch(session.acquire({ brief: true })),
        ]
        await never()
      }),
    )
    await settled()
    abort.abort()
    await settled()
    expect(waiting.map(({ state }) => state)).toEqual(['rejected', 'pending'])
    giveBack()
    await settled()
    expect(waiting[1]?.state).toBe('resolved')
  })
})

describe('a session that ends while its connection is waited for', () => {
  it('leaves the pool’s queue, and tells who waited', async () => {
    for (const [end, Kind] of [
      ['maxDurationMs', SessionExpiredError],
      ['signal', SessionEndedError],
      ['its body', SessionEndedError],
    ] as const) {
      const { pool, clock, giveBack, driver } = await elsewhere()
      const abort = new AbortController()
      let waiting: Watched<unknown> = watch(never())
      const result = watch(
        pool.session(
          async (session) => {
            waiting = watch(session.acquire())
            if (end !== 'its body') await never()
            await settled()
          },
          end === 'maxDurationMs' ? { maxDurationMs: 100 } : { signal: abort.signal },
        ),
      )
      if (end !== 'its body') {
        await settled()
        expect(pool.stats().waiting).toBe(1)
      }
      if (end === 'signal') abort.abort()
      await clock.advance(100)
      await settled()
      expect(result.state).toBe(end === 'its body' ? 'resolved' : 'rejected')
      expect(waiting.error).toBeInstanceOf(Kind)
      expect(pool.stats().waiting).toBe(0)
      giveBack()
      await settled()
      expect(pool.stats()).toMatchObject({ idle: 1, leased: 0 })
      expect(driver.connections).toHaveLength(1)
    }
  })
})

describe('a session whose connection is lost as it arrives', () => {
  it('has another one, in whichever microtask that was, and keeps no lease of the one that is gone', async () => {
    for (let microtasks = 0; microtasks < 12; microtasks++) {
      const setup = fixture({ ...one, acquireTimeoutMs: 30_000 })
      const { pool, driver, clock } = setup
      const lease = await takeOne(pool)
      lease.release()
      let second: Watched<unknown> = watch(never())
      const result = watch(
        pool.session(async (session) => {
          const first = watch(session.acquire({ brief: true }))
          for (let microtask = 0; microtask < microtasks; microtask++) await undefined
          driver.connection(1).lose()
          await clock.advance(1_000)
          first.value.release()
          second = watch(session.acquire().then(({ connection }) => connection.statement('after')))
          await clock.advance(1_000)
        }),
      )
      await clock.advance(0)
      for (let turn = 0; turn < 5; turn++) await settled()
      expect([microtasks, second.state, result.state]).toEqual([microtasks, 'resolved', 'resolved'])
      expect(driver.connection(2).sent).toContain('after')
      expect(counts(pool)).toMatchObject({ leased: 0, waiting: 0 })
    }
  })
})
