// Transactions that are run again: a pool that does so, and bodies that fail as a test tells them to.

import { expect } from '@jest/globals'
import type { PoolOptions } from '../options.js'
import type { TransactionContext } from '../scope.js'
import type { TransactionScope } from '../transaction/transaction.js'
import type { TransactionDefaults } from '../transaction/transaction-defaults.js'
import type { RetryOptions } from '../transaction/transaction-options.js'
import { settled } from './fake-clock.js'
import type { FakeConnection } from './fake-connection.js'
import { counts, type Fixture, fixture } from './fixture.js'

/** Pauses of 10, 20, 40 … ms, unless told otherwise. */
const plainPauses = { jitter: 'none', initialDelayMs: 10, maxDelayMs: 10_000, factor: 2 } as const

/** Nothing sets a timer but what a test is about. */
const timeless = { idleTimeoutMs: 0, maxLifetimeMs: 0 } as const

export interface RetryingParts {
  readonly retry?: RetryOptions
  readonly pool?: PoolOptions
  readonly transaction?: Omit<TransactionDefaults, 'retry'>
  readonly random?: () => number
}

export function retrying({ retry, pool, transaction, random = () => 0 }: RetryingParts = {}): Fixture {
  const others = { transaction: { ...transaction, retry: { ...plainPauses, ...retry } } }
  return fixture({ ...timeless, ...pool }, random, others)
}

/** The same with a connection that has rested for long enough that its loss delays no connect. */
export async function retryingAndRested(parts: RetryingParts = {}): Promise<Fixture> {
  const setup = retrying({ ...parts, pool: { validateAfterIdleMs: 3_600_000, ...parts.pool } })
  await setup.pool.start()
  await setup.clock.advance(60_000)
  return setup
}

/** `lose`: the connection goes, and the body throws what the statement on it failed with. */
export type Fate = 'lose' | Error

interface Run {
  readonly attempt: number
  /** Its connection. */
  readonly id: number
}

/** A body that meets these fates in turn, one a run, and then succeeds; each run writes one statement first. */
export class Script {
  readonly runs: Run[] = []
  readonly #fates: Fate[]

  constructor(...fates: Fate[]) {
    this.#fates = fates
  }

  readonly body = async (
    { connection }: TransactionScope<FakeConnection>,
    { attempt }: TransactionContext,
  ): Promise<string> => {
    this.runs.push({ attempt, id: connection.id })
    const fate = this.#fates.shift()
    if (fate === 'lose') {
      connection.next('statement', 'held')
      const running = connection.statement('write')
      connection.lose()
      await running
    }
    await connection.statement('write')
    if (fate instanceof Error) throw fate
    return 'done'
  }
}

/** Lets happen what can without time going on, also where it takes several turns of the event loop. */
export async function turns(count = 6): Promise<void> {
  for (let turn = 0; turn < count; turn++) await settled()
}

/** Lets time pass until nothing is waited for, at most `timers` of them. */
export async function untilRest({ clock }: Fixture, timers = 100): Promise<void> {
  await turns()
  for (let timer = 0; clock.holding > 0 && timer < timers; timer++) {
    await clock.advanceToNext()
    await turns()
  }
}

/** No lease, no waiter, no timer that keeps a process alive. */
export function expectNothingHeld({ pool, clock }: Fixture): void {
  expect(counts(pool)).toMatchObject({ leased: 0, waiting: 0 })
  expect(clock.holding).toBe(0)
}
