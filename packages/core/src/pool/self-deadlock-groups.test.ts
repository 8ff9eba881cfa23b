// Several callers that hold connections and wait for more: one of them gives way, and nobody else.

import { describe, expect, it } from '@jest/globals'
import { SelfDeadlockError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, fixture } from '../testing/fixture.js'
import { gate } from '../testing/gate.js'
import { watch } from '../testing/watch.js'

/** Nothing else sets a timer. */
const one = { max: 1, overflow: 0, acquireTimeoutMs: 30_000, idleTimeoutMs: 0, maxLifetimeMs: 0 }

/** Long enough to be found, and far from the timeout. */
const SOON_MS = 2_500

describe('several transactions that each wait for one more connection', () => {
  it('cost one of them, and the others go on', async () => {
    const { pool, clock } = fixture({ ...one, max: 4 })
    const results = Array.from({ length: 4 }, (_, turn) =>
      watch(pool.transaction(() => pool.transaction(() => `done ${turn}`, { propagation: 'requiresNew' }))),
    )
    await clock.advance(SOON_MS)
    expect(results.map(({ state }) => state)).toEqual(['rejected', 'resolved', 'resolved', 'resolved'])
    expect(results[0]?.error).toBeInstanceOf(SelfDeadlockError)
    expect(counts(pool)).toEqual({ ...empty, idle: 4 })
  })

  it('cost one more when those that go on get stuck again', async () => {
    const { pool, clock } = fixture({ ...one, max: 2 })
    const { open, opened } = gate()
    const first = watch(pool.transaction(() => pool.acquire().catch(() => opened)))
    const second = watch(pool.transaction(() => pool.acquire()))
    await clock.advance(SOON_MS)
    expect([first.state, second.state]).toEqual(['pending', 'pending'])
    // The first was refused and holds on to what it has, waiting for nothing of the pool's.
    await clock.advance(10_000)
    expect(second.state).toBe('pending')
    open()
    await settled()
    expect([first.state, second.state]).toEqual(['resolved', 'resolved'])
  })

  it('take nothing from whoever is in line before them and holds none of these connections', async () => {
    const { pool, clock } = fixture({ ...one, max: 2 })
    const other = fixture(one)
    const { open, opened } = gate()
    const stuck = [1, 2].map(() =>
      watch(
        pool.transaction(async () => {
          await opened
          return pool.lease(() => 'done')
        }),
      ),
    )
    await settled()
    const [plain] = await ask(pool, 1)
    const ofAnotherPool = watch(other.pool.lease(() => pool.lease(() => 'done')))
    await settled()
    open()
    await clock.advance(SOON_MS)
    expect(stuck.map(({ state }) => state)).toEqual(['rejected', 'pending'])
    plain?.value.release()
    await settled()
    expect([stuck[1]?.value, ofAnotherPool.value]).toEqual(['done', 'done'])
  })

  it('take nothing from whoever is in line before them and has given back what it held', async () => {
    const { pool, clock } = fixture(one)
    const { open, opened } = gate()
    const former = watch(
      pool.lease(async (lease) => {
        lease.release()
        await settled()
        return pool.lease(() => 'done')
      }),
    )
    const stuck = watch(
      pool.lease(async () => {
        await opened
        return pool.lease(() => 'never')
      }),
    )
    for (let turn = 0; turn < 3; turn++) await settled()
    open()
    await clock.advance(SOON_MS)
    expect([former.state, stuck.state]).toEqual(['resolved', 'rejected'])
  })
})
