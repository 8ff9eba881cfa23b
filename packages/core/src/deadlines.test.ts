// Many deadlines on one timer.

import { describe, expect, it } from '@jest/globals'
import { systemClock } from './clock.js'
import { type Deadline, Deadlines } from './deadlines.js'
import { PoolClosedError } from './errors.js'
import { FakeClock } from './testing/fake-clock.js'
import { seeded } from './testing/seeded.js'
import { watch } from './testing/watch.js'

function setup() {
  const clock = new FakeClock()
  return { clock, deadlines: new Deadlines(clock), passed: [] as string[] }
}

describe('a deadline', () => {
  it('passes once, when its time has come and not before', async () => {
    const { clock, deadlines, passed } = setup()
    deadlines.add(250, () => passed.push('it'))
    await clock.advance(249.999)
    expect(passed).toEqual([])
    await clock.advance(0.001)
    expect(passed).toEqual(['it'])
    await clock.advance(10_000)
    expect(passed).toEqual(['it'])
  })

  it('is never early, nor late by a millisecond, whatever else is added and deleted', async () => {
    const random = seeded(3)
    const { clock, deadlines } = setup()
    let passed = 0
    const others: Deadline[] = []
    for (let turn = 0; turn < 500; turn++) {
      const due = clock.now() + random() * 200
      deadlines.add(due - clock.now(), () => {
        expect(clock.now()).toBeGreaterThanOrEqual(due)
        expect(clock.now()).toBeLessThan(due + 1)
        passed++
      })
      others.push(deadlines.add(random() * 100, () => {}))
      const gone = others[Math.floor(random() * others.length)]
      if (gone !== undefined) deadlines.delete(gone)
      await clock.advance(random() * 3)
    }
    await clock.advance(201)
    expect(passed).toBe(500)
    expect(clock.pending).toBe(0)
  })

  it('of a fraction of a millisecond, or of none, is not early either', async () => {
    const { clock, deadlines, passed } = setup()
    deadlines.add(0.4, () => passed.push('fraction'))
    deadlines.add(0, () => passed.push('none'))
    expect(passed).toEqual([])
    await clock.advance(1)
    expect(passed.sort()).toEqual(['fraction', 'none'])
  })

  it('still comes when a timer goes off too early, as those of Node may by a fraction', async () => {
    const { clock, passed } = setup()
    const early = new Deadlines({
      now: () => clock.now(),
      turn: () => clock.turn(),
      setTimer: (run, delayMs) => clock.setTimer(run, Math.max(0.25, delayMs - 0.75)),
    })
    const due = clock.now() + 10
    early.add(10, () => {
      expect(clock.now()).toBeGreaterThanOrEqual(due)
      passed.push('it')
    })
    await clock.advance(11)
    expect(passed).toEqual(['it'])
  })

  it('deleted does not pass; deleting it again, or after it has passed, is harmless', async () => {
    const { clock, deadlines, passed } = setup()
    const gone = deadlines.add(10, () => passed.push('gone'))
    const stays = deadlines.add(10, () => passed.push('stays'))
    deadlines.delete(gone)
    deadlines.delete(gone)
    await clock.advance(10)
    deadlines.delete(stays)
    expect(passed).toEqual(['stays'])
    expect(clock.pending).toBe(0)
  })

  it('may add another one, which has a time of its own', async () => {
    const { clock, deadlines, passed } = setup()
    const again = (): void => {
      passed.push(`at ${passed.length}`)
      if (passed.length < 3) deadlines.add(10, again)
    }
    deadlines.add(10, again)
    await clock.advance(10)
    expect(passed).toHaveLength(1)
    await clock.advance(20)
    expect(passed).toHaveLength(3)
  })
})

describe('deadlines', () => {
  it('pass in the order of their time, whatever the order they were added in', async () => {
    const { clock, deadlines, passed } = setup()
    for (const delayMs of [30, 10, 20, 5, 25]) deadlines.add(delayMs, () => passed.push(`${delayMs}`))
    await clock.advance(100)
    expect(passed).toEqual(['5', '10', '20', '25', '30'])
  })

  it('of the same time pass in the order they were added', async () => {
    const { clock, deadlines, passed } = setup()
    for (const name of ['a', 'b', 'c']) deadlines.add(10, () => passed.push(name))
    await clock.advance(10)
    expect(passed).toEqual(['a', 'b', 'c'])
  })

  it('that fell due while the process was busy all pass with the first timer', async () => {
    const { clock, deadlines, passed } = setup()
    for (const delayMs of [10, 20, 30]) deadlines.add(delayMs, () => passed.push(`${delayMs}`))
    clock.stall(25)
    await clock.advance(0)
    expect(passed).toEqual(['10', '20'])
    await clock.advance(5)
    expect(passed).toEqual(['10', '20', '30'])
  })

  it('that one of the same batch deletes do not pass', async () => {
    const { clock, deadlines, passed } = setup()
    deadlines.add(10, () => {
      passed.push('first')
      deadlines.delete(second)
    })
    const second = deadlines.add(10, () => passed.push('second'))
    deadlines.add(10, () => passed.push('third'))
    await clock.advance(10)
    expect(passed).toEqual(['first', 'third'])
    expect(clock.pending).toBe(0)
  })

  it('cleared by one of the same batch do not pass, and leave no timer', async () => {
    const { clock, deadlines, passed } = setup()
    deadlines.add(10, () => {
      passed.push('first')
      deadlines.clear()
    })
    deadlines.add(10, () => passed.push('second'))
    deadlines.add(20, () => passed.push('third'))
    await clock.advance(100)
    expect(passed).toEqual(['first'])
    expect(clock.pending).toBe(0)
  })

  it('share one timer, however many they are', async () => {
    const { clock, deadlines } = setup()
    for (let turn = 0; turn < 1_000; turn++) deadlines.add(30_000 + turn / 10, () => {})
    expect(clock.pending).toBe(1)
    deadlines.add(5, () => {})
    expect(clock.pending).toBe(1)
    await clock.advance(5)
    expect(clock.pending).toBe(1)
  })

  it('that come and go by the thousand do not cost a timer each', async () => {
    const { clock, deadlines } = setup()
    for (let turn = 0; turn < 10_000; turn++) {
      deadlines.delete(deadlines.add(5_000, () => {}))
      clock.stall(0.1)
    }
    await clock.advance(10_000)
    // One that fires for nothing; none for what was deleted before.
    expect(clock.fired).toBeLessThanOrEqual(2)
    expect(clock.pending).toBe(0)
  })
})

