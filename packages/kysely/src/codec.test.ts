// The value mapping by itself. That it agrees with `pg` value for value is tested in test/compat/kysely.

import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, jest, test } from '@jest/globals'
import pgTypes from 'pg-types'
import { createCodec, prepareValue } from './codec.js'

const int8 = 20

describe('a parameter', () => {
  test.each([
    ['null', null, null],
    ['undefined', undefined, null],
    ['a string, as it is', `O'Neill \\ "x" 🐘`, `O'Neill \\ "x" 🐘`],
    ['the empty string', '', ''],
    ['a number', -1.5e-7, '-1.5e-7'],
    ['NaN', Number.NaN, 'NaN'],
    ['Infinity', Number.POSITIVE_INFINITY, 'Infinity'],
    ['a bigint', 9223372036854775807n, '9223372036854775807'],
    ['true', true, 'true'],
    ['false', false, 'false'],
  ])('%s', (_name, value, text) => {
    expect(prepareValue(value)).toBe(text)
  })

  test('a Buffer or a typed array becomes bytea, only the bytes in view', () => {
    const bytes = Uint8Array.of(0, 1, 254, 255)
    expect(prepareValue(Buffer.from(bytes))).toBe('\\x0001feff')
    expect(prepareValue(bytes)).toBe('\\x0001feff')
    expect(prepareValue(bytes.subarray(1, 3))).toBe('\\x01fe')
    expect(prepareValue(new DataView(bytes.buffer, 2))).toBe('\\xfeff')
    expect(prepareValue(new Uint8Array())).toBe('\\x')
  })

  test('a plain object becomes JSON', () => {
    expect(prepareValue({ a: [1, null, undefined], b: undefined, c: new Date(0) })).toBe(
      '{"a":[1,null,null],"c":"1970-01-01T00:00:00.000Z"}',
    )
  })

  test('an object whose toJSON gives nothing becomes NULL', () => {
    expect(prepareValue({ toJSON: () => undefined })).toBeNull()
  })

  test('an object with toPostgres becomes what that returns, prepared in turn', () => {
    expect(prepareValue({ toPostgres: () => [1, 2] })).toBe('{"1","2"}')
    expect(prepareValue({ toPostgres: () => null })).toBeNull()
    expect(prepareValue({ toPostgres: () => ({ toPostgres: () => 'inner' }) })).toBe('inner')
  })

  test('toPostgres is called on its object and may prepare parts with what it is given', () => {
    const range = {
      bounds: [1n, null],
      toPostgres(prepare: (value: unknown) => string | null) {
        return `[${this.bounds.map((bound) => prepare(bound) ?? '').join(',')})`
      },
    }
    expect(prepareValue(range)).toBe('[1,)')
  })

  test('an object whose toPostgres leads back to itself is refused', () => {
    const circular: Record<string, unknown> = {}
    circular.toPostgres = () => ({ toPostgres: () => circular })
    expect(() => prepareValue(circular)).toThrow('A parameter refers to itself')
  })

  test('the same object twice in an array is no circle', () => {
    const point = { toPostgres: () => '(1,2)' }
    expect(prepareValue([point, point])).toBe('{"(1,2)","(1,2)"}')
  })
})

describe('an array', () => {
  test.each<[string, unknown[], string]>([
    ['empty', [], '{}'],
    ['of numbers', [1, -2.5], '{"1","-2.5"}'],
    ['with null and undefined', [null, undefined, 'null'], '{NULL,NULL,"null"}'],
    ['with holes', new Array(2), '{NULL,NULL}'],
    ['nested', [[1, 2], [], [[3]]], '{{"1","2"},{},{{"3"}}}'],
    ['of texts that an array literal would misread', ['', 'a,b', '{}', ' '], '{"","a,b","{}"," "}'],
    ['with quotes and backslashes', ['say "hi"', 'C:\\x'], '{"say \\"hi\\"","C:\\\\x"}'],
    ['of objects', [{ a: '"' }], '{"{\\"a\\":\\"\\\\\\"\\"}"}'],
    ['of bytea', [Buffer.from('hi'), Uint8Array.of(255)], '{"\\\\x6869","\\\\xff"}'],
    ['with a toPostgres that gives null', [{ toPostgres: () => null }], '{NULL}'],
    ['of booleans and bigints', [true, 2n], '{"true","2"}'],
  ])('%s', (_name, value, literal) => {
    expect(prepareValue(value)).toBe(literal)
  })
})

