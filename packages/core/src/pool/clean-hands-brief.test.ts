// What a lease for a single statement leaves on the session stays, unless it turns out to be held for more.

import { describe, expect, it } from '@jest/globals'
import { settled } from '../testing/fake-clock.js'
import { counts, empty, type FakeLease, type FakePool, fixture, takeOne } from '../testing/fixture.js'

const ways: [string, (pool: FakePool) => Promise<FakeLease>][] = [
  ['waited for', (pool) => pool.acquire({ brief: true })],
  [
    'had at once',
    async (pool) => {
      const first = await takeOne(pool)
      first.release()
      const lease = pool.tryAcquire()
      if (lease === undefined) throw new Error('no lease was to be had at once')
      return lease
    },
  ],
]

describe.each(ways)('a lease for a single statement, %s,', (_, taken) => {
  async function brief() {
    const setup = fixture({ max: 1, overflow: 0 })
    return { ...setup, lease: await taken(setup.pool), connection: setup.driver.connection(1) }
  }

  it('leaves a setting as it is, for all who come', async () => {
    const { pool, lease, connection } = await brief()
    lease.declare('settings')
    lease.release()
    await settled()
    const next = await takeOne(pool)
    next.release()
    await settled()
    expect(connection.sent).toEqual(['declare settings'])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is cleaned up after once it is held for more', async () => {
    const { pool, lease, connection } = await brief()
    pool.prolong(lease)
    lease.declare('settings')
    lease.release()
    await settled()
    expect(connection.sent).toEqual(['declare settings', 'reset'])
  })

  it('leaves no transaction open', async () => {
    const { lease, connection } = await brief()
    await lease.connection.begin()
    lease.release()
    await settled()
    expect(connection.sent).toEqual(['begin', 'reset'])
    expect(connection.transactionStatus).toBe('idle')
  })

  it('costs a connection that it has left in a state which nothing can undo', async () => {
    const { pool, lease, connection } = await brief()
    lease.declare('other')
    lease.release()
    await settled()
    expect(connection.ended).toBe('closed')
    expect(counts(pool)).toEqual(empty)
  })
})
