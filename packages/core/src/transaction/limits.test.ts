// The time a transaction has, and the signal of its caller: whatever it is doing when they end it, it ends, undone, and
// leaves nothing behind.

import { getEventListeners } from 'node:events'
import { afterEach, describe, expect, it } from '@jest/globals'
import { deadlock } from '../testing/failures.js'
import { counts, empty, takeOne } from '../testing/fixture.js'
import { gate } from '../testing/gate.js'
import { expectNothingLeft } from '../testing/nothing-left.js'
import { expectNothingHeld, retryingAndRested, Script, turns, untilRest } from '../testing/retrying.js'
import { type Watched, watch } from '../testing/watch.js'
import type { TransactionOptions } from './transaction-options.js'

type Setup = Awaited<ReturnType<typeof retryingAndRested>>

/** Both ways to end a transaction from outside. What of it is not the transaction's own is left as it was. */
interface Ending {
  readonly options: TransactionOptions
  readonly end: (setup: Setup) => Promise<void>
  readonly error: Record<string, unknown>
}

const used: AbortSignal[] = []

afterEach(() => {
  for (const signal of used.splice(0)) expect(getEventListeners(signal, 'abort')).toEqual([])
})

function ending(way: 'timeoutMs' | 'signal'): Ending {
  if (way === 'timeoutMs') {
    return {
      options: { timeoutMs: 5_000 },
      end: ({ clock }) => clock.advance(5_000),
      error: { name: 'TransactionTimeoutError', retry: 'never', message: expect.stringContaining('5000 ms') },
    }
  }
  const abort = new AbortController()
  const reason = new Error('the user went away')
  used.push(abort.signal)
  return {
    options: { signal: abort.signal },
    end: async () => abort.abort(reason),
    error: { name: 'TransactionCancelledError', retry: 'never', cause: reason },
  }
}

