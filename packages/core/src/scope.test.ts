// What a call chain is inside of: however it goes on, and until that is over.

import { EventEmitter } from 'node:events'
import { describe, expect, it } from '@jest/globals'
import { currentTransaction, Scopes, type Stretch, type TransactionContext } from './scope.js'
import { settled } from './testing/fake-clock.js'
import { type FakePool, fixture } from './testing/fixture.js'
import { gate } from './testing/gate.js'
import { no } from './testing/noting.js'
import { turns } from './testing/retrying.js'
import { watch } from './testing/watch.js'

/** The transaction that the call chain is inside of: its handle. */
const inside = (pool: FakePool) => pool.scopes.current?.scope

const after: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['await', async () => {}],
  ['a microtask', () => new Promise<void>((resolve) => queueMicrotask(resolve))],
  ['process.nextTick', () => new Promise<void>((resolve) => process.nextTick(resolve))],
  ['setImmediate', () => new Promise((resolve) => setImmediate(resolve))],
  ['a timer', () => new Promise((resolve) => setTimeout(resolve, 1))],
  ['a promise settled elsewhere', async () => elsewhere.opened],
]

const elsewhere = gate()

describe('a call chain inside of a transaction', () => {
  it.each(after)('is so after %s', async (_, wait) => {
    const { pool } = fixture()
    elsewhere.open()
    await pool.transaction(async (tx) => {
      await wait()
      expect(inside(pool)).toBe(tx)
      expect(currentTransaction()).toMatchObject({ attempt: 1 })
    })
    expect(inside(pool)).toBeUndefined()
    expect(currentTransaction()).toBeUndefined()
  })

  it('is so in every branch of Promise.all, and in callbacks it starts', async () => {
    const { pool } = fixture()
    await pool.transaction(async (tx) => {
      const seen = await Promise.all([
        ...after.map(([, wait]) => wait().then(() => inside(pool))),
        new Promise((resolve) => setImmediate(() => resolve(inside(pool)))),
        new Promise((resolve) => process.nextTick(() => setTimeout(() => resolve(inside(pool)), 1))),
      ])
      for (const one of seen) expect(one).toBe(tx)
    })
  })

  it('is so in listeners that are called from it, wherever they were set', async () => {
    const { pool } = fixture()
    const emitter = new EventEmitter()
    const seen: unknown[] = []
    emitter.on('order', () => seen.push(inside(pool)))
    emitter.emit('order')
    let handle: unknown
    await pool.transaction(async (tx) => {
      handle = tx
      emitter.on('order', () => seen.push(inside(pool)))
      await settled()
      emitter.emit('order')
    })
    emitter.emit('order')
    expect(seen).toEqual([undefined, handle, handle, undefined, undefined])
    expect(handle).toBeDefined()
  })

  it('is so through an async generator that was made in it', async () => {
    const { pool } = fixture()
    async function* rows() {
      await settled()
      yield inside(pool)
      await settled()
      yield inside(pool)
    }
    await pool.transaction(async (tx) => {
      for await (const seen of rows()) expect(seen).toBe(tx)
    })
  })

  it('is not mixed up with another that runs at the same time', async () => {
    const { pool } = fixture()
    await Promise.all(
      Array.from({ length: 5 }, () =>
        pool.transaction(async (tx) => {
          for (let step = 0; step < 5; step++) {
            await settled()
            expect(inside(pool)).toBe(tx)
          }
        }),
      ),
    )
  })

  it('tells the innermost, and the one around it again after its end', async () => {
    const { pool } = fixture()
    await pool.transaction(async (outermost) => {
      await pool.transaction(async (nested) => {
        expect(nested).not.toBe(outermost)
        await settled()
        expect(inside(pool)).toBe(nested)
        await pool.transaction(
          async (own) => {
            await settled()
            expect(inside(pool)).toBe(own)
          },
          { propagation: 'requiresNew' },
        )
        expect(inside(pool)).toBe(nested)
      })
      expect(inside(pool)).toBe(outermost)
      await pool.transaction(no).catch(() => {})
      expect(inside(pool)).toBe(outermost)
    })
  })

  it('sees each attempt’s own transaction', async () => {
    const { pool } = fixture()
    for (const end of ['failed', 'done']) {
      const seen: unknown[] = []
      const result = watch(
        pool.transaction(async (tx) => {
          await settled()
          seen.push(inside(pool) === tx)
          if (end === 'failed') throw new Error('no')
        }),
      )
      await turns()
      expect(result.state).not.toBe('pending')
      expect(seen).toEqual([true])
    }
  })
})

const nothing: TransactionContext = {
  attempt: 1,
  signal: new AbortController().signal,
  afterCommit: () => {},
  afterRollback: () => {},
}

