// A test's own transaction: where it is joined from, and how it ends.

import { describe, expect, it } from '@jest/globals'
import { PropagationError, TransactionEndedError } from '../errors.js'
import { placeHere } from '../frames.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeConnection } from '../testing/fake-connection.js'
import { counts, empty, type FakePool } from '../testing/fixture.js'
import { rested } from '../testing/rested.js'
import { watch } from '../testing/watch.js'
import { TestTransaction } from './test-transaction.js'

function begin(pool: FakePool): Promise<TestTransaction<FakeConnection>> {
  return TestTransaction.begin(pool, placeHere())
}

function caught(work: () => Promise<unknown>): Promise<unknown> {
  return work().then(
    () => 'done',
    (error: unknown) => error,
  )
}

describe('a test’s transaction', () => {
  it('is begun at once, is joined in its call chain, and is rolled back once', async () => {
    const { pool, connection } = await rested()
    const test = await begin(pool)
    expect(pool.joinable?.scope).toBe(test.joinable?.scope)
    await pool.joinable?.scope.connection.statement('mine')
    await Promise.all([test.rollback(), test.rollback()])
    expect(connection.sent).toEqual(['begin', 'mine', 'rollback'])
    expect([pool.joinable, test.joinable]).toEqual([undefined, undefined])
    expect(counts(pool)).toEqual({ ...empty, idle: 1 })
  })

  it('lends no connection, and says that it is over', async () => {
    const { pool } = await rested()
    const test = await begin(pool)
    await test.rollback()
    expect(test.tryAcquire()).toBeUndefined()
    await expect(test.acquire()).rejects.toBeInstanceOf(TransactionEndedError)
  })

  it('has the transactions in it as savepoints, whatever their propagation says of the one around it', async () => {
    const { pool, connection } = await rested()
    const test = await begin(pool)
    for (const propagation of ['nested', 'required', 'requiresNew'] as const) {
      await pool.transaction((scope) => scope.connection.statement(propagation), { propagation, durable: true })
    }
    await expect(pool.transaction(() => {}, { propagation: 'mandatory' })).rejects.toBeInstanceOf(PropagationError)
    await test.rollback()
    expect(connection.sent).toEqual([
      'begin',
      ...['savepoint s0', 'nested', 'release s0'],
      ...['savepoint s1', 'required', 'release s1'],
      ...['savepoint s2', 'requiresNew', 'release s2'],
      'rollback',
    ])
  })

  it('is where work is done that is to have no transaction', async () => {
    const { pool } = await rested()
    const test = await begin(pool)
    for (const propagation of ['never', 'supports', 'notSupported'] as const) {
      await pool.transaction(() => {}, { propagation }, { without: () => expect(pool.joinable).toBe(test.joinable) })
    }
    await test.rollback()
  })

  it('finds the innermost transaction of the call chain that its handle is used in', async () => {
    const { pool } = await rested()
    const test = await begin(pool)
    await pool.transaction((scope) => {
      expect(test.joinable?.scope).toBe(scope)
    })
    await test.rollback()
  })

  it('that cannot be begun is told, and is not in the way', async () => {
    const { pool, connection } = await rested()
    connection.next('begin', new Error('no'))
    await expect(begin(pool)).rejects.toThrow('no')
    expect(pool.joinable).toBeUndefined()
    await pool.transaction(({ connection }) => connection.statement())
  })

  it('whose connection is lost still ends', async () => {
    const { pool, connection, clock } = await rested()
    const test = await begin(pool)
    connection.lose()
    const ended = watch(test.rollback())
    await clock.advance(0)
    await settled()
    expect(ended.state).toBe('resolved')
    expect(test.joinable).toBeUndefined()
  })

  it('whose connection is lost keeps the application from doing anything by itself, until the test has ended', async () => {
    const { pool, driver, connection, clock } = await rested()
    const test = await begin(pool)
    connection.lose()
    await settled()
    const attempted = async () => {
      const told: unknown[] = [await caught(async () => pool.joinable?.scope.connection.statement('query'))]
      for (const propagation of ['nested', 'required', 'requiresNew'] as const) {
        told.push(
          await caught(() => pool.transaction(({ connection }) => connection.statement('write'), { propagation })),
        )
      }
      return told
    }
    for (const error of await attempted()) expect(error).toMatchObject({ name: 'ConnectionLostError' })
    await clock.advance(60_000)
    await settled()
    for (const error of await attempted()) expect(error).toBeInstanceOf(TransactionEndedError)
    expect(driver.connections.flatMap(({ sent }) => sent)).toEqual(['begin'])
    await test.rollback()
    expect(pool.joinable).toBeUndefined()
    await pool.transaction(({ connection }) => connection.statement('after'))
    expect(driver.connection(2).sent).toEqual(['begin', 'after', 'commit'])
  })
})