describe.each(['timeoutMs', 'signal'] as const)('a transaction ended by its %s', (way) => {
  it('while it waits for a connection gets none later, and holds up nobody', async () => {
    const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 } })
    const { options, end, error } = ending(way)
    const lease = await takeOne(setup.pool)
    const script = new Script()
    const result = watch(setup.pool.transaction(script.body, options))
    await turns()
    expect(counts(setup.pool)).toMatchObject({ leased: 1, waiting: 1 })
    await end(setup)
    await setup.clock.advance(1)
    expect(result.error).toMatchObject(error)
    expect(counts(setup.pool)).toMatchObject({ leased: 1, waiting: 0 })
    lease.release()
    await untilRest(setup)
    expect(script.runs).toEqual([])
    expectNothingHeld(setup)
  })

  it('while the pool is suspended does not wait until it is resumed', async () => {
    const setup = await retryingAndRested()
    const { options, end, error } = ending(way)
    setup.pool.suspend()
    const result = watch(setup.pool.transaction(() => {}, options))
    await turns()
    await end(setup)
    await setup.clock.advance(1)
    expect(result.error).toMatchObject(error)
  })

  it('while BEGIN is on its way is told at once', async () => {
    const setup = await retryingAndRested()
    const { options, end, error } = ending(way)
    setup.driver.connection(1).next('begin', 'held')
    const result = watch(setup.pool.transaction(() => {}, options))
    await turns()
    await end(setup)
    await turns()
    expect(result.error).toMatchObject(error)
  })

  it('in its body stops the statement under way, rolls back, and does not wait for the body', async () => {
    const setup = await retryingAndRested()
    const { options, end, error } = ending(way)
    const connection = setup.driver.connection(1)
    connection.next('statement', 'held')
    let statement = watch(Promise.resolve())
    const never = new Promise(() => {})
    const result = watch(
      setup.pool.transaction(async (tx) => {
        statement = watch(tx.connection.statement('slow'))
        await never
      }, options),
    )
    await turns()
    await end(setup)
    await turns()
    expect(result.error).toMatchObject(error)
    // Whoever ran it hears why it was stopped.
    expect(statement.error).toBe(result.error)
    expect(connection.sent).toEqual(['begin', 'slow', 'stop', 'rollback'])
    expect(connection.open).toBe(true)
    expect(counts(setup.pool)).toEqual({ ...empty, idle: 1 })
    expect(setup.pool.stats().transactions).toMatchObject({ rolledBack: 1, rollbacks: { cancelled: 1, destroyed: 0 } })
    expectNothingHeld(setup)
  })

  it('tells its body by the signal of the context, for the same reason', async () => {
    const setup = await retryingAndRested()
    const { options, end } = ending(way)
    let signal: AbortSignal | undefined
    const result = watch(
      setup.pool.transaction((_, context) => {
        signal = context.signal
        return new Promise(() => {})
      }, options),
    )
    await turns()
    expect(signal?.aborted).toBe(false)
    await end(setup)
    await turns()
    expect(signal?.aborted).toBe(true)
    expect(signal?.reason).toBe(result.error)
  })

  it('gets that error, whatever its body makes of it', async () => {
    for (const settle of ['throws', 'ends'] as const) {
      const setup = await retryingAndRested()
      const { options, end, error } = ending(way)
      const result = watch(
        setup.pool.transaction(async (_, { signal }) => {
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          if (settle === 'throws') throw deadlock()
          return 'done all the same'
        }, options),
      )
      await turns()
      await end(setup)
      await untilRest(setup)
      expect(result.error).toMatchObject(error)
      expect(setup.driver.connection(1).sent).toEqual(['begin', 'rollback'])
    }
  })

  it('writes nothing more, and keeps nobody from its connection', async () => {
    const setup = await retryingAndRested({ pool: { max: 1, overflow: 0 } })
    const { options, end } = ending(way)
    const goesOn = gate()
    let late = watch(Promise.resolve())
    watch(
      setup.pool.transaction(async (tx) => {
        await goesOn.opened
        late = watch((async () => tx.connection.statement('late'))())
      }, options),
    )
    await turns()
    await end(setup)
    await turns()
    const next = watch(setup.pool.transaction(({ connection }) => connection.statement('next')))
    await untilRest(setup)
    expect(next.state).toBe('resolved')
    goesOn.open()
    await untilRest(setup)
    expect(late.error).toMatchObject({ name: 'TransactionEndedError' })
    expect(setup.driver.connection(1).sent).toEqual(['begin', 'rollback', 'begin', 'next', 'commit'])
  })

  it('does not leave its body to write on the root database instead', async () => {
    const setup = await retryingAndRested()
    const { options, end } = ending(way)
    const goesOn = gate()
    let joinable: unknown
    watch(
      setup.pool.transaction(async () => {
        await goesOn.opened
        joinable = setup.pool.joinable
      }, options),
    )
    await turns()
    await end(setup)
    await turns()
    goesOn.open()
    await untilRest(setup)
    expect(joinable).toBeDefined()
  })

  it('during ROLLBACK of a failed attempt is not run again', async () => {
    const setup = await retryingAndRested()
    const { options, end, error } = ending(way)
    const script = new Script(deadlock())
    setup.driver.connection(1).next('rollback', 'held')
    const result = watch(setup.pool.transaction(script.body, options))
    await turns()
    await end(setup)
    for (const held of setup.driver.connection(1).waiting) held.ok()
    await untilRest(setup)
    expect(result.error).toMatchObject(error)
    expect(script.runs).toHaveLength(1)
  })

  it('does not wait for a ROLLBACK that is not answered beyond its own limit', async () => {
    const setup = await retryingAndRested({ transaction: { rollbackTimeoutMs: 200 } })
    const { options, end, error } = ending(way)
    setup.driver.connection(1).next('rollback', 'held')
    const result = watch(setup.pool.transaction(() => new Promise(() => {}), options))
    await turns()
    await end(setup)
    await setup.clock.advance(200)
    expect(result.error).toMatchObject({ ...error, rollbackError: { name: 'ConnectionLostError' } })
    expect(setup.driver.connection(1).ended).toBe('destroyed')
    await untilRest(setup)
    expectNothingHeld(setup)
  })

  describe('during COMMIT', () => {
    async function committing(setup: Setup, { options, end }: Ending): Promise<Watched<string>> {
      const connection = setup.driver.connection(1)
      connection.next('commit', 'held')
      connection.ticket = { transactionId: '4711' }
      const result = watch(setup.pool.transaction(new Script().body, options))
      await turns()
      expect(connection.sent.at(-1)).toBe('commit')
      await end(setup)
      await untilRest(setup)
      expect(connection.ended).toBe('destroyed')
      expect(setup.driver.asked).toEqual(['4711'])
      expectNothingHeld(setup)
      return result
    }

    it('has its result all the same when it was committed', async () => {
      const setup = await retryingAndRested()
      setup.driver.outcomes.push('committed')
      const result = await committing(setup, ending(way))
      expect(result.value).toBe('done')
    })

    it('gets that error when it was not, and is not run again', async () => {
      const setup = await retryingAndRested()
      setup.driver.outcomes.push('rolled-back')
      const by = ending(way)
      const result = await committing(setup, by)
      expect(result.error).toMatchObject(by.error)
      expect(setup.driver.connections.flatMap(({ sent }) => sent)).toEqual(['begin', 'write', 'commit'])
    })

    it('hears that nobody knows, when nobody does', async () => {
      const setup = await retryingAndRested()
      const result = await committing(setup, ending(way))
      expect(result.error).toMatchObject({ name: 'CommitOutcomeUnknownError', retry: 'unknown' })
      expect(setup.pool.stats().transactions.unknown).toBe(1)
    })
  })

  it('after its end is none the wiser', async () => {
    for (const script of [new Script(), new Script(new Error('no')), new Script(deadlock())]) {
      const setup = await retryingAndRested()
      const { options, end } = ending(way)
      const result = watch(setup.pool.transaction(script.body, options))
      await untilRest(setup)
      const { state } = result
      const sent = [...setup.driver.connection(1).sent]
      expect(state).not.toBe('pending')
      await end(setup)
      await untilRest(setup)
      expect(result.state).toBe(state)
      expect(setup.driver.connection(1).sent).toEqual(sent)
      await setup.pool.close()
      await expectNothingLeft(setup)
    }
  })
})