describe('a Date', () => {
  test.each<[string, [number, number, number, number, number, number, number], number, string]>([
    ['on UTC', [2024, 0, 31, 23, 59, 58, 7], 0, '2024-01-31T23:59:58.007+00:00'],
    ['west of it, by a half hour', [2024, 5, 1, 0, 0, 0, 0], 210, '2024-06-01T00:00:00.000-03:30'],
    ['east of it, by three quarters', [2024, 5, 1, 0, 0, 0, 0], -345, '2024-06-01T00:00:00.000+05:45'],
    ['west by minutes', [2024, 5, 1, 0, 0, 0, 0], 18, '2024-06-01T00:00:00.000-00:18'],
    ['in the year 33', [33, 3, 3, 15, 0, 0, 0], 0, '0033-04-03T15:00:00.000+00:00'],
    ['in the year 12024', [12024, 0, 1, 0, 0, 0, 0], 0, '12024-01-01T00:00:00.000+00:00'],
    ['in the year before the first', [0, 11, 31, 0, 0, 0, 0], 0, '0001-12-31T00:00:00.000+00:00 BC'],
    ['in 44 BC', [-43, 2, 15, 12, 0, 0, 0], 0, '0044-03-15T12:00:00.000+00:00 BC'],
  ])('is written in local time with its offset: %s', (_name, local, minutesWestOfUtc, text) => {
    const date = new Date(...local)
    // The constructor takes the years 0 to 99 for the twentieth century.
    date.setFullYear(local[0])
    jest.spyOn(date, 'getTimezoneOffset').mockReturnValue(minutesWestOfUtc)
    expect(prepareValue(date)).toBe(text)
  })

  test('of another realm is a date as well', () => {
    const foreign: unknown = runInNewContext('new Date(2024, 0, 1)')
    expect(foreign).not.toBeInstanceOf(Date)
    expect(prepareValue(foreign)).toMatch(/^2024-01-01T00:00:00\.000[+-]\d\d:\d\d$/)
  })

  test('that is invalid is left to the server to refuse', () => {
    expect(prepareValue(new Date(Number.NaN))).toContain('NaN')
  })

  test('in an array is quoted', () => {
    expect(prepareValue([new Date(2024, 0, 1)])).toMatch(/^\{"2024-01-01T00:00:00\.000[+-]\d\d:\d\d"\}$/)
  })
})

describe('a result', () => {
  const original = pgTypes.getTypeParser(int8, 'text')

  afterEach(() => {
    pgTypes.setTypeParser(int8, original)
  })

  test('is parsed as pg parses it', () => {
    const { parserOf } = createCodec()
    expect(parserOf(23)('7')).toBe(7)
    expect(parserOf(int8)('9223372036854775807')).toBe('9223372036854775807')
    expect(parserOf(1186)('1 day 02:00:00')).toMatchObject({ days: 1, hours: 2 })
    expect(parserOf(17)('\\x00ff')).toEqual(Buffer.from([0, 255]))
    expect(parserOf(1009)('{"a,b",NULL}')).toEqual(['a,b', null])
  })

  test('of a type nobody knows is its text', () => {
    expect(createCodec().parserOf(987_654)('[1,2)')).toBe('[1,2)')
  })

  test('honours a parser that the application sets later, for everybody', () => {
    const { parserOf } = createCodec()
    pgTypes.setTypeParser(int8, BigInt)
    expect(parserOf(int8)('1')).toBe(1n)
  })

  test("is parsed by the application's own types, asked with the format", () => {
    const getTypeParser = jest.fn((_oid: number, _format: 'text') => (text: string) => `own ${text}`)
    expect(createCodec({ getTypeParser }).parserOf(int8)('1')).toBe('own 1')
    expect(getTypeParser).toHaveBeenCalledWith(int8, 'text')
  })
})
