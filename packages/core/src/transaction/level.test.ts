// A level by itself: who waits for another one, who is refused, and for how long.

import { describe, expect, it } from '@jest/globals'
import { Deadlines } from '../deadlines.js'
import { NestedTransactionOpenError, TransactionEndedError } from '../errors.js'
import { FakeClock } from '../testing/fake-clock.js'
import { turns } from '../testing/retrying.js'
import { watch } from '../testing/watch.js'
import { Level } from './level.js'
import { Limits } from './limits.js'

describe('a level', () => {
  it('has no other open at first, can be used, and has a name', () => {
    const outermost = new Level('', undefined)
    expect(outermost.inner).toBeUndefined()
    outermost.assertUsable()
    const inner = outermost.enter('s0')
    expect(inner).toMatchObject({ name: 's0', outer: outermost, spoilt: undefined })
    expect(outermost.inner).toBe(inner)
  })

  it('cannot be used while another is open in it, nor after its end, nor after the end of one around it', () => {
    const outermost = new Level('', undefined)
    const outer = outermost.enter('s0')
    const inner = outer.enter('s1')
    expect(() => outermost.assertUsable()).toThrow(NestedTransactionOpenError)
    expect(() => outer.assertUsable()).toThrow(NestedTransactionOpenError)
    inner.assertUsable()
    outer.end()
    outermost.assertUsable()
    for (const ended of [outer, inner]) expect(() => ended.assertUsable()).toThrow(TransactionEndedError)
  })

  it('that ends twice, or late, does not end another', () => {
    const outermost = new Level('', undefined)
    const first = outermost.enter('s0')
    first.end()
    const second = outermost.enter('s1')
    first.end()
    expect(outermost.inner).toBe(second)
  })

  it('lets those who wait for it in, one for each end, first come first served', async () => {
    const deadlines = new Deadlines(new FakeClock())
    const outermost = new Level('', undefined)
    let open = outermost.enter('s0')
    const line = [1, 2, 3].map(() => watch(outermost.turn(deadlines, 1_000)))
    for (const [ended, name] of [
      [1, 's1'],
      [2, 's2'],
      [3, 's3'],
    ] as const) {
      open.end()
      await turns(1)
      expect(line.filter(({ state }) => state === 'resolved')).toHaveLength(ended)
      expect(line[ended - 1]?.state).toBe('resolved')
      open = outermost.enter(name)
    }
    open.end()
  })

  it('is waited for no longer than the limit, without holding up those behind', async () => {
    const clock = new FakeClock()
    const deadlines = new Deadlines(clock)
    const outermost = new Level('', undefined)
    const open = outermost.enter('s0')
    const [first, second] = [watch(outermost.turn(deadlines, 100)), watch(outermost.turn(deadlines, 1_000))]
    await clock.advance(100)
    expect(first.error).toBeInstanceOf(NestedTransactionOpenError)
    expect(String(first.error)).toContain('100 ms')
    open.end()
    await turns(1)
    expect(second.state).toBe('resolved')
    expect(clock.holding).toBe(0)
  })

  it('one whose own limits pass together with those of its turn takes nobody else out of the line', async () => {
    const clock = new FakeClock()
    const deadlines = new Deadlines(clock)
    const outermost = new Level('', undefined)
    const open = outermost.enter('s0')
    const limits = new Limits(deadlines, { timeoutMs: 101, signal: undefined })
    const hasty = watch(outermost.turn(deadlines, 100, limits))
    const patient = watch(outermost.turn(deadlines, 1_000))
    clock.stall(110)
    await clock.advance(0)
    expect(hasty.error).toBeInstanceOf(NestedTransactionOpenError)
    open.end()
    await turns(1)
    expect(patient.state).toBe('resolved')
  })

  it('whose turn was given to one that has not entered yet is not open to those who ask meanwhile', () => {
    const deadlines = new Deadlines(new FakeClock())
    const outermost = new Level('', undefined)
    expect(outermost.taken).toBe(false)
    const open = outermost.enter('s0')
    expect(outermost.taken).toBe(true)
    void outermost.turn(deadlines, 1_000)
    open.end()
    expect(outermost.taken).toBe(true)
    outermost.enter('s1').end()
    expect(outermost.taken).toBe(false)
    outermost.enter('s2')
    void outermost.turn(deadlines, 1_000)
    outermost.inner?.end()
    // It could not use it.
    outermost.pass()
    expect(outermost.taken).toBe(false)
  })
})
