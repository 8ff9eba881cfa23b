// More callers than can be served: who is, and who is not.

import { describe, expect, it } from '@jest/globals'
import type { AcquireVerdict } from '../hooks.js'
import type { PoolOptions } from '../options.js'
import { settled } from '../testing/fake-clock.js'
import { ask, type FakeLease, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { type Watched, watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }

interface Call {
  readonly n: number
  readonly at: number
  endedAt: number | undefined
  error: unknown
}

/** A call whose work takes so long once it has a connection. */
function call({ pool, clock }: Fixture, workMs: number, n = 0, signal?: AbortSignal): Call {
  const call: Call = { n, at: clock.now(), endedAt: undefined, error: undefined }
  const work = () => new Promise<void>((resolve) => void clock.setTimer(resolve, workMs))
  pool.lease(work, { signal }).then(
    () => {
      call.endedAt = clock.now()
    },
    (error: unknown) => {
      call.error = error
    },
  )
  return call
}

/** Calls that come one after the other, whatever became of those before them. */
async function arrive(setup: Fixture, count: number, { everyMs, workMs }: { everyMs: number; workMs: number }) {
  const calls: Call[] = []
  for (let n = 0; n < count; n++) {
    calls.push(call(setup, workMs, n))
    await setup.clock.advance(everyMs)
  }
  return calls
}

function within(ms: number, calls: readonly Call[]): Call[] {
  return calls.filter(({ at, endedAt }) => endedAt !== undefined && endedAt - at <= ms)
}

/** Has a connection, and so many who wait for it. */
async function crowded(options: PoolOptions, count: number) {
  const setup = fixture({ ...one, ...options })
  const holder = await takeOne(setup.pool)
  return { ...setup, holder, waiting: await ask(setup.pool, count) }
}

function states(waiting: readonly Watched<FakeLease>[]): string[] {
  return waiting.map(({ state }) => state)
}

describe('F5: ten times as many calls as can be served, each with 200 ms', () => {
  const deadlineMs = 200
  const seconds = 3
  const capacity = 100 * seconds
  const load = { everyMs: 1, workMs: 10 }

  it('keep an adaptive pool busy with those who still wait for the answer', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: deadlineMs })
    const calls = await arrive(setup, 10 * capacity, load)
    expect(within(deadlineMs, calls).length).toBeGreaterThan(0.95 * capacity)
  })

  it('have a pool that serves in order of arrival work for nobody', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: deadlineMs, queue: 'fifo' })
    const calls = await arrive(setup, 10 * capacity, load)
    expect(within(deadlineMs, calls).length).toBeLessThan(0.2 * capacity)
  })

  it('leave nothing behind that those who come later would have to wait for', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: deadlineMs })
    await arrive(setup, 10 * capacity, load)
    const later = await arrive(setup, 50, { everyMs: 20, workMs: 10 })
    // One piece of work is under way when the first of them comes, and one may be begun before it.
    expect(within(30, later)).toHaveLength(50)
  })

  it('are told by their own timeout, and never earlier', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: deadlineMs })
    const asked: { readonly until: number; readonly waiting: Watched<FakeLease> }[] = []
    for (let n = 0; n < 1_000; n++) {
      const waiting = watch(setup.pool.acquire())
      const until = setup.clock.now() + deadlineMs
      asked.push({ until, waiting })
      void call(setup, 10)
      await setup.clock.advance(1)
      const now = setup.clock.now()
      for (const { waiting } of asked) if (waiting.state === 'resolved') waiting.value.release()
      const early = asked.filter(({ until, waiting }) => waiting.state === 'rejected' && now < until)
      expect(early).toEqual([])
    }
    expect(asked.filter(({ waiting }) => waiting.state === 'rejected').length).toBeGreaterThan(500)
  })
})