describe('the timer', () => {
  it('keeps the process alive only while a deadline that holds is pending', () => {
    const { clock, deadlines } = setup()
    deadlines.add(1_000, () => {}, false)
    expect(clock).toMatchObject({ pending: 1, holding: 0 })
    const holds = deadlines.add(2_000, () => {})
    expect(clock.holding).toBe(1)
    deadlines.delete(holds)
    expect(clock).toMatchObject({ pending: 1, holding: 0 })
  })

  it('set anew for an earlier deadline holds, or does not, as before', () => {
    const { clock, deadlines } = setup()
    deadlines.add(1_000, () => {})
    deadlines.add(500, () => {}, false)
    expect(clock).toMatchObject({ pending: 1, holding: 1 })
    const idle = setup()
    idle.deadlines.add(1_000, () => {}, false)
    idle.deadlines.add(500, () => {}, false)
    expect(idle.clock).toMatchObject({ pending: 1, holding: 0 })
  })

  it('set anew after a firing holds only if something that holds is left', async () => {
    const { clock, deadlines } = setup()
    deadlines.add(10, () => {})
    deadlines.add(20, () => {}, false)
    deadlines.add(30, () => {})
    await clock.advance(10)
    expect(clock).toMatchObject({ pending: 1, holding: 1 })
    await clock.advance(20)
    deadlines.add(10, () => {})
    deadlines.add(20, () => {}, false)
    await clock.advance(10)
    expect(clock).toMatchObject({ pending: 1, holding: 0 })
  })

  it('is gone after clear, which can be used again', async () => {
    const { clock, deadlines, passed } = setup()
    deadlines.add(10, () => passed.push('cleared'))
    deadlines.clear()
    expect(clock.pending).toBe(0)
    await clock.advance(100)
    deadlines.add(20, () => passed.push('later'), false)
    expect(clock.holding).toBe(0)
    await clock.advance(20)
    expect(passed).toEqual(['later'])
  })
})

describe('a deadline that somebody waits for', () => {
  it('passes also when all are forgotten, and is told why, once', async () => {
    const { clock, deadlines } = setup()
    const told: unknown[] = []
    const why = new PoolClosedError()
    deadlines.awaited(10, (cleared) => told.push(cleared))
    deadlines.awaited(20, (cleared) => told.push(cleared))
    deadlines.add(20, () => told.push('nobody waits for it'))
    await clock.advance(10)
    expect(told).toEqual([undefined])
    deadlines.clear(why)
    expect(told).toEqual([undefined, why])
    await clock.advance(20)
    expect(told).toHaveLength(2)
  })
})

describe('a limit', () => {
  const late = () => new Error('too late')

  it('hands on what the work comes to, and leaves no deadline', async () => {
    const { clock, deadlines } = setup()
    await expect(deadlines.limit(100, late, async () => 'done')).resolves.toBe('done')
    await expect(deadlines.limit(100, late, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed')
    expect(clock.holding).toBe(0)
    await clock.advance(100)
    expect(clock.pending).toBe(0)
  })

  it('rejects on time though the work does not hear its signal, and forgets what comes of it', async () => {
    const { clock, deadlines } = setup()
    let fail = (_: Error) => {}
    let heard: AbortSignal | undefined
    const limited = watch(
      deadlines.limit(100, late, (signal) => {
        heard = signal
        return new Promise<void>((_, reject) => {
          fail = reject
        })
      }),
    )
    await clock.advance(99.9)
    expect(limited.state).toBe('pending')
    expect(heard?.aborted).toBe(false)
    await clock.advance(0.1)
    expect(limited.error).toMatchObject({ message: 'too late' })
    expect(heard?.reason).toBe(limited.error)
    // Jest fails a test that leaves a rejection unhandled.
    fail(new Error('much later'))
    await clock.advance(1)
  })
})

describe('on the system clock', () => {
  it('a deadline is not early', async () => {
    const deadlines = new Deadlines(systemClock)
    for (const delayMs of [1, 1.5, 7, 20.2]) {
      const due = systemClock.now() + delayMs
      await new Promise<void>((resolve) => deadlines.add(delayMs, resolve))
      expect(systemClock.now()).toBeGreaterThanOrEqual(due)
    }
    deadlines.clear()
  })
})
