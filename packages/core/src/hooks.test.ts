// Which hooks may be given. What each does when it is called is the pool's to show.

import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from './options.js'
import { problemsWith } from './testing/problems-with.js'

describe('hooks', () => {
  const names = ['beforeConnect', 'afterConnect', 'beforeAcquire', 'afterRelease', 'beforeClose'] as const

  it.each(names)('%s has to be a function', (name) => {
    for (const [value, given] of [
      ['select 1', '"select 1"'],
      [{}, 'an object'],
      [null, 'null'],
      [Promise.resolve(), 'an object'],
    ] as const) {
      const path = `resilience.hooks.${name}`
      expect(problemsWith({ hooks: { [name]: value } })).toEqual([{ path, given, allowed: 'a function' }])
    }
    const hook = () => undefined
    expect(resolveResilience({ hooks: { [name]: hook } }).hooks).toEqual({ timeoutMs: 5_000, [name]: hook })
  })

  it('refuses a name it does not know, and suggests one', () => {
    expect(problemsWith({ hooks: { onConnect: () => {}, beforeclose: () => {} } })).toEqual([
      { path: 'resilience.hooks.onConnect', given: 'a function', allowed: expect.stringContaining('afterConnect') },
      {
        path: 'resilience.hooks.beforeclose',
        given: 'a function',
        allowed: 'nothing by this name; did you mean beforeClose?',
      },
    ])
  })
})
