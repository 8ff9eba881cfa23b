import { describe, expect, it } from '@jest/globals'
import postgres from 'postgres'
import { ClientQuery, closeCursor, standInFor, textQuery } from './client-query.js'
import { asLibraryQuery, librarySql, writtenText } from './library.js'

const sql = librarySql(postgres({ max: 1 }).options)
const nobody = (): void => {}

function tagged(strings: TemplateStringsArray, ...args: unknown[]): ClientQuery {
  return new ClientQuery(strings, args, nobody)
}

describe('a query that the facade hands out', () => {
  it("is one of the library's own, also as a fragment of another", () => {
    const lock = textQuery('for update', [], nobody, undefined)
    const query = tagged`select 1 from t ${lock}`
    expect(asLibraryQuery(query)).toBe(query)
    expect(query.constructor).not.toBe(sql.unsafe('').constructor)
    expect(query).toBeInstanceOf(sql.unsafe('').constructor)
    expect(writtenText(query)).toBe('select 1 from t for update')
    expect(closeCursor).toBe(sql.CLOSE)
  })

  it('is carried out once, in the turn after somebody has waited for it', async () => {
    const carried: unknown[] = []
    const query = textQuery('select 1', [], (one) => carried.push(one), undefined)
    query.then(nobody)
    query.catch(nobody)
    expect(carried).toEqual([])
    await Promise.resolve()
    expect(carried).toEqual([query])
    query.resolve('answer')
    await expect(query).resolves.toBe('answer')
    expect(carried).toHaveLength(1)
  })

  it('has promises of the plain kind come of it, which carry out nothing', async () => {
    const query = textQuery('select 1', [], (one) => one.resolve('answer'), undefined)
    const next = query.then((answer) => `the ${String(answer)}`)
    expect(next.constructor).toBe(Promise)
    await expect(next).resolves.toBe('the answer')
  })

  it('tells why it is tried once more, before it is', () => {
    const query = textQuery('select $1', [1], nobody, undefined)
    const told: unknown[] = []
    query.retried = 'nobody asked'
    query.retrying = (error) => told.push(error)
    query.retried = 'stale'
    expect(told).toEqual(['stale'])
    expect(query.retried).toBe('stale')
  })

  it('has an origin only where it is a template: the library keeps one for each strings object', () => {
    expect(textQuery('select 1', [], nobody, undefined).origin).toBe('')
    expect(tagged`select 1`.origin).toMatch(/^Error/)
  })

  it('leaves it to the connection whether a text is prepared, unless it is asked for', () => {
    const options = (values: readonly unknown[], given?: Parameters<typeof textQuery>[3]) =>
      textQuery('…', values, nobody, given).options
    expect(options([1])).toEqual({ simple: false, prepare: undefined })
    expect(options([])).toEqual({ simple: true, prepare: undefined })
    expect(options([1], { prepare: false })).toEqual({ simple: false, prepare: undefined })
    expect(options([1], { prepare: true })).toEqual({ simple: false, prepare: true })
    expect(options([], { prepare: true, simple: false })).toEqual({ simple: false, prepare: true })
    expect(options([1], { simple: true })).toEqual({ simple: true, prepare: false })
  })

  it('says on itself what is wanted of it', () => {
    const query = textQuery('select 1', [], nobody, undefined)
    expect(query.values()).toBe(query)
    expect(query.isRaw).toBe('values')
    const each = (): void => {}
    query.cursor(3, each)
    expect(query.cursorFn).toBe(each)
  })

  it('is stood in for by one that settles what it was to settle, and writes its parameters anew', () => {
    const query = textQuery('select $1', [1], nobody, undefined)
    query.values()
    query.parameters = ['written']
    query.retrying = nobody
    const settled: unknown[] = []
    const other = standInFor(query, { resolve: (value) => settled.push(value), reject: nobody })
    expect(other).not.toBe(query)
    expect([other.strings, other.args, other.isRaw]).toEqual([query.strings, query.args, 'values'])
    expect([other.parameters, other.retrying]).toEqual([undefined, undefined])
    other.resolve('answer')
    expect(settled).toEqual(['answer'])
  })
})
