// What is nobody's error in particular gives nothing away either.

import { expect, test } from '@jest/globals'
import { problemOf } from './problems.js'

test.each([new Error('secret', { cause: new Error('secret') }), 'secret', undefined])(
  'whatever was thrown is told as a problem that quotes nothing of it: %p',
  (thrown) => {
    const problem = problemOf(thrown, '/users')
    expect(problem).toMatchObject({ status: 500, instance: '/users', code: 'internal-error' })
    expect(JSON.stringify(problem)).not.toContain('secret')
  },
)
