// A breaker on a fake clock, and calls that end as a test wants them to.

import { afterEach } from '@jest/globals'
import { Breaker, type BreakerSetup } from '../breaker/breaker.js'
import { Deadlines } from '../deadlines.js'
import { ConnectError } from '../errors.js'
import { FakeClock } from './fake-clock.js'
import { type Watched, watch } from './watch.js'

export const refused: ConnectError = new ConnectError('connect ECONNREFUSED', { code: 'ECONNREFUSED' })

export interface Breaking {
  readonly clock: FakeClock
  readonly breaker: Breaker
}

const made: Breaker[] = []

afterEach(() => {
  for (const breaker of made.splice(0)) breaker.shutdown()
})

export function breaking(options: Partial<BreakerSetup> = {}): Breaking {
  const clock = new FakeClock()
  const breaker = new Breaker({
    ...{ name: 'db.test:5432', kind: 'database', deadlines: new Deadlines(clock), resetTimeoutMs: 1_000 },
    ...options,
  })
  made.push(breaker)
  return { clock, breaker }
}

/** One that has just opened. */
export async function broken(options: Partial<BreakerSetup> = {}): Promise<Breaking> {
  const { clock, breaker } = breaking(options)
  await fail(breaker, 5)
  return { clock, breaker }
}

/** One that waits for its probe. */
export async function halfOpen(options: Partial<BreakerSetup> = {}): Promise<Breaking> {
  const { clock, breaker } = await broken(options)
  await clock.advance(1_000)
  return { clock, breaker }
}

export async function succeed(breaker: Breaker, times = 1): Promise<void> {
  for (let n = 0; n < times; n++) await breaker.run(() => n)
}

/** Calls that are let through, and fail. */
export async function fail(breaker: Breaker, times = 1, error: unknown = refused): Promise<void> {
  for (let n = 0; n < times; n++) {
    const ended = await watched(breaker, () => Promise.reject(error))
    if (ended.error !== error) throw new Error('the call was not let through', { cause: ended.error })
  }
}

/** A call and what comes of it; it has ended. */
export async function watched<T>(breaker: Breaker, action: () => Promise<T> | T): Promise<Watched<T>> {
  const call = breaker.run(action)
  const seen = watch(call)
  await call.catch(() => {})
  return seen
}

/** A call that is under way until it is ended. */
export interface Underway {
  readonly seen: Watched<string>
  succeed(): Promise<void>
  fail(error?: unknown): Promise<void>
}

export function underway(breaker: Breaker): Underway {
  let resolve: (value: string) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const action = new Promise<string>((...settle) => {
    ;[resolve, reject] = settle
  })
  const call = breaker.run(() => action)
  const seen = watch(call)
  const ended = () => call.then(() => {}).catch(() => {})
  return {
    seen,
    succeed: () => {
      resolve('late')
      return ended()
    },
    fail: (error = refused) => {
      reject(error)
      return ended()
    },
  }
}
