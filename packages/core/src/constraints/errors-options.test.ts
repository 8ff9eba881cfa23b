import { describe, expect, it } from '@jest/globals'
import { resolveResilience } from '../options.js'
import { problemsWith } from '../testing/problems-with.js'

const errors = (options: unknown) => resolveResilience({ errors: options }).errors

describe('resilience.errors', () => {
  it('takes words and columns by the names of constraints', () => {
    const { constraints, columns, messages } = errors({
      constraints: {
        users_email_key: { message: 'taken', path: 'email', code: 'EMAIL_TAKEN' },
        'places.zip_check': { path: ['address', 0] },
      },
      columns: { users_email_key: ['email'] },
      messages: { 'foreign-key': 'still in use' },
    })
    expect([...constraints]).toEqual([
      ['users_email_key', { message: 'taken', path: ['email'], code: 'EMAIL_TAKEN' }],
      ['places.zip_check', { message: undefined, path: ['address', 0], code: undefined }],
    ])
    expect([...columns]).toEqual([['users_email_key', ['email']]])
    expect(messages).toEqual({ 'foreign-key': 'still in use' })
  })

  it('takes no name for what every object has', () => {
    const { constraints, columns } = errors({})
    expect([constraints.get('constructor'), columns.get('toString')]).toEqual([undefined, undefined])
  })

  it('does not follow what is changed after it was given', () => {
    const given = { constraints: { a: { path: ['x'] } }, columns: { a: ['x'] } }
    const { constraints, columns } = errors(given)
    given.constraints.a.path.push('y')
    given.columns.a.push('y')
    expect([constraints.get('a')?.path, columns.get('a')]).toEqual([['x'], ['x']])
  })

  it.each([
    [{ constraints: [] }, 'resilience.errors.constraints', 'an object, by the names of constraints'],
    [{ constraints: { a: {} } }, 'resilience.errors.constraints.a', 'message, path, code or stillReferenced'],
    [
      { constraints: { a: { message: undefined, code: undefined } } },
      'resilience.errors.constraints.a',
      'message, path, code or stillReferenced',
    ],
    [
      { constraints: { a: { code: 'A', stillReferenced: {} } } },
      'resilience.errors.constraints.a.stillReferenced',
      'message, path or code',
    ],
    [{ constraints: { a: 'taken' } }, 'resilience.errors.constraints.a', 'an object'],
    [{ constraints: { a: { message: '' } } }, 'resilience.errors.constraints.a.message', 'a text that is not empty'],
    [{ constraints: { a: { path: [true] } } }, 'resilience.errors.constraints.a.path[0]', 'a name, or an index'],
    [
      { constraints: { a: { path: 1 } } },
      'resilience.errors.constraints.a.path',
      "a field's name, or an array of names and indexes",
    ],
    [{ messages: { unique: 1 } }, 'resilience.errors.messages.unique', 'a text that is not empty'],
    [{ columns: { a: 'email' } }, 'resilience.errors.columns.a', 'an array of column names'],
    [{ columns: { a: [] } }, 'resilience.errors.columns.a', 'an array of column names'],
    [{ columns: { a: [''] } }, 'resilience.errors.columns.a[0]', 'a column name'],
    [{ lookupTimeoutMs: -1 }, 'resilience.errors.lookupTimeoutMs', 'an integer >= 0 and <= 2147483647 (milliseconds)'],
    [{ exposeValues: 'yes' }, 'resilience.errors.exposeValues', 'true or false'],
    [{ casing: 'snake_case' }, 'resilience.errors.casing', "'camelCase'"],
    [{ style: 'bare' }, 'resilience.errors.style', "'direct' or 'wrapped'"],
    [{ message: {} }, 'resilience.errors.message', 'nothing by this name; did you mean messages?'],
  ])('refuses %j, saying where and what is allowed', (given, path, allowed) => {
    expect(problemsWith({ errors: given })).toMatchObject([{ path, allowed }])
  })

  it('tells all that is wrong at once', () => {
    const given = { constraints: { a: { code: 1 } }, lookupTimeoutMs: 1.5, style: 0 }
    expect(problemsWith({ errors: given })).toHaveLength(3)
  })
})
