// A query's rows in chunks, as an async iterator with back-pressure: the server is asked for the next chunk when the last
// was taken. postgres.js has one of its own, but it forgets errors raised between two chunks and does not wait, on leaving
// the loop, until the connection is free again.

import { isObjectResult, type LibraryQuery } from './library.js'

const end = { done: true, value: undefined } as const

/**
 * @param query carried out by its own handler, at the first `next()`
 * @param close what a cursor's callback returns to close it
 */
export function streamRows<Row>(
  query: LibraryQuery,
  chunkSize: number,
  close: object,
): AsyncIterableIterator<readonly Row[]> {
  type Step = IteratorResult<readonly Row[], undefined>
  let finished: Promise<unknown> | undefined
  let deliver: ((chunk: readonly Row[]) => void) | undefined
  let proceed: ((signal?: object) => void) | undefined
  let left = false

  query.cursor(chunkSize, (chunk) => {
    if (left) return close
    if (isObjectResult<Row>(chunk)) deliver?.(chunk)
    return new Promise((resolve) => {
      proceed = resolve
    })
  })

  const iterator: AsyncIterableIterator<readonly Row[]> = {
    async next(): Promise<Step> {
      if (left) return end
      const chunk = new Promise<Step>((resolve) => {
        deliver = (value) => resolve({ done: false, value })
      })
      if (finished === undefined) {
        finished = query.execute()
        // Reported by the race below, or by nobody if the consumer has left: never as an unhandled rejection.
        finished.catch(() => {})
      }
      proceed?.()
      return Promise.race([chunk, finished.then(() => end)])
    },
    async return(): Promise<Step> {
      left = true
      proceed?.(close)
      await finished?.catch(() => {})
      return end
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
