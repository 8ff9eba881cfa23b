// What a borrower leaves behind is not seen by the next.

import { describe, expect, it } from '@jest/globals'
import { ConnectionLostError, StatementError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { ask, counts, empty, type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const one = { max: 1, overflow: 0 }

/** A leased connection in an open transaction. */
async function inTransaction(options = {}) {
  const setup: Fixture = fixture({ ...one, ...options })
  const lease = await takeOne(setup.pool)
  const { connection } = lease
  await connection.begin()
  return { ...setup, lease, connection }
}

describe('a connection returned in an open transaction', () => {
  it('is rolled back before anybody else gets it', async () => {
    const { pool, lease, connection } = await inTransaction()
    connection.next('reset', 'held')
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.state).toBe('pending')
    expect(counts(pool)).toEqual({ ...empty, leased: 1, waiting: 1 })
    connection.held('reset').ok()
    await settled()
    expect(waiting?.value.connection).toBe(connection)
    expect(connection.transactionStatus).toBe('idle')
    expect(connection.sent).toEqual(['begin', 'reset'])
  })

  it('rests in the pool after its roll-back when nobody waits', async () => {
    const { pool, lease } = await inTransaction()
    lease.release()
    await settled()
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('is destroyed when the roll-back is not answered, and whoever waits gets another', async () => {
    const { pool, clock, lease, connection } = await inTransaction()
    connection.next('reset', 'held')
    const [waiting] = await ask(pool, 1)
    lease.release()
    const { signal } = connection.held('reset')
    await clock.advance(4_999.9)
    expect(connection.open).toBe(true)
    await clock.advance(0.1)
    expect(signal?.aborted).toBe(true)
    expect(connection.ended).toBe('destroyed')
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('is destroyed when the roll-back fails', async () => {
    const { pool, lease, connection } = await inTransaction()
    connection.next('reset', new Error('no such luck'))
    const events = await eventsOf('moorings:connection:closed', async () => {
      lease.release()
      await settled()
    })
    expect(connection.ended).toBe('destroyed')
    expect(events).toMatchObject([{ reason: 'unfit', error: { name: 'StatementError', message: 'no such luck' } }])
    expect(counts(pool)).toEqual(empty)
  })

  it('that is lost during its roll-back is counted once', async () => {
    const { pool, lease, connection } = await inTransaction()
    connection.next('reset', 'held')
    lease.release()
    connection.lose()
    await settled()
    expect(pool.stats()).toMatchObject({ ...empty, created: 1, closed: 1, lost: 1 })
  })

  it('keeps its place while it is rolled back: no caller gets one too many', async () => {
    const { pool, driver, lease, connection } = await inTransaction()
    connection.next('reset', 'held')
    lease.release()
    await ask(pool, 1)
    expect(driver.attempts).toHaveLength(1)
  })
})

describe('a connection returned', () => {
  it('in a failed transaction is destroyed', async () => {
    const { pool, driver, lease, connection } = await inTransaction()
    connection.next('statement', new StatementError('division by zero'))
    await expect(connection.statement()).rejects.toThrow('division by zero')
    expect(connection.transactionStatus).toBe('failed')
    const [waiting] = await ask(pool, 1)
    lease.release()
    expect(driver.connection(1).ended).toBe('destroyed')
    await settled()
    expect(waiting?.value.connection.id).toBe(2)
  })

  it('with a statement running is destroyed, and the statement rejects', async () => {
    const { pool, driver } = fixture(one)
    const lease = await takeOne(pool)
    const { connection } = lease
    connection.next('statement', 'held')
    const statement = watch(connection.statement())
    lease.release()
    await settled()
    expect(statement.error).toBeInstanceOf(ConnectionLostError)
    expect(driver.connection(1).ended).toBe('destroyed')
    expect(counts(pool)).toEqual(empty)
  })

  it('with a cancel under way waits until it is over', async () => {
    const { pool } = fixture(one)
    const lease = await takeOne(pool)
    const { connection } = lease
    connection.cancelling = true
    connection.next('reset', 'held')
    const [waiting] = await ask(pool, 1)
    lease.release()
    await settled()
    expect(waiting?.state).toBe('pending')
    connection.held('reset').ok()
    await settled()
    expect(waiting?.value.connection.activity).toBe('idle')
  })

  it('clean costs nothing: nothing is sent', async () => {
    const { pool } = fixture(one)
    const lease = await takeOne(pool)
    const { connection } = lease
    await connection.begin()
    await connection.commit()
    lease.release()
    await settled()
    expect(connection.sent).toEqual(['begin', 'commit'])
  })
})

describe('a failed BEGIN', () => {
  it('is what the caller gets, and leaks nothing', async () => {
    const { pool, driver } = fixture(one)
    driver.always('begin', new StatementError('permission denied'))
    let ran = false
    const failed = pool.transaction(() => {
      ran = true
    })
    await expect(failed).rejects.toThrow('permission denied')
    expect(ran).toBe(false)
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
    expect(driver.connection(1).sent).toEqual(['begin'])
  })

  it('because the connection was lost leaks nothing, and a waiter gets another', async () => {
    const { pool, driver, clock } = fixture(one)
    driver.always('begin', 'held')
    const failed = watch(pool.transaction(() => {}))
    const [waiting] = await ask(pool, 1)
    await clock.advance(20_000)
    driver.connection(1).lose()
    await settled()
    expect(failed.error).toBeInstanceOf(ConnectionLostError)
    expect(waiting?.value.connection.id).toBe(2)
    expect(counts(pool)).toEqual({ ...empty, leased: 1 })
  })
})
