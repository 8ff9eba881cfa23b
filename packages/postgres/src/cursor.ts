// A query's rows in chunks, as an async iterator with back-pressure: the server is asked for the next chunk when the last
// was taken. postgres.js has one of its own, but it forgets errors raised between two chunks and does not wait, on leaving
// the loop, until the connection is free again.

import { isObjectResult, type LibraryQuery } from './library.js'

const ended = { done: true, value: undefined } as const

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
  /** Calls of `next()` that nothing has come for. */
  const waiting: { resolve(step: Step | Promise<never>): void }[] = []
  let finished: Promise<unknown> | undefined
  /** How it has ended: not a promise to be waited for with each chunk, which would keep them all. */
  let over: Step | Promise<never> | undefined
  let proceed: ((signal?: object) => void) | undefined
  let left = false

  query.cursor(chunkSize, (chunk) => {
    if (left) return close
    if (isObjectResult<Row>(chunk)) waiting.shift()?.resolve({ done: false, value: chunk })
    if (waiting.length > 0) return undefined
    return new Promise((resolve) => {
      proceed = resolve
    })
  })

  const end = (how: Step | Promise<never>): void => {
    over = how
    for (const { resolve } of waiting.splice(0)) resolve(how)
  }

  const begin = (): Promise<unknown> => {
    const all: Promise<unknown> = query.execute()
    all.then(
      () => end(ended),
      (error: unknown) => {
        const failed = Promise.reject(error)
        // Told to whoever asks for the next chunk, or to nobody if the consumer has left: never as an unhandled rejection.
        failed.catch(() => {})
        end(failed)
      },
    )
    return all
  }

  const iterator: AsyncIterableIterator<readonly Row[]> = {
    async next(): Promise<Step> {
      if (left) return ended
      if (over !== undefined) return over
      const step = new Promise<Step>((resolve) => waiting.push({ resolve }))
      finished ??= begin()
      proceed?.()
      return step
    },
    async return(): Promise<Step> {
      left = true
      proceed?.(close)
      await finished?.catch(() => {})
      return ended
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}
