// Queries that are sent when somebody waits for them: what they are inside of is where they were returned, not who waits.

import { inspect } from 'node:util'
import { describe, expect, it } from '@jest/globals'
import { begun } from './begun.js'
import { afterCommit, afterRollback, outsideTransaction } from './scope.js'
import { idempotent } from './statement/idempotent.js'
import { type FakePool, fixture } from './testing/fixture.js'

/** As a query builder of Drizzle's, which is none of the promises of the language, and is no more than its `then`. */
class Lazy<T> implements Promise<T> {
  readonly [Symbol.toStringTag] = 'Lazy'
  readonly #work: () => T

  constructor(work: () => T) {
    this.#work = work
  }

  // biome-ignore lint/suspicious/noThenProperty: that is what makes it lazy
  then<R = T, F = never>(
    kept?: ((value: T) => PromiseLike<R> | R) | null,
    failed?: ((reason: unknown) => PromiseLike<F> | F) | null,
  ): Promise<R | F> {
    return new Promise<T>((resolve) => resolve(this.#work())).then(kept, failed)
  }

  catch<F = never>(failed?: ((reason: unknown) => PromiseLike<F> | F) | null): Promise<T | F> {
    return this.then(undefined, failed)
  }

  finally(run?: (() => void) | null): Promise<T> {
    return this.then().finally(run)
  }
}

const lazy = <T>(work: () => T): Promise<T> => new Lazy(work)

const inside = (pool: FakePool) => lazy(() => pool.scopes.current?.scope)

describe('begun()', () => {
  it('gives what the work gives, also when that is still to come', async () => {
    expect(await begun(() => 1)).toBe(1)
    expect(await begun(() => Promise.resolve(2))).toBe(2)
    expect(await begun(() => lazy(() => 3))).toBe(3)
    expect(await begun(() => null)).toBeNull()
  })

  it('rejects with what the work throws, now or later', async () => {
    const thrown = new Error('no')
    const no = () => {
      throw thrown
    }
    await expect(begun(no)).rejects.toBe(thrown)
    await expect(begun(() => Promise.reject(thrown))).rejects.toBe(thrown)
    await expect(begun(() => lazy(no))).rejects.toBe(thrown)
  })
})

describe('what is no function where one is needed', () => {
  it.each<[string, (given: never) => unknown]>([
    ['pool.transaction()', (given) => fixture().pool.transaction(given)],
    ['pool.session()', (given) => fixture().pool.session(given)],
    ['idempotent()', async (given) => idempotent(given)],
    ['afterCommit()', (given) => afterCommit(given)],
    ['afterRollback()', async (given) => afterRollback(given)],
    ["a context's afterCommit()", (given) => fixture().pool.transaction((_, context) => context.afterCommit(given))],
  ])('is refused by %s at once, and never shown', async (_, use) => {
    // As of `afterCommit(mailer.send(order))`, which has sent it already.
    const given = Object.assign(Promise.resolve('sent'), { secret: 'hunter2' })
    const error = await Promise.resolve(use(given as never)).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'InvalidOptionsError', message: expect.stringContaining('a function') })
    expect(inspect(error)).not.toContain('hunter2')
  })
})

describe('a query that is sent when it is waited for', () => {
  it('is inside of the transaction whose body returns it', async () => {
    const { pool } = fixture()
    await pool.transaction(async (outer) => {
      expect(await pool.transaction(() => inside(pool), { propagation: 'required' })).toBe(outer)
      expect(await pool.transaction(() => inside(pool))).not.toBe(outer)
      const own = await pool.transaction((scope) => lazy(() => [scope, pool.scopes.current?.scope]), {
        propagation: 'requiresNew',
      })
      expect(own[0]).toBe(own[1])
      expect(own[0]).not.toBe(outer)
    })
  })

  it('is outside of all where that was asked for', async () => {
    const { pool } = fixture()
    await pool.transaction(async () => {
      expect(await outsideTransaction(() => inside(pool))).toBeUndefined()
      const without = { without: () => inside(pool) }
      expect(await pool.transaction(() => inside(pool), { propagation: 'notSupported' }, without)).toBeUndefined()
    })
  })

  it('counts as holding the lease whose body returns it', async () => {
    const { pool } = fixture()
    const held = await pool.lease((lease) => lazy(() => [pool.scopes.held, lease]))
    expect(held[0]).toEqual([held[1]])
  })

  it('is on the session whose body returns it', async () => {
    const { pool } = fixture()
    const on = await pool.session((session) => lazy(() => [pool.scopes.session, session]))
    expect(on[0]).toBe(on[1])
  })
})
