// The end: nobody waits for ever, and nothing is left.

import { afterEach, describe, expect, it } from '@jest/globals'
import { ConnectionLostError, PoolClosedError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { refusal } from '../testing/fake-driver.js'
import { ask, type Fixture, fixture, take, takeOne } from '../testing/fixture.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { type Watched, watch } from '../testing/watch.js'
import { Pool } from './pool.js'

async function closing({ pool }: Fixture, options?: { timeoutMs: number }): Promise<Watched<void>> {
  const closed = watch(pool.close(options))
  await settled()
  return closed
}

// Jest fails a test that leaves a rejection unhandled; this gives late ones the time to show.
afterEach(() => settled())

describe('close', () => {
  it('of a pool never used does nothing', async () => {
    const setup = fixture({ min: 2 })
    await setup.pool.close()
    expect(setup.driver.attempts).toHaveLength(0)
    await expectNothingLeft(setup)
  })

  it('says goodbye on every idle connection, and resolves when they are gone', async () => {
    const setup = fixture({ min: 3 })
    setup.driver.always('close', 'held')
    await setup.pool.start()
    await setup.clock.advance(0)
    const closed = await closing(setup)
    expect(setup.driver.connections.map(({ sent }) => sent)).toEqual([['close'], ['close'], ['close']])
    expect(closed.state).toBe('pending')
    for (const connection of setup.driver.connections) connection.held('close').ok()
    await settled()
    expect(closed.state).toBe('resolved')
    expect(setup.driver.connections.map(({ ended }) => ended)).toEqual(['closed', 'closed', 'closed'])
    await expectNothingLeft(setup)
  })

  it.each([
    ['hangs', 'held'],
    ['fails', new Error('broken pipe')],
  ] as const)('destroys a connection whose goodbye %s', async (_, answer) => {
    const setup = fixture({ min: 1, closeTimeoutMs: 500 })
    setup.driver.always('close', answer)
    await setup.pool.start()
    const closed = await closing(setup)
    await setup.clock.advance(500)
    expect(closed.state).toBe('resolved')
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    await expectNothingLeft(setup)
  })

  it('refuses new callers at once, during it and afterwards', async () => {
    const setup = fixture()
    const lease = await takeOne(setup.pool)
    const closed = await closing(setup)
    expect(setup.pool.closed).toBe(true)
    const [during] = await ask(setup.pool, 1)
    expect(during?.error).toBeInstanceOf(PoolClosedError)
    expect(setup.pool.tryAcquire()).toBeUndefined()
    lease.release()
    await settled()
    expect(closed.state).toBe('resolved')
    const [afterwards] = await ask(setup.pool, 1)
    expect(afterwards?.error).toBeInstanceOf(PoolClosedError)
    await expect(setup.pool.transaction(() => {})).rejects.toBeInstanceOf(PoolClosedError)
    await expectNothingLeft(setup)
  })

  it('rejects everybody who waits', async () => {
    const setup = fixture({ max: 1, overflow: 0 })
    const lease = await takeOne(setup.pool)
    const asked = await ask(setup.pool, 3)
    const closed = await closing(setup)
    for (const { error } of asked) expect(error).toBeInstanceOf(PoolClosedError)
    lease.release()
    await settled()
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it.each(['obedient', 'deaf'] as const)('does not wait for connects under way with an %s driver', async (connects) => {
    const setup = fixture({ min: 2 })
    setup.driver.connects = connects
    const [waiting] = await ask(setup.pool, 1)
    const closed = await closing(setup)
    expect(waiting?.error).toBeInstanceOf(PoolClosedError)
    expect(closed.state).toBe('resolved')
    for (const { request } of setup.driver.attempts) expect(request.signal.reason).toBeInstanceOf(PoolClosedError)
    // Here those that come too late arrive.
    await expectNothingLeft(setup)
    for (const { ended } of setup.driver.connections) expect(ended).toBe('destroyed')
  })

  it('ends the pause between failing connects', async () => {
    const setup = fixture({ min: 2 })
    setup.driver.connects = refusal()
    const [waiting] = await ask(setup.pool, 1)
    expect(waiting?.state).toBe('pending')
    await closing(setup)
    expect(waiting?.error).toBeInstanceOf(PoolClosedError)
    const { length } = setup.driver.attempts
    await expectNothingLeft(setup)
    expect(setup.driver.attempts).toHaveLength(length)
  })

  it('lets leases finish until closeTimeoutMs', async () => {
    const setup = fixture({ closeTimeoutMs: 1_000 })
    const [first, second] = await take(setup.pool, 2)
    const closed = await closing(setup)
    await setup.clock.advance(500)
    await first?.connection.statement()
    first?.release()
    await settled()
    expect(setup.driver.connection(1).ended).toBe('closed')
    expect(closed.state).toBe('pending')
    second?.release()
    await settled()
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('destroys what has not come back by closeTimeoutMs; what runs on it rejects', async () => {
    const setup = fixture({ closeTimeoutMs: 1_000 })
    const lease = await takeOne(setup.pool)
    const { connection } = lease
    connection.next('statement', 'held')
    const statement = watch(connection.statement())
    const closed = await closing(setup)
    await setup.clock.advance(999.9)
    expect(connection.open).toBe(true)
    expect(closed.state).toBe('pending')
    await setup.clock.advance(0.1)
    expect(connection.ended).toBe('destroyed')
    expect(statement.error).toBeInstanceOf(PoolClosedError)
    expect(closed.state).toBe('resolved')
    expect(() => lease.connection).toThrow(ConnectionLostError)
    lease.release()
    await expectNothingLeft(setup)
  })

  it('asks the server to stop what is still running then, and waits for that no longer than a second', async () => {
    const setup = fixture({ closeTimeoutMs: 1_000 })
    const [busy, idle] = await take(setup.pool, 2)
    busy?.connection.next('statement', 'held')
    busy?.connection.next('cancel', 'held')
    const statement = watch(busy?.connection.statement() ?? Promise.resolve())
    const closed = await closing(setup)
    await setup.clock.advance(1_000)
    expect(setup.driver.connection(1).sent).toEqual(['statement', 'cancel'])
    expect(setup.driver.connection(2).sent).toEqual([])
    expect(statement.state).toBe('rejected')
    expect(setup.driver.open).toEqual([])
    await setup.clock.advance(1_000)
    expect(closed.state).toBe('resolved')
    expect(idle?.lost).toBe(true)
    await expectNothingLeft(setup)
  })

  it('takes a limit of its own', async () => {
    const setup = fixture({ closeTimeoutMs: 60_000 })
    await takeOne(setup.pool)
    const closed = await closing(setup, { timeoutMs: 20 })
    await setup.clock.advance(20)
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('takes no longer than its limit, goodbyes included', async () => {
    const setup = fixture({ closeTimeoutMs: 10_000 })
    setup.driver.always('close', 'held')
    const [first, second] = await take(setup.pool, 2)
    first?.release()
    const closed = await closing(setup, { timeoutMs: 100 })
    await setup.clock.advance(90)
    second?.release()
    await setup.clock.advance(20)
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('waits for a connection that is being checked or reset, and closes it then', async () => {
    const setup = fixture({ max: 2, overflow: 0, validateAfterIdleMs: 0 })
    const [first, second] = await take(setup.pool, 2)
    first?.release()
    setup.driver.connection(1).next('ping', 'held')
    const [waiting] = await ask(setup.pool, 1)
    await second?.connection.begin()
    setup.driver.connection(2).next('reset', 'held')
    second?.release()
    const closed = await closing(setup)
    expect(waiting?.error).toBeInstanceOf(PoolClosedError)
    setup.driver.connection(1).held('ping').ok()
    setup.driver.connection(2).held('reset').ok()
    await settled()
    expect(closed.state).toBe('resolved')
    expect(setup.driver.connections.map(({ ended }) => ended)).toEqual(['closed', 'closed'])
    await expectNothingLeft(setup)
  })

  it('resolves as soon as the last lease is lost', async () => {
    const setup = fixture()
    const lease = await takeOne(setup.pool)
    const closed = await closing(setup)
    lease.connection.lose()
    await settled()
    expect(closed.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('closes what a driver’s pool holds besides, within the same limit, and waits for it', async () => {
    const setup = fixture()
    const { driver, deadlines, clock } = setup
    let letGo = () => {}
    const limits: number[] = []
    class PoolWithMore extends Pool<FakeConnection> {
      protected override closeOthers(timeoutMs: number): Promise<void> {
        limits.push(timeoutMs)
        return new Promise((resolve) => {
          letGo = resolve
        })
      }
    }
    const pool = new PoolWithMore({ driver, deadlines, resilience: setup.pool.resilience })
    const closed = watch(pool.close({ timeoutMs: 70 }))
    await clock.advance(50)
    expect(closed.state).toBe('pending')
    letGo()
    await settled()
    expect(closed.state).toBe('resolved')
    expect(limits).toEqual([70])
  })

  it('twice is the same as once', async () => {
    const setup = fixture({ min: 1 })
    const lease = await takeOne(setup.pool)
    const first = await closing(setup)
    const second = await closing(setup)
    lease.release()
    await settled()
    expect([first.state, second.state]).toEqual(['resolved', 'resolved'])
    await setup.pool.close()
    expect(setup.driver.connection(1).sent).toEqual(['close'])
    await expectNothingLeft(setup)
  })

  it('from inside a transaction lets it commit, if it does not wait for it', async () => {
    const setup = fixture()
    let closed: Watched<void> | undefined
    const result = await setup.pool.transaction(() => {
      closed = watch(setup.pool.close())
      return 'done'
    })
    await settled()
    expect(result).toBe('done')
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'commit', 'close'])
    expect(closed?.state).toBe('resolved')
    await expectNothingLeft(setup)
  })

  it('awaited inside a transaction ends by its limit; the transaction fails with the connection', async () => {
    const setup = fixture({ closeTimeoutMs: 100 })
    const result = watch(setup.pool.transaction(() => setup.pool.close()))
    await setup.clock.advance(100)
    expect(result.error).toBeInstanceOf(ConnectionLostError)
    expect(setup.driver.connection(1).sent).toEqual(['begin'])
    await expectNothingLeft(setup)
  })
})
