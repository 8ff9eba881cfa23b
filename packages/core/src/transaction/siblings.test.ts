// Nested transactions beside each other: one at a time.

import { describe, expect, it } from '@jest/globals'
import type { FakeConnection } from '../testing/fake-connection.js'
import { type Gate, gate } from '../testing/gate.js'
import { expectNothingHeld, retrying, retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'
import type { TransactionScope } from './transaction.js'

type Scope = TransactionScope<FakeConnection>

/** Opens nested ones whose end is the test's to decide. */
class Siblings {
  readonly gates: Gate[] = []
  readonly began: number[] = []

  open(scope: Scope): Watched<number> {
    const number = this.gates.length
    const goesOn = gate()
    this.gates.push(goesOn)
    return watch(
      scope.savepoint(async ({ connection }) => {
        this.began.push(number)
        await connection.statement(`write ${number}`)
        await goesOn.opened
        return number
      }),
    )
  }
}

describe('nested transactions beside each other', () => {
  it('run one after the other in the order they were asked for, each released before the next begins', async () => {
    const { pool, driver } = retrying()
    const siblings = new Siblings()
    let asked: Watched<number>[] = []
    const result = watch(
      pool.transaction(async (tx) => {
        asked = [siblings.open(tx), siblings.open(tx), siblings.open(tx)]
        while (asked.some(({ state }) => state === 'pending')) await turns(1)
      }),
    )
    for (const number of [0, 1, 2]) {
      await turns()
      expect(siblings.began).toEqual(Array.from({ length: number + 1 }, (_, n) => n))
      siblings.gates[number]?.open()
    }
    await turns(10)
    expect(asked.map(({ value }) => value)).toEqual([0, 1, 2])
    expect(result.state).toBe('resolved')
    expect(driver.connection(1).sent).toEqual([
      'begin',
      ...[0, 1, 2].flatMap((n) => [`savepoint s${n}`, `write ${n}`, `release s${n}`]),
      'commit',
    ])
  })

  it('run first come, first served, also where one is asked for in the moment in which another one ends', async () => {
    const { pool } = retrying()
    const began: (string | number)[] = []
    const nested = (name: string | number) =>
      pool.transaction(() => {
        began.push(name)
      })
    const result = watch(
      pool.transaction(async () => {
        const first = nested('first')
        const asked = [first, nested('second'), nested('third'), first.then(() => nested('at its end'))]
        for (let tick = 0; tick < 25; tick++) {
          await undefined
          asked.push(nested(tick))
        }
        await Promise.all(asked)
      }),
    )
    await turns(60)
    expect(result.state).toBe('resolved')
    expect(began.slice(0, 3)).toEqual(['first', 'second', 'third'])
    expect(began.filter((name) => typeof name === 'number')).toEqual(Array.from({ length: 25 }, (_, tick) => tick))
  })

  it('are undone one by one', async () => {
    const { pool, driver } = retrying()
    const nested = ['kept', 'undone', 'kept too'].map((text) => async (scope: Scope) => {
      await scope.connection.statement(text)
      if (text === 'undone') throw new Error('no')
    })
    const outcomes = await pool.transaction((tx) => Promise.allSettled(nested.map((body) => tx.savepoint(body))))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(driver.connection(1).sent).toEqual([
      'begin',
      ...['savepoint s0', 'kept', 'release s0'],
      ...['savepoint s1', 'undone', 'rollback to s1'],
      ...['savepoint s2', 'kept too', 'release s2'],
      'commit',
    ])
  })

  it('wait on every level for their own sort only', async () => {
    const { pool, driver } = retrying()
    const pair = (scope: Scope, then: (inner: Scope) => unknown) =>
      Promise.all(['a', 'b'].map((name) => scope.savepoint((inner) => then(inner), name)))
    await pool.transaction((tx) => pair(tx, (outer) => pair(outer, (inner) => inner.connection.statement('write'))))
    const inner = (n: number) => ['a', 'b'].map((name, at) => [`s${n + at}_${name}`] as const)
    const sent: string[] = []
    for (const [outer, first] of [
      ['s0_a', 1],
      ['s3_b', 4],
    ] as const) {
      sent.push(`savepoint ${outer}`)
      for (const [name] of inner(first)) sent.push(`savepoint ${name}`, 'write', `release ${name}`)
      sent.push(`release ${outer}`)
    }
    expect(driver.connection(1).sent).toEqual(['begin', ...sent, 'commit'])
  })

  it('that wait when the transaction ends are told that it has ended', async () => {
    const setup = await retryingAndRested()
    const siblings = new Siblings()
    let asked: Watched<number>[] = []
    const result = watch(
      setup.pool.transaction(async (tx) => {
        asked = [siblings.open(tx), siblings.open(tx)]
        await turns()
        throw new Error('no')
      }),
    )
    await turns(10)
    expect(result.error).toMatchObject({ message: 'no' })
    siblings.gates[0]?.open()
    await untilRest(setup)
    expect(siblings.began).toEqual([0])
    for (const { error } of asked) expect(error).toMatchObject({ name: 'TransactionEndedError' })
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'write 0', 'rollback'])
    expectNothingHeld(setup)
  })

  it('that wait in a nested one when that ends are told that it has ended', async () => {
    const setup = await retryingAndRested()
    const siblings = new Siblings()
    let asked: Watched<number>[] = []
    const result = watch(
      setup.pool.transaction(async (tx) => {
        const nested = tx.savepoint(async (scope) => {
          asked = [siblings.open(scope), siblings.open(scope)]
          await turns()
        })
        await nested.catch(() => {})
        await turns(10)
        siblings.gates[0]?.open()
        await turns(10)
      }),
    )
    await turns(60)
    expect(siblings.began).toEqual([0])
    expect(asked[1]?.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(result.state).not.toBe('pending')
  })

  it('one of whose connection is lost do not hang', async () => {
    const setup = await retryingAndRested()
    const siblings = new Siblings()
    let asked: Watched<number>[] = []
    const result = watch(
      setup.pool.transaction(
        async (tx) => {
          asked = [siblings.open(tx), siblings.open(tx)]
          while (asked.some(({ state }) => state === 'pending')) await turns(1)
        },
        { retry: false },
      ),
    )
    await turns()
    setup.driver.connection(1).lose()
    siblings.gates[0]?.open()
    await turns(20)
    for (const { error } of asked) expect(error).toMatchObject({ name: 'ConnectionLostError' })
    expect(result.error).toMatchObject({ name: 'ConnectionLostError' })
  })
})

describe('three nested transactions beside each other', () => {
  it('all hear at once that their connection is lost, and are run again with the whole', async () => {
    const setup = await retryingAndRested()
    const began: string[] = []
    const result = watch(
      setup.pool.transaction((tx, { attempt }) =>
        Promise.allSettled(
          ['a', 'b', 'c'].map((name) =>
            tx.savepoint(({ connection }) => {
              began.push(`${attempt}${name}`)
              if (attempt === 1) connection.lose()
            }),
          ),
        ),
      ),
    )
    await turns(20)
    await setup.clock.advance(10)
    await turns(20)
    expect(began).toEqual(['1a', '2a', '2b', '2c'])
    expect(result.state).toBe('resolved')
  })
})
