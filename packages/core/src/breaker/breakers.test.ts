// The list of a process's breakers, and the summary of them.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import { breaking, broken, fail, halfOpen } from '../testing/breaking.js'
import { breakerHealth, breakers } from './breakers.js'

const kept = Symbol.for('moorings.breakers.1')

beforeEach(() => {
  Reflect.deleteProperty(globalThis, kept)
})

afterEach(() => {
  jest.resetModules()
})

describe('F4: breakers()', () => {
  it('F4: has them all, in the order in which they were made, until they are shut down', () => {
    const [a, b] = [breaking({ name: 'a' }).breaker, breaking({ name: 'b', kind: 'external' }).breaker]
    expect(breakers()).toEqual([a, b])
    a.shutdown()
    expect(breakers()).toEqual([b])
  })

  it('F4: has names that are one breaker’s alone among its kind', () => {
    const names = () => breakers().map(({ kind, name }) => `${kind} ${name}`)
    const made = [0, 1, 2].map(() => breaking({ name: 'a' }).breaker)
    breaking({ name: 'a', kind: 'external' })
    expect(names()).toEqual(['database a', 'database a (2)', 'database a (3)', 'external a'])
    made[1]?.shutdown()
    breaking({ name: 'a' })
    expect(names()).toEqual(['database a', 'database a (3)', 'external a', 'database a (2)'])
  })

  it('F4: an old one that is shut down late does not take a new one of its name with it', () => {
    const old = breaking({ name: 'a' }).breaker
    Reflect.deleteProperty(globalThis, kept)
    const young = breaking({ name: 'a' }).breaker
    old.shutdown()
    expect(breakers()).toEqual([young])
  })

  it('F4: can be acted upon: what is opened by hand is open', () => {
    const { breaker } = breaking({ name: 'mail', kind: 'external' })
    breakers()
      .find(({ name }) => name === 'mail')
      ?.forceOpen()
    expect(breaker.state).toBe('forced-open')
  })

  it('F4: is one list for all copies of the package in the process', async () => {
    const { breaker } = breaking({ name: 'a' })
    jest.resetModules()
    const copy = await import('./breakers.js')
    const { Breaker } = await import('./breaker.js')
    expect(copy.breakers).not.toBe(breakers)
    const other = new Breaker({ name: 'a', kind: 'database' })
    expect(other.name).toBe('a (2)')
    expect(copy.breakers()).toEqual([breaker, other])
    expect(breakers()).toEqual([breaker, other])
    other.shutdown()
    expect(breakers()).toEqual([breaker])
  })

  it('F4: is not in sight of whoever prints globalThis', () => {
    breaking()
    expect(Object.getOwnPropertyDescriptor(globalThis, kept)?.enumerable).toBe(false)
  })
})

describe('F4: breakerHealth()', () => {
  it('F4: is up where there are none, and where all are closed, be it by hand', () => {
    expect(breakerHealth()).toEqual({ status: 'up', total: 0, open: [] })
    breaking()
    breaking().breaker.forceClose()
    expect(breakerHealth()).toEqual({ status: 'up', total: 2, open: [] })
  })

  it('F4: is degraded while any is not closed, and says which and why', async () => {
    breaking()
    const { breaker } = await halfOpen({ name: 'standby' })
    const health = breakerHealth()
    expect(health).toMatchObject({ status: 'degraded', total: 2 })
    expect(health.open).toEqual([breaker.stats()])
    expect(health.open[0]).toMatchObject({ name: 'standby', state: 'half-open', lastError: { code: 'ECONNREFUSED' } })
    expect(Object.isFrozen(health) && Object.isFrozen(health.open)).toBe(true)
  })

  it('F4: is down when no database is reached, and not for something else that is not', async () => {
    await broken({ kind: 'external' })
    expect(breakerHealth().status).toBe('degraded')
    const { breaker } = await broken({ name: 'a' })
    expect(breakerHealth().status).toBe('down')
    const other = breaking({ name: 'b' })
    expect(breakerHealth().status).toBe('degraded')
    other.breaker.forceOpen()
    expect(breakerHealth()).toMatchObject({ status: 'down', open: [{}, { name: breaker.name }, { name: 'b' }] })
  })

  it('F4: can be serialised, with no secret in it', async () => {
    const { breaker } = breaking()
    await fail(breaker, 5, new Error('password=sesame'))
    expect(JSON.stringify(breakerHealth())).not.toContain('sesame')
  })
})
