// The root database inside of a transaction: what its statements are part of.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { RootUseError } from '../errors.js'
import { outsideTransaction } from '../scope.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { type FakePool, fixture } from '../testing/fixture.js'
import type { RootUse } from '../transaction/transaction-defaults.js'

const warn = jest.spyOn(process, 'emitWarning')

beforeEach(() => {
  warn.mockReset()
  warn.mockImplementation(() => {})
})

afterEach(() => {
  warn.mockReset()
})

const poolWith = (rootUse?: RootUse) => fixture({}, () => 0, { transaction: { retry: false, rootUse } }).pool

const own = { joined: false } as const

/** As the ORM's own `db.transaction()` does it. */
const ofItsOwn = <T>(pool: FakePool, body: () => Promise<T> | T) => pool.transaction(body, {}, own)

describe('a statement on the root database', () => {
  it('outside of any transaction is part of none, whatever rootUse says', () => {
    for (const rootUse of ['warn', 'join', 'error', 'allow'] as const)
      expect(poolWith(rootUse).joinable).toBeUndefined()
  })

  it('joins a transaction that was begun for all in its call chain, whatever rootUse says, and nested ones', async () => {
    for (const rootUse of ['warn', 'join', 'error', 'allow'] as const) {
      const pool = poolWith(rootUse)
      await pool.transaction(async (tx, context) => {
        await settled()
        expect(pool.joinable).toMatchObject({ joined: true })
        expect(pool.joinable?.scope).toBe(tx)
        expect(pool.joinable?.context).toBe(context)
        await pool.transaction((nested) => expect(pool.joinable?.scope).toBe(nested))
      })
    }
    expect(warn).not.toHaveBeenCalled()
  })

  it('inside of the ORM’s own is part of none, and reported: each time as an event, once as a warning', async () => {
    for (const pool of [poolWith('warn'), poolWith()]) {
      warn.mockClear()
      const events = await eventsOf('moorings:root:used', async () => {
        for (let n = 0; n < 2; n++) await ofItsOwn(pool, () => expect(pool.joinable).toBeUndefined())
        await ofItsOwn(pool, () => [pool.joinable, pool.joinable])
      })
      expect(events).toEqual(Array.from({ length: 4 }, () => ({ ...pool.identity, attempt: 1 })))
      expect(warn).toHaveBeenCalledTimes(1)
      expect(warn).toHaveBeenCalledWith(expect.stringContaining('withTransaction()'), {
        ...{ type: 'MooringsWarning', code: 'MOORINGS_ROOT_USE' },
        detail: expect.stringContaining(pool.name),
      })
    }
  })

  it('joins that with `join`, without a word', async () => {
    const pool = poolWith('join')
    const events = await eventsOf('moorings:root:used', () =>
      pool.transaction((tx) => expect(pool.joinable?.scope).toBe(tx), {}, own),
    )
    expect(events).toEqual([])
    expect(warn).not.toHaveBeenCalled()
  })

  it('is refused there with `error`', async () => {
    const pool = poolWith('error')
    await ofItsOwn(pool, () => expect(() => pool.joinable).toThrow(RootUseError))
    expect(warn).not.toHaveBeenCalled()
  })

  it('is part of none with `allow`, without a word', async () => {
    const pool = poolWith('allow')
    const events = await eventsOf('moorings:root:used', () =>
      ofItsOwn(pool, () => expect(pool.joinable).toBeUndefined()),
    )
    expect(events).toEqual([])
    expect(warn).not.toHaveBeenCalled()
  })

  it('is meant in outsideTransaction(), and not refused', async () => {
    for (const rootUse of ['warn', 'error'] as const) {
      const pool = poolWith(rootUse)
      await ofItsOwn(pool, () => outsideTransaction(() => expect(pool.joinable).toBeUndefined()))
      await pool.transaction(() => outsideTransaction(() => expect(pool.joinable).toBeUndefined()))
    }
    expect(warn).not.toHaveBeenCalled()
  })
})

describe('whether a nested transaction is joined', () => {
  it('may be said inside of the ORM’s own; inside of what everything joins, everything does', async () => {
    const pool = poolWith('allow')
    for (const outer of [true, false]) {
      for (const inner of [true, false, undefined]) {
        for (const propagation of ['nested', 'required', 'requiresNew'] as const) {
          await pool.transaction(
            async () => {
              const circumstances = inner === undefined ? {} : { joined: inner }
              const expected = outer || inner === true
              await pool.transaction(
                async () => {
                  await settled()
                  expect(pool.joinable !== undefined).toBe(expected)
                  // And whatever is begun in it.
                  await pool.transaction(() => expect(pool.joinable !== undefined).toBe(expected))
                },
                { propagation },
                circumstances,
              )
              expect(pool.joinable !== undefined).toBe(outer)
            },
            {},
            { joined: outer },
          )
        }
      }
    }
  })

  it('is not inherited by one in outsideTransaction()', async () => {
    const pool = poolWith('error')
    await ofItsOwn(pool, () =>
      outsideTransaction(() => pool.transaction((tx) => expect(pool.joinable?.scope).toBe(tx))),
    )
  })
})
