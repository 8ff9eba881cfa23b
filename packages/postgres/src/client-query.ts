// The queries that the facade hands out: the library's own, so that its fragments and helpers, and an application, take them
// for what they are. What is ours about them is in their class. Put on each object it would make a shape of its own of every
// one, which is slow, and which keeps the query in memory until the whole heap is looked through.

import postgres from 'postgres'
import { streamRows } from './cursor.js'
import { type LibraryQuery, type LibraryResult, type LibraryRow, queryClass, type UnsafeOptions } from './library.js'
import { cancel } from './running.js'

const { Query, close } = queryClass(postgres({ max: 1 }))

/** What a cursor's callback returns to close the cursor. */
export const closeCursor: object = close

type Carry = (query: ClientQuery) => void

export class ClientQuery extends Query {
  /** Told why the library tries it once more, before it does. */
  override retrying: ((error: unknown) => void) | undefined = undefined

  // What the library and we keep on it, from the beginning, so that it does not change its shape on its way.
  string: string | undefined = undefined
  override parameters: unknown = undefined
  prepare: unknown = undefined
  override prepared: unknown = undefined
  override describeFirst: unknown = undefined
  override isRaw: boolean | 'values' = false
  override cursorFn: ((chunk: LibraryResult) => unknown) | undefined = undefined
  override forEachFn: ((row: LibraryRow, result: LibraryResult) => unknown) | undefined = undefined
  #retried: unknown = undefined

  /** @param carry carries it out, once somebody waits for it */
  constructor(strings: readonly string[], args: readonly unknown[], carry: Carry, options?: object) {
    super(strings, args, carry, cancel, options)
  }

  /** A plan that went stale, or is not there, makes the library try once more. */
  get retried(): unknown {
    return this.#retried
  }

  set retried(error: unknown) {
    this.#retried = error
    this.retrying?.(error)
  }

  /**
   * Where the application has written it. When a statement fails the library asks for it, and keeps the answer for ever by the
   * statement's strings: for a tagged template one for each place in the code, for any other text one for each failure.
   */
  override get origin(): string {
    return 'raw' in this.strings ? super.origin : ''
  }

  /** As the library's, but that it makes no promise of its own for it. */
  override handle(): void {
    if (this.executed) return
    this.executed = true
    void turn.then(() => this.handler(this))
  }

  /** `cursor(rows)` without a callback: our iterator instead of the library's. */
  override cursor(rows: unknown = 1, each?: (chunk: LibraryResult) => unknown): unknown {
    if (typeof rows === 'function' || typeof each === 'function') return super.cursor(rows, each)
    return streamRows(this, typeof rows === 'number' ? rows : 1, closeCursor)
  }
}

const turn = Promise.resolve()

/**
 * A text that is sent as it is, with values for its parameters.
 *
 * `prepare: false` is what the library does where nothing is said, and what Drizzle says where nobody has asked for more: it is
 * left to the connection whether such a text is prepared.
 */
export function textQuery(
  text: string,
  values: readonly unknown[],
  carry: Carry,
  options: UnsafeOptions | undefined,
): ClientQuery {
  return new ClientQuery([text], values, carry, unsafeOptions(values, options))
}

/** Only what the library knows: to copy an object of somebody else's takes longer than all the rest of this. */
function unsafeOptions(values: readonly unknown[], options: UnsafeOptions | undefined): UnsafeOptions {
  const usual = values.length === 0
  if (options === undefined) return { simple: usual, prepare: undefined }
  if (options.prepare === true) return { simple: options.simple ?? usual, prepare: true }
  return 'simple' in options
    ? { simple: options.simple === true, prepare: false }
    : { simple: usual, prepare: undefined }
}

/**
 * Another query that is carried out in the place of one that was given to a connection, and settles what that was to settle.
 * The first connection may still speak of its own.
 */
export function standInFor(
  query: ClientQuery,
  { resolve, reject }: Pick<LibraryQuery, 'resolve' | 'reject'>,
): ClientQuery {
  const other = new ClientQuery(query.strings, query.args, query.handler)
  // Without its parameters as they were written for the first connection.
  return Object.assign(other, query, { parameters: undefined, retrying: undefined, resolve, reject })
}
