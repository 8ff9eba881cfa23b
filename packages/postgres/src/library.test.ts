import { describe, expect, it } from '@jest/globals'
import postgres from 'postgres'
import { textQuery } from './client-query.js'
import { asLibraryQuery, type LibraryQuery, librarySql, writtenText } from './library.js'

const sql = librarySql(postgres({ max: 1 }).options)

function made(value: unknown): LibraryQuery {
  const query = asLibraryQuery(value)
  if (query === undefined) throw new Error('not a query')
  return query
}

describe('what we rely on inside postgres.js', () => {
  it('a query starts when somebody waits for it, through its own handler, once', async () => {
    const query = made(sql`select ${1}`)
    let carried = 0
    query.handler = (given) => {
      carried++
      given.resolve('answer')
    }
    expect(carried).toBe(0)
    await expect(query).resolves.toBe('answer')
    await expect(query).resolves.toBe('answer')
    expect(carried).toBe(1)
  })

  it('resolve and reject are plain properties that the caller of the handler may replace', async () => {
    const query = made(sql.unsafe('select 1'))
    const { reject } = query
    query.reject = (error) => reject(new Error(`explained: ${String(error)}`))
    query.handler = (given) => given.reject('why')
    await expect(query).rejects.toThrow('explained: why')
  })

  it('cancel calls the canceller with the query', async () => {
    const query = made(sql.unsafe('select 1'))
    const cancelled: LibraryQuery[] = []
    query.canceller = async (given) => {
      cancelled.push(given)
    }
    if (!('cancel' in query) || typeof query.cancel !== 'function') throw new Error('no cancel')
    query.cancel()
    expect(cancelled).toEqual([query])
  })

  it('every query of an instance carries the handler that sends it through that instance', () => {
    expect(sql.unsafe('select 1').handler).toBe(made(sql`select 2`).handler)
  })

  it('values, raw, cursor, forEach and describe say on the query what is wanted', () => {
    expect(sql.unsafe('select 1').values().isRaw).toBe('values')
    const cursor = sql.unsafe('select 1')
    cursor.cursor(3, () => {})
    expect(typeof cursor.cursorFn).toBe('function')
  })

  it('identifiers and builders are not queries', () => {
    expect(asLibraryQuery(Reflect.apply(sql, undefined, ['name']))).toBeUndefined()
    expect(asLibraryQuery(Reflect.apply(sql, undefined, [{ a: 1 }]))).toBeUndefined()
  })

  it('options that are parsed already are used as they are, so that they can be changed in place', () => {
    const options = { ...postgres({ max: 1 }).options }
    expect(librarySql(options).options).toBe(options)
  })

  it('a text with its fragments is known before it is sent', () => {
    const lock = sql`for ${sql.unsafe('update')}`
    expect(writtenText(made(sql`select ${1}, ${'for share'} from t ${lock} of t`))).toBe(
      'select $1, $1 from t for update of t',
    )
    expect(writtenText(textQuery('select $1', [5], () => {}, undefined))).toBe('select $1')
    expect(writtenText(made(sql.unsafe('')))).toBe('')
  })
})