describe('a call chain that outlives its transaction', () => {
  it('is inside of none any more once that is committed', async () => {
    const { pool } = fixture()
    const late = gate()
    let seen = watch<unknown[]>(new Promise(() => {}))
    await pool.transaction(() => {
      seen = watch(late.opened.then(() => [inside(pool), pool.joinable, currentTransaction(), pool.scopes.held]))
    })
    late.open()
    await turns()
    expect(seen.value).toEqual([undefined, undefined, undefined, []])
  })

  it('stays inside for a while when that was rolled back, where all it does is refused; then it is inside of none', async () => {
    const { pool, clock } = fixture({}, undefined, { transaction: { retry: false, settleTimeoutMs: 500 } })
    const [soon, late] = [gate(), gate()]
    const ended = { name: 'TransactionEndedError' }
    let refused = watch<unknown>(new Promise(() => {}))
    let seen = watch<unknown[]>(new Promise(() => {}))
    const failed = watch(
      pool.transaction(async () => {
        refused = watch(soon.opened.then(() => inside(pool)?.connection))
        seen = watch(late.opened.then(() => [inside(pool), pool.joinable, currentTransaction(), pool.scopes.held]))
        throw new Error('no')
      }),
    )
    await turns()
    expect(failed.state).toBe('rejected')
    await clock.advance(499)
    soon.open()
    await turns()
    expect(refused.error).toMatchObject(ended)
    await clock.advance(1)
    late.open()
    await turns()
    expect(seen.value).toEqual([undefined, undefined, undefined, []])
  })

  it('is inside of the one around it, if it was a nested one that has ended', async () => {
    const { pool } = fixture()
    const late = gate()
    await pool.transaction(async (outer) => {
      let seen: unknown
      let read = Promise.resolve()
      await pool.transaction(() => {
        read = late.opened.then(() => {
          seen = inside(pool)
        })
      })
      late.open()
      await read
      expect(seen).toBe(outer)
    })
  })

  it('joins none while COMMIT is on its way', async () => {
    const { pool, driver } = fixture()
    const late = gate()
    driver.always('commit', 'held')
    let seen = watch<unknown>(new Promise(() => {}))
    watch(
      pool.transaction(async () => {
        seen = watch(late.opened.then(() => inside(pool)))
      }),
    )
    await turns()
    expect(driver.connection(1).sent.at(-1)).toBe('commit')
    late.open()
    await turns()
    expect(seen.value).toBeUndefined()
    driver.connection(1).held('commit').ok()
    await turns()
  })

  it('may begin a new one, of its own', async () => {
    const { pool, driver } = fixture()
    const late = gate()
    let next = watch(Promise.resolve())
    await pool.transaction(() => {
      next = watch(late.opened.then(() => pool.transaction(({ connection }) => connection.statement('late'))))
    })
    late.open()
    await turns()
    expect(next.state).toBe('resolved')
    expect(driver.connection(1).sent).toEqual(['begin', 'commit', 'begin', 'late', 'commit'])
  })

  it('and goes on starting new ones does not drag along all that were', async () => {
    const scopes = new Scopes<number, Stretch>({})
    let looks = 0
    const again = async (left: number): Promise<unknown> => {
      let open = true
      const ambient = { scope: left, context: nothing, joined: true, open: () => ++looks > 0 && open }
      const next = scopes.run(undefined, ambient, async () => {
        await settled()
        if (left > 0) return again(left - 1)
        looks = 0
        return scopes.current
      })
      open = false
      return next
    }
    await expect(again(50)).resolves.toBeUndefined()
    expect(looks).toBeLessThanOrEqual(2)
  })

  it('and has started the next one before each of them ended does not either', async () => {
    const scopes = new Scopes<number, Stretch>({})
    let looks = 0
    let seen = watch<unknown>(new Promise(() => {}))
    const again = (left: number): Promise<void> => {
      let open = true
      const ambient = { scope: left, context: nothing, joined: true, open: () => ++looks > 0 && open }
      return scopes.run(undefined, ambient, async () => {
        // Meanwhile the one before has ended.
        await Promise.resolve()
        if (left > 0) void again(left - 1)
        else seen = watch(settled().then(() => scopes.current))
        open = false
        if (left === 0) looks = 0
      })
    }
    await again(200)
    await turns(2)
    expect(seen.value).toBeUndefined()
    expect(looks).toBeLessThanOrEqual(4)
  })
})

describe('two pools', () => {
  it('know their own transactions only, nested in each other', async () => {
    const [one, other] = [fixture().pool, fixture().pool]
    await one.transaction(async (outer) => {
      expect(inside(other)).toBeUndefined()
      await other.transaction(async (inner) => {
        await settled()
        expect(inside(one)).toBe(outer)
        expect(inside(other)).toBe(inner)
        await one.transaction(async (nested) => {
          await settled()
          expect(inside(one)).toBe(nested)
          expect(inside(other)).toBe(inner)
        })
        expect(inside(one)).toBe(outer)
      })
      expect(inside(other)).toBeUndefined()
    })
  })

  it('each have a transaction of their own, whatever the propagation says of the other', async () => {
    const [one, other] = [fixture(), fixture()]
    await one.pool.transaction(() =>
      other.pool.transaction(() => {}, { durable: true, isolationLevel: 'serializable' }),
    )
    expect(one.driver.connection(1).sent).toEqual(['begin', 'commit'])
    expect(other.driver.connection(1).sent).toEqual(['begin isolation level serializable', 'commit'])
  })

  it('share what is current: the innermost, whichever pool it is of', async () => {
    const [one, other] = [fixture().pool, fixture().pool]
    await one.transaction((_, outer) =>
      other.transaction(async (_, inner) => {
        await settled()
        expect(currentTransaction()).toBe(inner)
        expect(inner).not.toBe(outer)
      }),
    )
  })
})
