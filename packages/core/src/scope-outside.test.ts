// Stepping outside of every transaction that is around.

import { describe, expect, it } from '@jest/globals'
import { currentTransaction, outsideTransaction, Scopes, type Stretch } from './scope.js'
import { settled } from './testing/fake-clock.js'
import { type FakePool, fixture } from './testing/fixture.js'
import { turns } from './testing/retrying.js'
import { watch } from './testing/watch.js'

const inside = (pool: FakePool) => pool.scopes.current?.scope

describe('outsideTransaction()', () => {
  it('is outside of all of them, and only what is called in it', async () => {
    const [one, other] = [fixture().pool, fixture().pool]
    await one.transaction((outer) =>
      other.transaction(async (inner) => {
        await outsideTransaction(async () => {
          await settled()
          expect([inside(one), inside(other), currentTransaction()]).toEqual([undefined, undefined, undefined])
        })
        expect([inside(one), inside(other)]).toEqual([outer, inner])
      }),
    )
  })

  it('gives what its body gives, and throws what it throws', async () => {
    const thrown = new Error('no')
    expect(outsideTransaction(() => 42)).toBe(42)
    await expect(outsideTransaction(() => Promise.reject(thrown))).rejects.toBe(thrown)
  })

  it('may hold another transaction, which is on its own', async () => {
    const { pool, driver } = fixture()
    const outer = watch(
      pool.transaction(async () => {
        await outsideTransaction(() => pool.transaction(({ connection }) => connection.statement('audit')))
        throw new Error('no')
      }),
    )
    await turns()
    expect(outer.state).toBe('rejected')
    expect(driver.connections.map(({ sent }) => sent)).toEqual([
      ['begin', 'rollback'],
      ['begin', 'audit', 'commit'],
    ])
  })

  it('still counts as holding what is held around it: waiting for itself is told', async () => {
    const { pool, clock } = fixture({ max: 1, overflow: 0, acquireTimeoutMs: 30_000 })
    const result = watch(pool.transaction(() => outsideTransaction(() => pool.transaction(() => 'never'))))
    await turns()
    await clock.advance(5_000)
    await turns()
    expect(result.error).toMatchObject({ name: 'SelfDeadlockError' })
  })

  it('may be called in itself, over and over', async () => {
    const { pool } = fixture()
    const deep = (left: number): unknown => outsideTransaction(() => (left > 0 ? deep(left - 1) : inside(pool)))
    await pool.transaction(async (tx) => {
      expect(deep(100)).toBeUndefined()
      expect(inside(pool)).toBe(tx)
    })
  })

  it('called in itself looks once at what is around all of them, also when that has ended', () => {
    const scopes = new Scopes<string, Stretch>({})
    const context = { attempt: 1, signal: new AbortController().signal, afterCommit() {}, afterRollback() {} }
    let looks = 0
    let open = true
    const deep = (left: number): void =>
      outsideTransaction(() => {
        if (left > 0) return deep(left - 1)
        open = false
        looks = 0
        return outsideTransaction(() => {})
      })
    const ambient = { scope: 'it', context, joined: true, open: () => ++looks > 0 && open }
    scopes.run(undefined, ambient, () => deep(12))
    // Not twice as often with every one more: a timer that steps outside again and again would come to a stand.
    expect(looks).toBeLessThanOrEqual(30)
  })
})
