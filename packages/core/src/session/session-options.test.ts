import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from '../options.js'
import { fixture } from '../testing/fixture.js'
import { problemsOfRefusal, problemsWith } from '../testing/problems-with.js'
import { checkSessionOptions, completeSession } from './session-options.js'

const resolve = (session: unknown) => resolveResilience({ session }).session
const milliseconds = (least: number) => `an integer >= ${least} and <= 2147483647 (milliseconds)`
const limits = ['maxDurationMs', 'idleTimeoutMs', 'warnAfterMs'] as const

describe('resilience.session', () => {
  it('is frozen, and does not follow the object it came from', () => {
    const input = { warnAfterMs: 5 }
    const resolved = resolve(input)
    input.warnAfterMs = 6
    expect(resolved).toEqual({
      maxDurationMs: 1_800_000,
      idleTimeoutMs: 60_000,
      warnAfterMs: 5,
      behindPooler: 'refuse',
    })
    expect(Object.isFrozen(resolved)).toBe(true)
  })

  it.each(limits)('takes %s from 0 to what a timer can do', (name) => {
    for (const value of [0, 2_147_483_647]) expect(resolve({ [name]: value })).toMatchObject({ [name]: value })
    for (const value of [-1, 0.5, 2_147_483_648, null, '5']) {
      expect(problemsWith({ session: { [name]: value } })).toEqual([
        { path: `resilience.session.${name}`, given: expect.any(String), allowed: milliseconds(0) },
      ])
    }
  })

  it('takes refuse and allow for behindPooler', () => {
    for (const behindPooler of ['refuse', 'allow']) expect(resolve({ behindPooler })).toMatchObject({ behindPooler })
    expect(problemsWith({ session: { behindPooler: 'warn' } })).toMatchObject([
      { path: 'resilience.session.behindPooler', given: '"warn"' },
    ])
  })

  it('refuses what it does not know', () => {
    expect(problemsWith({ session: { maxDuration: 5 } })).toMatchObject([
      { path: 'resilience.session.maxDuration', allowed: 'nothing by this name; did you mean maxDurationMs?' },
    ])
  })
})

describe('the options of one session', () => {
  const defaults = resolve({ maxDurationMs: 7, idleTimeoutMs: 8, warnAfterMs: 9 })
  const complete = (given: unknown) => completeSession(checkSessionOptions(given), defaults)

  it.each([[undefined], [{}], [{ maxDurationMs: undefined, name: undefined }]])(
    'are those of the pool for %p',
    (given) => {
      const { behindPooler: _, ...limits } = defaults
      expect(complete(given)).toEqual({ ...limits, name: undefined, signal: undefined, acquireTimeoutMs: undefined })
    },
  )

  it('go before those of the pool, each by itself, and may be 0', () => {
    const { signal } = new AbortController()
    const given = { warnAfterMs: 0, maxDurationMs: 2, name: 'import', signal, acquireTimeoutMs: 3 }
    expect(complete(given)).toEqual({ ...given, idleTimeoutMs: 8 })
  })

  it('are refused with every problem at once, before the body is run', async () => {
    const given = {
      maxDurationMs: -1,
      idleTimeoutMs: 1.5,
      warnAfterMs: 'soon',
      name: '',
      signal: 1,
      acquireTimeoutMs: 0,
    }
    expect(problemsOfRefusal(() => checkSessionOptions({ ...given, timeoutMs: 5 })).map(({ path }) => path)).toEqual(
      expect.arrayContaining([...Object.keys(given), 'timeoutMs'].map((name) => `options.${name}`)),
    )
    let ran = false
    const body = () => {
      ran = true
    }
    await expect(fixture().pool.session(body, given as never)).rejects.toMatchObject({ name: 'InvalidOptionsError' })
    expect(ran).toBe(false)
  })

  it.each([[null], [5], ['import'], [[]]])('cannot be %p', (given) => {
    expect(() => checkSessionOptions(given)).toThrow('Invalid options')
  })
})
