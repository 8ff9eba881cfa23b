// When a statement is sent again, how often, and what its caller is told in the end.

import { describe, expect, it } from '@jest/globals'
import {
  AcquireAbortedError,
  AcquireTimeoutError,
  ConnectionLostError,
  PoolClosedError,
  StatementCancelledError,
  StatementTimeoutError,
} from '../errors.js'
import type { PoolOptions, ResilienceOptions } from '../options.js'
import { settled } from '../testing/fake-clock.js'
import { fixture, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'
import { Resends } from './resends.js'

const unsent = new ConnectionLostError('gone before it was sent', { sent: false })
const sent = new ConnectionLostError('gone under way')
const harmless = () => true
const harmful = () => false

async function lost(statement?: ResilienceOptions['statement'], options: PoolOptions = { max: 1, overflow: 0 }) {
  const setup = fixture(options, () => 0, { statement })
  const lease = await takeOne(setup.pool)
  setup.driver.connection(1).lose()
  return { ...setup, lease }
}

describe('a statement is sent again', () => {
  it('when it surely was not sent, whatever it does', async () => {
    const { pool, lease } = await lost()
    expect(new Resends(pool, 0, harmful).again(unsent, lease)).toBe(true)
    expect(pool.stats().statements).toEqual({ resent: 1, overBudget: 0 })
  })

  it('when it may have been carried out only if that does no harm', async () => {
    const { pool, lease } = await lost()
    expect(new Resends(pool, 0, harmful).again(sent, lease)).toBe(false)
    expect(new Resends(pool, 0, harmless).again(sent, lease)).toBe(true)
  })

  it('when it may have been carried out and does no harm where it was', async () => {
    const { pool, lease, driver } = await lost()
    driver.connection(1).role = 'standby'
    const onStandby = new Resends(pool, 0, ({ role }) => role === 'standby')
    expect(onStandby.again(sent, lease)).toBe(true)
    driver.connection(1).role = 'primary'
    expect(onStandby.again(sent, lease)).toBe(false)
  })

  it.each([
    ['a statement’s limit', new StatementTimeoutError('late', { code: '57014' })],
    ['a cancel', new StatementCancelledError('stop', { code: '57014' })],
    ['a loss that nobody knows the outcome of', new ConnectionLostError('?', { retry: 'unknown', code: '08007' })],
    ['a loss that is not to be tried again', new ConnectionLostError('never', { retry: 'never', sent: false })],
    ['no error of ours', new Error('gone')],
  ])('never after %s', async (_, error) => {
    const { pool, lease } = await lost()
    expect(new Resends(pool, 0, harmless).again(error, lease)).toBe(false)
  })

  it('never while its connection lives: a foreign server’s was lost', async () => {
    const { pool } = fixture()
    const lease = await takeOne(pool)
    const foreign = new ConnectionLostError('could not connect to server', { code: '08001' })
    expect(new Resends(pool, 0, harmless).again(foreign, lease)).toBe(false)
  })

  it.each([0, 1, 2, 5])('%d times at most, as set', async (maxResends) => {
    const { pool, lease } = await lost({ maxResends })
    const resends = new Resends(pool, 0, harmful)
    let made = 0
    while (resends.again(unsent, lease)) made++
    expect(made).toBe(maxResends)
  })

  it('twice by default', async () => {
    const { pool, lease } = await lost()
    const resends = new Resends(pool, 0, harmful)
    expect([1, 2, 3].map(() => resends.again(unsent, lease))).toEqual([true, true, false])
  })

  it('never on a pool that is being closed', async () => {
    const { pool, lease } = await lost()
    void pool.close()
    expect(new Resends(pool, 0, harmless).again(unsent, lease)).toBe(false)
  })

  it('only while the budget of the pool lasts, which transactions share', async () => {
    const { pool, lease } = await lost()
    while (pool.retryBudget.take());
    expect(new Resends(pool, 0, harmful).again(unsent, lease)).toBe(false)
    expect(pool.stats().statements).toEqual({ resent: 0, overBudget: 1 })
    for (let n = 0; n < 5; n++) pool.retryBudget.begun()
    expect(new Resends(pool, 0, harmful).again(unsent, lease)).toBe(true)
  })

  it('not when what is left of its own limit is nothing; else that is its limit', async () => {
    const { pool, lease, clock } = await lost({ timeoutMs: 100 })
    await clock.advance(60)
    const resends = new Resends(pool, 0, harmless)
    expect(resends.again(sent, lease)).toBe(true)
    expect(resends.timeoutMs).toBe(40)
    expect(resends.again(sent, lease)).toBe(false)
  })

  it('has no limit where none is set', async () => {
    const { pool, lease, clock } = await lost()
    await clock.advance(60)
    const resends = new Resends(pool, 0, harmless)
    expect(resends.again(sent, lease)).toBe(true)
    expect(resends.timeoutMs).toBeUndefined()
  })

  it('not when its connection was taken back for being held too long: it would be once more', async () => {
    const { pool, lease, clock } = await lost({}, { max: 1, leakAfterMs: 1_000, reclaimLeaks: true })
    await clock.advance(1_000)
    expect(new Resends(pool, 0, harmless).again(sent, lease)).toBe(false)
  })
})

describe('another connection', () => {
  it('is waited for as long as the caller has not waited yet', async () => {
    const { pool, lease, clock, driver } = await lost({}, { max: 1, overflow: 0, acquireTimeoutMs: 1_000 })
    driver.connects = 'deaf'
    const resends = new Resends(pool, 700, harmful)
    expect(resends.again(unsent, lease)).toBe(true)
    lease.release()
    const got = watch(resends.acquire(pool))
    await clock.advance(299)
    expect(got.state).toBe('pending')
    await clock.advance(1)
    expect(got.error).toBeInstanceOf(AcquireTimeoutError)
  })

  it('is waited for within one limit, however many there are', async () => {
    const { pool, lease, clock, driver } = await lost({}, { max: 1, overflow: 0, acquireTimeoutMs: 1_000 })
    driver.connects = 'deaf'
    const resends = new Resends(pool, 0, harmful)
    resends.again(unsent, lease)
    lease.release()
    const first = watch(resends.acquire(pool))
    await clock.advance(600)
    driver.pending.at(-1)?.succeed()
    await settled()
    const second = first.value
    driver.connections.at(-1)?.lose()
    resends.again(unsent, second)
    second.release()
    const got = watch(resends.acquire(pool))
    await clock.advance(399)
    expect(got.state).toBe('pending')
    await clock.advance(1)
    expect(got.error).toBeInstanceOf(AcquireTimeoutError)
  })

  it('is taken for a single statement', async () => {
    const { pool, lease, clock } = await lost()
    const resends = new Resends(pool, 0, harmful)
    resends.again(unsent, lease)
    lease.release()
    const next = watch(resends.acquire(pool))
    await clock.advance(1_000)
    expect([next.value.brief, next.value.id]).toEqual([true, 2])
  })
})

describe('its caller is told', () => {
  it('why there is no other connection, when nothing was ever carried out', async () => {
    const { pool, lease } = await lost()
    const resends = new Resends(pool, 0, harmful)
    resends.again(unsent, lease)
    const closing = pool.close()
    lease.release()
    await expect(resends.acquire(pool)).rejects.toBeInstanceOf(PoolClosedError)
    await closing
  })

  it('of the loss, when it may have been carried out: no other connection, or not sent on that one, is no answer', async () => {
    const { pool, lease } = await lost()
    const resends = new Resends(pool, 0, harmless)
    resends.again(sent, lease)
    const closing = pool.close()
    lease.release()
    await expect(resends.acquire(pool)).rejects.toBe(sent)
    expect(resends.told(unsent)).toBe(sent)
    await closing
  })

  it('the error of the last try otherwise', async () => {
    const { pool, lease } = await lost()
    const resends = new Resends(pool, 0, harmless)
    expect(resends.told(unsent)).toBe(unsent)
    resends.again(sent, lease)
    const last = new ConnectionLostError('gone again')
    expect(resends.told(last)).toBe(last)
  })

  it('that it has given up itself', async () => {
    const { pool, lease } = await lost()
    const resends = new Resends(pool, 0, harmless)
    resends.again(sent, lease)
    await expect(resends.acquire(pool, AbortSignal.abort('enough'))).rejects.toBeInstanceOf(AcquireAbortedError)
  })
})

describe('a loss', () => {
  it('says in JSON that it was not sent only when that is sure', () => {
    expect([unsent.toJSON().sent, 'sent' in sent.toJSON()]).toEqual([false, false])
  })

  it('found where a connection was to be used says that nothing was sent', async () => {
    const { lease } = await lost()
    expect(() => lease.connection).toThrow(expect.objectContaining({ name: 'ConnectionLostError', sent: false }))
  })
})