describe('F5: a long line that moves', () => {
  it('keeps its order, however long it is: 40 callers who come back at once are all served', async () => {
    const setup = fixture({ ...one, acquireTimeoutMs: 500 })
    const served: number[] = []
    const errors: unknown[] = []
    const caller = async (n: number) => {
      for (let turn = 0; turn < 10; turn++) {
        await setup.pool
          .lease(() => {
            served.push(n)
            return new Promise<void>((resolve) => void setup.clock.setTimer(resolve, 11))
          })
          .catch((error: unknown) => errors.push(error))
      }
    }
    const callers = Promise.all(Array.from({ length: 40 }, (_, n) => caller(n)))
    await setup.clock.advance(40 * 10 * 11)
    await callers
    expect(errors).toEqual([])
    const rounds = Array.from({ length: 10 }, (_, round) => served.slice(40 * round, 40 * (round + 1)))
    expect(new Set(rounds.map(String)).size).toBe(1)
  })

  it('keeps its order when somebody in the middle of it gives up', async () => {
    const { pool, clock, holder, waiting } = await crowded({}, 1)
    const hasty = watch(pool.acquire({ timeoutMs: 200 }))
    const [last] = await ask(pool, 1)
    await clock.advance(300)
    holder.release()
    await settled()
    expect(states([...waiting, hasty, ...(last ? [last] : [])])).toEqual(['resolved', 'rejected', 'pending'])
  })

  it('keeps its order when the first changes its mind soon', async () => {
    const { pool, clock, holder } = await crowded({}, 0)
    const abort = new AbortController()
    void pool.acquire({ signal: abort.signal }).catch(() => {})
    const waiting = await ask(pool, 2)
    await clock.advance(99)
    abort.abort()
    holder.release()
    await settled()
    expect(states(waiting)).toEqual(['resolved', 'pending'])
  })
})

describe('F5: once the first in line has gone unserved', () => {
  it.each([
    ['by its timeout', { timeoutMs: 300 }, () => {}],
    ['by its signal', {}, (abort: AbortController) => abort.abort()],
  ])('%s, the newest is served first', async (_, options, end) => {
    const { pool, clock, holder } = await crowded({}, 0)
    const abort = new AbortController()
    const first = watch(pool.acquire({ ...options, signal: abort.signal }))
    await clock.advance(100)
    const waiting = await ask(pool, 3)
    await clock.advance(200)
    end(abort)
    await settled()
    expect(first.state).toBe('rejected')
    holder.release()
    await settled()
    expect(states(waiting)).toEqual(['pending', 'pending', 'resolved'])
    waiting[2]?.value.release()
    await settled()
    expect(states(waiting)).toEqual(['pending', 'resolved', 'resolved'])
  })

  it('whoever is urgent comes before the newest, who is next after that', async () => {
    const { pool, clock, holder } = await crowded({}, 0)
    void pool.acquire({ timeoutMs: 300 }).catch(() => {})
    await clock.advance(300)
    const urgent = watch(pool.acquire({ urgent: true }))
    const waiting = await ask(pool, 2)
    await clock.advance(200)
    holder.release()
    await settled()
    expect(states([urgent, ...waiting])).toEqual(['resolved', 'pending', 'pending'])
    urgent.value.release()
    await settled()
    expect(states(waiting)).toEqual(['pending', 'resolved'])
  })

  it('a pool that is told to goes on in order of arrival', async () => {
    const { pool, clock, holder } = await crowded({ acquireTimeoutMs: 300, queue: 'fifo' }, 1)
    await clock.advance(100)
    const waiting = await ask(pool, 2)
    await clock.advance(200)
    holder.release()
    await settled()
    expect(states(waiting)).toEqual(['resolved', 'pending'])
  })

  it('order of arrival is back when the first in line has waited for less than half as long', async () => {
    const { pool, clock, holder } = await crowded({}, 0)
    void pool.acquire({ timeoutMs: 300 }).catch(() => {})
    await clock.advance(151)
    const waiting = await ask(pool, 2)
    await clock.advance(149)
    holder.release()
    await settled()
    expect(states(waiting)).toEqual(['resolved', 'pending'])
  })

  it('order of arrival is back when nobody else has gone unserved for as long as that one waited', async () => {
    const { pool, clock, holder } = await crowded({}, 0)
    void pool.acquire({ timeoutMs: 300 }).catch(() => {})
    const waiting = await ask(pool, 2)
    await clock.advance(599)
    const later = await ask(pool, 1)
    await clock.advance(1)
    holder.release()
    await settled()
    expect(states([...waiting, ...later])).toEqual(['resolved', 'pending', 'pending'])
  })

  it('time spent suspended makes nobody wait longer', async () => {
    const { pool, clock, holder } = await crowded({ acquireTimeoutMs: 300 }, 1)
    await clock.advance(200)
    const waiting = await ask(pool, 2)
    pool.suspend()
    await clock.advance(1_000)
    pool.resume()
    await clock.advance(100)
    // The first is gone, the next have waited for 100 ms of its 300.
    holder.release()
    await settled()
    expect(states(waiting)).toEqual(['resolved', 'pending'])
  })

  it('a hook that refuses refuses the newest, who would have been served', async () => {
    const refused = new Error('not for you')
    const verdicts: AcquireVerdict[] = ['use', { fail: refused, connection: 'keep' }]
    const { pool, clock } = fixture(one, undefined, { hooks: { beforeAcquire: () => verdicts.shift() } })
    const holder = await takeOne(pool)
    void pool.acquire({ timeoutMs: 300 }).catch(() => {})
    await clock.advance(100)
    const waiting = await ask(pool, 2)
    await clock.advance(200)
    holder.release()
    await settled()
    expect(waiting[1]?.error).toMatchObject({ cause: refused })
    expect(waiting[0]?.state).toBe('resolved')
  })
})

