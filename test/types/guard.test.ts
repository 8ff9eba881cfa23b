// What is kept of a guarded function's types, and what its signal asks of it. Checked by the compiler; little runs.

import { describe, expect, it } from '@jest/globals'
import * as core from '@moorings/core'
import * as drizzle from '@moorings/drizzle'
import * as kysely from '@moorings/kysely'
import * as postgres from '@moorings/postgres'
import { expectTypeOf } from 'expect-type'

const { guard } = core
const options = { name: 'rates', kind: 'external' } as const

describe('types of guard()', () => {
  it('F4: keeps arguments, optional ones included, and what a promise is of', () => {
    const call = guard(async (currency: string, day?: Date) => ({ currency, day }), options)
    expectTypeOf(call).parameters.toEqualTypeOf<[currency: string, day?: Date]>()
    expectTypeOf(call).returns.toEqualTypeOf<Promise<{ currency: string; day: Date | undefined }>>()
    expectTypeOf(guard(() => 5, options)).returns.toEqualTypeOf<Promise<number>>()
    // @ts-expect-error the function takes a string
    void (() => call(5))
  })

  it('F4: takes the signal off the front of the arguments where there is a limit', () => {
    const call = guard(async (signal, currency: string) => [signal.aborted, currency] as const, {
      ...options,
      timeoutMs: 2_000,
    })
    expectTypeOf(call).parameters.toEqualTypeOf<[currency: string]>()
    expectTypeOf(call).returns.resolves.toEqualTypeOf<readonly [boolean, string]>()
    expectTypeOf(guard(async () => 5, { ...options, timeoutMs: 2_000 })).parameters.toEqualTypeOf<[]>()
  })

  it('F4: refuses a function that takes no signal where it would be given one', () => {
    // @ts-expect-error its first argument is a signal then
    guard(async (currency: string) => currency, { ...options, timeoutMs: 2_000 }).breaker.shutdown()
  })

  it('F4: keeps what the function takes for this', () => {
    const call = guard(function (this: { vat: number }) {
      return this.vat
    }, options)
    expectTypeOf(call).thisParameter.toEqualTypeOf<{ vat: number }>()
  })

  it('F4: knows its options', () => {
    // @ts-expect-error there is no such kind
    void (() => guard(async () => 1, { name: 'x', kind: 'http' }))
    // @ts-expect-error it has to have a name
    void (() => guard(async () => 1, { kind: 'external' }))
  })
})

it('F4: is had from whichever package an application uses', () => {
  for (const { guard, breakers, breakerHealth } of [drizzle, kysely, postgres]) {
    expect([guard, breakers, breakerHealth]).toEqual([core.guard, core.breakers, core.breakerHealth])
  }
  expect([drizzle, kysely].every(({ CircuitOpenError }) => CircuitOpenError === core.CircuitOpenError)).toBe(true)
})
