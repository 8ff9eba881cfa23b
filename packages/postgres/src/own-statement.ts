// A statement of ours, as a connection of the library takes it: an object with what that reads and writes, and none of what
// makes the library's own Query a promise that starts by itself. It takes a third of the time to make, and fewer turns.

import type { LibraryColumn, LibraryResult, LibraryRow, LibraryStatement } from './library.js'

export interface OwnOptions {
  /** Undefined: left to the connection. */
  readonly prepare: boolean | undefined
  /**
   * Whether its values are text or null, and go to the server as they are. The library asks for the types of those that it is
   * to write, and waits for the answer: of these it knows nothing but how long they are.
   */
  readonly written: boolean
}

export class OwnStatement implements LibraryStatement {
  readonly strings: readonly string[]
  readonly args: readonly unknown[]
  readonly options: { simple: boolean; prepare: boolean | undefined }
  parameters: unknown
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  /** Told why the library tries it once more, before it does. */
  retrying: ((error: unknown) => void) | undefined = undefined

  // What the library keeps on it, all of it from the beginning, so that it never changes its shape.
  readonly tagged = false
  readonly origin = ''
  readonly cancelled = null
  string: string | undefined = undefined
  signature: unknown = ''
  state: unknown = null
  statement: { columns: LibraryColumn[] | null } | null = null
  active = false
  prepare: unknown = undefined
  prepared: unknown = undefined
  describeFirst: unknown = undefined
  onlyDescribe = false
  streaming = false
  isRaw: boolean | 'values' = false
  cursorFn: ((chunk: LibraryResult) => unknown) | undefined = undefined
  cursorName: string | undefined = undefined
  forEachFn: ((row: LibraryRow, result: LibraryResult) => unknown) | undefined = undefined
  #retried: unknown

  constructor(
    text: string,
    values: readonly unknown[],
    { prepare, written }: OwnOptions,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.strings = [text]
    this.args = written ? none : values
    this.parameters = written && values.length > 0 ? [...values] : undefined
    this.options = { simple: values.length === 0, prepare }
    this.resolve = resolve
    this.reject = reject
  }

  /** A plan that went stale, or is not there, makes the library try once more. */
  get retried(): unknown {
    return this.#retried
  }

  set retried(error: unknown) {
    this.#retried = error
    this.retrying?.(error)
  }
}

const none: readonly unknown[] = []