describe('F5: a caller with less time left than a lease takes', () => {
  /** Leases of 50 ms and a longer one have been seen, and a caller waits, of whose 200 ms so many have passed. */
  async function late(passedMs: number) {
    const { workMs, acquireTimeoutMs } = { workMs: 50, acquireTimeoutMs: 200 }
    const setup = fixture({ ...one, acquireTimeoutMs })
    const { pool, clock } = setup
    for (let n = 0; n < 50; n++) {
      const calls = [call(setup, workMs), call(setup, workMs)]
      await clock.advance(2 * workMs)
      expect(within(2 * workMs, calls)).toHaveLength(2)
    }
    const holder = await takeOne(pool)
    const [caller] = await ask(pool, 1)
    await clock.advance(passedMs)
    return { ...setup, holder, caller }
  }

  it('is not served while somebody else waits who has enough', async () => {
    const { pool, holder, caller } = await late(151)
    const [other] = await ask(pool, 1)
    holder.release()
    await settled()
    expect([caller?.state, other?.state]).toEqual(['pending', 'resolved'])
    other?.value.release()
    await settled()
    expect(caller?.state).toBe('resolved')
  })

  it('is a sign of overload: the newest is served', async () => {
    const { pool, holder, caller } = await late(151)
    const others = await ask(pool, 2)
    holder.release()
    await settled()
    expect([caller?.state, ...states(others)]).toEqual(['pending', 'pending', 'resolved'])
  })

  it('is served in its turn as long as it has enough', async () => {
    const { pool, holder, caller } = await late(120)
    const [other] = await ask(pool, 1)
    holder.release()
    await settled()
    expect([caller?.state, other?.state]).toEqual(['resolved', 'pending'])
  })

  it('is served when nobody else waits', async () => {
    const { holder, caller } = await late(199)
    holder.release()
    await settled()
    expect(caller?.state).toBe('resolved')
  })

  it('is one that waits: it counts, and closing the pool tells it', async () => {
    const { pool, holder, caller } = await late(151)
    const [other] = await ask(pool, 1)
    holder.release()
    await settled()
    expect(pool.stats().waiting).toBe(1)
    const closed = pool.close()
    await settled()
    expect(caller?.error).toMatchObject({ name: 'PoolClosedError' })
    other?.value.release()
    await closed
  })

  it('is served in its turn though leases take longer than anybody waits', async () => {
    const setup = fixture({ max: 1, overflow: 0, acquireTimeoutMs: 30_000 })
    const { pool, clock } = setup
    for (let n = 0; n < 50; n++) {
      void call(setup, 5_000)
      void call(setup, 5_000)
      await clock.advance(10_000)
    }
    const holder = await takeOne(pool)
    const first = watch(pool.acquire({ timeoutMs: 1_000 }))
    await clock.advance(499)
    const [other] = await ask(pool, 1)
    holder.release()
    await settled()
    expect([first.state, other?.state]).toEqual(['resolved', 'pending'])
  })
})
