// Opened and closed by hand, and shut down: from each state.

import { describe, expect, it, jest } from '@jest/globals'
import Opossum from 'opossum'
import { CircuitOpenError } from '../errors.js'
import {
  type Breaking,
  breaking,
  broken,
  fail,
  halfOpen,
  succeed,
  type Underway,
  underway,
  watched,
} from '../testing/breaking.js'
import { breakers } from './breakers.js'

/** Each state, with a call of that time under way, where there can be one. */
const states: Record<string, () => Promise<Breaking & { readonly call?: Underway }>> = {
  closed: async () => {
    const made = breaking()
    await fail(made.breaker, 4)
    return { ...made, call: underway(made.breaker) }
  },
  open: () => broken(),
  'half-open': () => halfOpen(),
  probing: async () => {
    const made = await halfOpen()
    return { ...made, call: underway(made.breaker) }
  },
  'forced-open': async () => {
    const made = breaking()
    made.breaker.forceOpen()
    return made
  },
  'forced-closed': async () => {
    const made = breaking()
    made.breaker.forceClose()
    return { ...made, call: underway(made.breaker) }
  },
}

const each = Object.keys(states)

async function inState(name: string): Promise<Breaking & { readonly call?: Underway }> {
  const make = states[name]
  if (make === undefined) throw new Error(name)
  return make()
}

describe('F4: forceOpen()', () => {
  it.each(each)('F4: refuses every call for good, when it was %s', async (name) => {
    const { breaker, clock, call } = await inState(name)
    breaker.forceOpen()
    await call?.succeed()
    await clock.advance(3_600_000)
    expect([breaker.state, breaker.retryInMs, clock.pending]).toEqual(['forced-open', undefined, 0])
    const { error } = await watched(breaker, () => 1)
    expect(error).toBeInstanceOf(CircuitOpenError)
    expect(error).toMatchObject({ retryInMs: undefined, message: expect.stringContaining('by hand') })
    expect(error).not.toHaveProperty('cause')
  })

  it('F4: is no opening of its own, and lets calls under way end', async () => {
    const { breaker, call } = await inState('closed')
    breaker.forceOpen()
    await call?.succeed()
    expect(call?.seen.value).toBe('late')
    expect(breaker.stats()).toMatchObject({ openedCount: 0, successes: 1 })
  })
})

describe('F4: forceClose()', () => {
  it.each(each)('F4: lets every call through, whatever comes of it, when it was %s', async (name) => {
    const { breaker, clock, call } = await inState(name)
    breaker.forceClose()
    await call?.fail()
    await fail(breaker, 50)
    await clock.advance(3_600_000)
    await Promise.all([fail(breaker, 2), succeed(breaker, 2)])
    expect([breaker.state, breaker.retryInMs, clock.pending]).toEqual(['forced-closed', undefined, 0])
  })
})

describe('F4: reset()', () => {
  it.each(each)('F4: closes it, with nothing remembered, when it was %s', async (name) => {
    const { breaker, clock, call } = await inState(name)
    breaker.reset()
    await call?.fail()
    expect([breaker.state, breaker.retryInMs, clock.holding]).toEqual(['closed', undefined, 0])
    await fail(breaker, 4)
    expect(breaker.state).toBe('closed')
    await fail(breaker)
    expect(breaker.state).toBe('open')
    await clock.advance(1_000)
    await succeed(breaker)
    expect(breaker.state).toBe('closed')
  })

  it.each(each)('F4: leaves nothing that opens it later, when it was %s', async (name) => {
    const { breaker, clock } = await inState(name)
    breaker.reset()
    await clock.advance(3_600_000)
    expect([breaker.state, clock.pending]).toEqual(['closed', 0])
  })
})

it('F4: says for how long it has let calls through, or not, whoever it was that wanted it so', async () => {
  const { breaker, clock } = breaking()
  const sinceMs = async (act: () => void) => {
    await clock.advance(100)
    act()
    const before = breaker.stats().sinceMs
    await clock.advance(10)
    return [breaker.state, before]
  }
  expect(await sinceMs(() => breaker.forceClose())).toEqual(['forced-closed', 100])
  expect(await sinceMs(() => breaker.forceOpen())).toEqual(['forced-open', 0])
  expect(await sinceMs(() => breaker.forceOpen())).toEqual(['forced-open', 110])
  expect(await sinceMs(() => breaker.reset())).toEqual(['closed', 0])
  await fail(breaker, 5)
  expect(await sinceMs(() => breaker.forceOpen())).toEqual(['forced-open', 100])
  expect(await sinceMs(() => breaker.shutdown())).toEqual(['closed', 0])
})

describe('F4: shutdown()', () => {
  it.each(each)('F4: leaves no timer and no entry in the list, when it was %s', async (name) => {
    const { breaker, clock, call } = await inState(name)
    expect(breakers()).toContain(breaker)
    breaker.shutdown()
    expect([clock.holding, breakers().includes(breaker)]).toEqual([0, false])
    await call?.fail()
    await clock.advance(3_600_000)
    expect([breaker.state, breaker.retryInMs, clock.pending]).toEqual(['closed', undefined, 0])
  })

  it.each(each)('F4: has it stand in nobody’s way any more, when it was %s', async (name) => {
    const { breaker } = await inState(name)
    breaker.shutdown()
    breaker.shutdown()
    breaker.forceOpen()
    await fail(breaker, 10)
    await succeed(breaker)
    expect(breaker.state).toBe('closed')
    breaker.reset()
    expect(breakers()).not.toContain(breaker)
  })

  it('F4: shuts opossum down', async () => {
    const shutdown = jest.spyOn(Opossum.prototype, 'shutdown')
    const { breaker } = await broken()
    breaker.shutdown()
    breaker.shutdown()
    expect(shutdown).toHaveBeenCalledTimes(1)
    shutdown.mockRestore()
  })
})
