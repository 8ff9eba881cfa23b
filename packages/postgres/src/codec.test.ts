import { describe, expect, it } from '@jest/globals'
import { ArrayTypes, parseArray, serializeArray } from './array-types.js'
import { mapResult, noTransform, TableCodec } from './codec.js'
import type { LibraryColumn, LibraryResult, LibraryRow } from './library.js'

const number = (text: string) => Number(text)

function column(name: string, type: number): LibraryColumn {
  return { name, type, table: 0, number: 0 }
}

function result(columns: LibraryColumn[], rows: LibraryRow[]): LibraryResult {
  return Object.assign([...rows], { columns, command: 'SELECT', count: rows.length, statement: { columns } })
}

function arrays(): ArrayTypes {
  const types = new ArrayTypes(true)
  types.learn([
    { oid: '23', typarray: '1007' },
    { oid: '25', typarray: '1009' },
  ])
  return types
}

describe('TableCodec', () => {
  it('reads a parser that its owner changed after the codec was made', () => {
    const tables = { parsers: { 23: number }, serializers: {}, transform: noTransform }
    const codec = new TableCodec(tables)
    const rows = result([column('n', 23)], [{ n: '7' }])
    tables.parsers[23] = (text) => -Number(text)
    mapResult(rows, 'objects', codec, arrays())
    expect([...rows]).toEqual([{ n: -7 }])
  })

  it('derives arrays from their element type, both ways', () => {
    const serializers = { 23: (value: unknown) => `#${String(value)}` }
    const codec = new TableCodec({ parsers: { 23: number }, serializers, transform: noTransform })
    const types = arrays()
    expect(codec.parser(1007, types)?.('{1,NULL,3}')).toEqual([1, null, 3])
    expect(codec.serializers(types)[1007]?.([1, [2]])).toBe('{"#1",{"#2"}}')
  })

  it('leaves an array type alone that its owner maps itself', () => {
    const same = (value: unknown) => value
    const codec = new TableCodec({ parsers: { 1007: same }, serializers: { 1007: same }, transform: noTransform })
    expect(codec.parser(1007, arrays())).toBe(same)
    expect(codec.serializers(arrays())[1007]).toBe(same)
  })

  it('asks the server again, once, when a type turns up that was created since', () => {
    const types = arrays()
    const codec = new TableCodec({ parsers: {}, serializers: {}, transform: noTransform })
    expect(types.stale).toBe(false)
    codec.parser(17_000, types)
    expect(types.stale).toBe(true)
    types.learn([])
    codec.parser(17_000, types)
    expect(types.stale).toBe(false)
  })
})

describe('mapResult', () => {
  const codec = new TableCodec({ parsers: { 23: number }, serializers: {}, transform: noTransform })

  it('parses values in place and leaves NULL and text as they came', () => {
    const rows = result(
      [column('n', 23), column('t', 25)],
      [
        { n: '1', t: 'x' },
        { n: null, t: null },
      ],
    )
    mapResult(rows, 'objects', codec, arrays())
    expect([...rows]).toEqual([
      { n: 1, t: 'x' },
      { n: null, t: null },
    ])
  })

  it('parses rows of values by position', () => {
    const rows = result([column('a', 23), column('a', 25)], [['1', 'x']])
    mapResult(rows, 'values', codec, arrays())
    expect([...rows]).toEqual([[1, 'x']])
  })

  it('parses the last of several columns with one name, and only that', () => {
    const rows = result([column('a', 23), column('a', 25)], [{ a: 'text' }])
    mapResult(rows, 'objects', codec, arrays())
    expect([...rows]).toEqual([{ a: 'text' }])
  })

  it('renames columns without touching what a prepared statement shares', () => {
    const shared = [column('user_id', 23)]
    const rows = result(shared, [{ user_id: '1' }])
    const transform = { ...noTransform, column: { from: (name: string) => name.toUpperCase(), to: undefined } }
    mapResult(rows, 'objects', new TableCodec({ parsers: { 23: number }, serializers: {}, transform }), arrays())
    expect([...rows]).toEqual([{ USER_ID: 1 }])
    expect(rows.columns?.[0]?.name).toBe('USER_ID')
    expect(shared[0]?.name).toBe('user_id')
  })

  it('applies value and row transforms after parsing', () => {
    const transform = {
      ...noTransform,
      value: { from: (value: unknown) => (typeof value === 'number' ? value + 1 : value) },
      row: { from: (row: LibraryRow) => ({ ...row, seen: true }) },
    }
    const rows = result([column('n', 23)], [{ n: '1' }])
    mapResult(rows, 'objects', new TableCodec({ parsers: { 23: number }, serializers: {}, transform }), arrays())
    expect([...rows]).toEqual([{ n: 2, seen: true }])
  })
})

describe('array literals', () => {
  it.each([
    ['{}', []],
    ['{a,"b,c","d\\"e","f\\\\g",NULL,"NULL"}', ['a', 'b,c', 'd"e', 'f\\g', null, 'NULL']],
    [
      '{{1,2},{3,4}}',
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    ['[0:1]={x,y}', ['x', 'y']],
  ])('reads %s', (text, expected) => {
    expect(parseArray(text, 1009, undefined)).toEqual(expected)
  })

  it('writes what it can read again', () => {
    const value = ['a', 'b,c', 'd"e', 'f\\g', null, '', 'NULL', ' x ']
    expect(parseArray(String(serializeArray(value, 1009, undefined)), 1009, undefined)).toEqual(value)
  })

  it('separates boxes by semicolons', () => {
    const boxes = ['(1,1),(0,0)', '(2,2),(1,1)']
    expect(parseArray('{(1,1),(0,0);(2,2),(1,1)}', 1020, undefined)).toEqual(boxes)
    expect(serializeArray(boxes, 1020, undefined)).toBe('{"(1,1),(0,0)";"(2,2),(1,1)"}')
  })

  it('leaves a literal that the application wrote itself', () => {
    expect(serializeArray('{1,2}', 1007, undefined)).toBe('{1,2}')
  })
})
