// What a body has left running when it failed, as the other branches of a Promise.all are: it must not do by itself what was
// rolled back, nor become a part of what goes on.

import { describe, expect, it } from '@jest/globals'
import { afterCommit } from '../scope.js'
import { deadlock } from '../testing/failures.js'
import type { FakePool } from '../testing/fixture.js'
import { gate } from '../testing/gate.js'
import { no } from '../testing/noting.js'
import { retryingAndRested, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'

/** The root database, as the plugins have it. */
async function query(pool: FakePool, text: string): Promise<void> {
  const scope = pool.joinable?.scope
  if (scope === undefined) await pool.lease(({ connection }) => connection.statement(text))
  else await scope.connection.statement(text)
}

describe('what a failed attempt has left running', () => {
  it('writes nothing beside the attempt that is made instead', async () => {
    const setup = await retryingAndRested()
    const { pool, driver } = setup
    const slow = gate()
    let stray: Watched<unknown> = watch(Promise.resolve())
    const result = watch(
      pool.transaction(async (_, { attempt }) => {
        const a = async () => {
          if (attempt === 1) await slow.opened
          await query(pool, 'write a')
        }
        const b = async () => {
          await query(pool, 'write b')
          if (attempt === 1) throw deadlock()
        }
        const branches = [a(), b()]
        if (attempt === 1) stray = watch(Promise.resolve(branches[0]))
        await Promise.all(branches)
      }),
    )
    await untilRest(setup)
    expect(result.state).toBe('resolved')
    slow.open()
    await untilRest(setup)
    expect(stray.error).toMatchObject({ name: 'TransactionEndedError' })
    const sent = driver.connections.flatMap((connection) => connection.sent)
    expect(sent.filter((text) => text === 'write a')).toHaveLength(1)
  })

  it('does not do what was to be done after COMMIT', async () => {
    const setup = await retryingAndRested()
    const late = gate()
    let mailed = false
    let stray: Watched<unknown> = watch(Promise.resolve())
    watch(
      setup.pool.transaction(() => {
        stray = watch(
          late.opened.then(() =>
            afterCommit(() => {
              mailed = true
            }),
          ),
        )
        return no()
      }),
    )
    await untilRest(setup)
    late.open()
    await turns()
    expect(stray.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(mailed).toBe(false)
  })
})

describe('what a nested transaction that was undone has left running', () => {
  it('is no part of the one around it, which goes on', async () => {
    const setup = await retryingAndRested()
    const { pool, driver } = setup
    const late = gate()
    let strays: Watched<unknown>[] = []
    let mailed = false
    const result = watch(
      pool.transaction(async (tx) => {
        const nested = pool.transaction(() => {
          const mail = () => {
            mailed = true
          }
          strays = [
            watch(late.opened.then(() => query(pool, 'late'))),
            watch(late.opened.then(() => pool.transaction(() => query(pool, 'nested')))),
            watch(late.opened.then(() => afterCommit(mail))),
          ]
          return no()
        })
        await nested.catch(() => {})
        late.open()
        await turns()
        await tx.connection.statement('after')
      }),
    )
    await untilRest(setup)
    await untilRest(setup)
    expect(result.state).toBe('resolved')
    for (const { error } of strays) expect(error).toMatchObject({ name: 'TransactionEndedError' })
    expect(driver.connection(1).sent).toEqual(['begin', 'savepoint s0', 'rollback to s0', 'after', 'commit'])
    expect(mailed).toBe(false)
  })
})
