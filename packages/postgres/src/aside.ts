// Simple queries of our own that travel with a statement of the library's: BEGIN ahead of it, a look at the transaction's
// id behind it. The library does not know of them: we write them to the socket ourselves, and take their answers out of
// what the server sends. It could pipeline them itself, but then a parameter that cannot be written rejects the wrong one
// of the two and leaves the library out of step, and nothing can be sent behind a statement that it describes first.

import type { TransactionStatus } from '@moorings/core'
import type { LibrarySocket } from './library-socket.js'
import { remembered } from './remembered.js'
import { type BackendReader, errorFields, simpleQuery, statusOf } from './wire.js'

export interface AsideAnswer {
  /** The server's ErrorResponse, by the names postgres.js gives to its fields. */
  readonly error: Readonly<Record<string, string>> | undefined
  /** The first column of the last row; null where that is NULL, undefined where there was none. */
  readonly value: string | null | undefined
  /** Where the session stood behind it. */
  readonly status: TransactionStatus
}

/** Nobody writes on these: they are copied into what is sent. */
const written = remembered(simpleQuery)

type Answered = (answer: AsideAnswer) => void

const header = 5
const notificationResponse = 65 // A
const commandComplete = 67 // C
const dataRow = 68 // D
const errorResponse = 69 // E
const noticeResponse = 78 // N
const parameterStatus = 83 // S
const readyForQuery = 90 // Z

export class Asides {
  readonly #socket: Pick<LibrarySocket, 'ahead' | 'behind' | 'flushSoon'>
  readonly #reader: BackendReader
  /** Whose answers come next, in this order; undefined for the library's. Empty: whatever comes is the library's. */
  readonly #expected: (Answered | undefined)[] = []

  // The message under way, while something is expected.
  #type = 0
  #remaining = 0
  #shown = true
  readonly #header = Buffer.alloc(header)
  #headerLength = 0
  /** How much of a cut header the library has had already. */
  #headerShown = 0
  #body: Buffer[] = []

  // The answer under way.
  #error: Record<string, string> | undefined
  #value: string | null | undefined

  constructor(socket: Pick<LibrarySocket, 'ahead' | 'behind' | 'flushSoon'>, reader: BackendReader) {
    this.#socket = socket
    this.#reader = reader
  }

  /** Whether all that comes is the library's. */
  get idle(): boolean {
    return this.#expected.length === 0
  }

  /** Ahead of what the library is given next. */
  ahead(text: string, answered: Answered): void {
    this.#socket.ahead(written(text))
    this.#expect(answered)
  }

  /** Behind what the library was given, and will have answered once. */
  behind(text: string, answered: Answered): void {
    this.#expect(undefined)
    this.#expect(answered)
    this.#socket.behind(written(text))
  }

  /** The library was given what these travel with. */
  depart(): void {
    this.#socket.flushSoon()
  }

  /** What of a chunk is the library's. The reader was given all of it before. */
  sift(chunk: Buffer): readonly Buffer[] {
    const shown: Buffer[] = []
    const end = chunk.length
    let at = 0
    // Where that begins which the library is to have next; -1 while it is to have nothing.
    let from = -1
    while (at < end && this.#expected.length > 0) {
      const start = at
      let bodyAt = at
      let cut = false
      if (this.#remaining > 0) {
        at = Math.min(end, at + this.#remaining)
        this.#remaining -= at - start
        if (this.#shown) {
          if (from < 0) from = start
        } else {
          cut = this.#remaining > 0 || this.#body.length > 0
          if (cut) this.#body.push(chunk.subarray(start, at))
        }
      } else {
        const earlier = this.#headerLength
        const whole = earlier === 0 && end - at >= header
        at += whole ? header : chunk.copy(this.#header, earlier, at, at + header - earlier)
        bodyAt = at
        this.#headerLength += at - start
        const known = this.#headerLength === header
        if (known) this.#enter(whole ? chunk : this.#header, whole ? start : 0)
        if (!known || !this.#shown) {
          if (from >= 0 && from < start) shown.push(chunk.subarray(from, start))
          from = -1
        } else if (from < 0) {
          if (earlier > this.#headerShown) shown.push(Buffer.from(this.#header.subarray(this.#headerShown, earlier)))
          from = start
        }
        if (!known) return shown
        this.#headerLength = this.#headerShown = 0
      }
      if (this.#remaining > 0) continue
      if (cut) this.#leaveCut()
      else this.#leave(chunk, bodyAt, at)
    }
    if (from < 0) from = at
    if (from < end) shown.push(chunk.subarray(from))
    return shown
  }

  #expect(answered: Answered | undefined): void {
    if (this.#expected.length === 0) {
      const { remaining, partialHeader } = this.#reader
      // A message may be cut here, such as a notification. The library has had its beginning.
      this.#type = 0
      this.#shown = true
      this.#remaining = remaining
      this.#headerLength = this.#headerShown = partialHeader.copy(this.#header)
    }
    this.#expected.push(answered)
  }

  /** The header is complete. */
  #enter(bytes: Buffer, at: number): void {
    const type = bytes.readUInt8(at)
    this.#type = type
    // Less than none is no message's; the library will say so.
    this.#remaining = Math.max(0, bytes.readInt32BE(at + 1) - 4)
    // What may come at any time is for whoever listens on the session.
    this.#shown =
      this.#expected[0] === undefined ||
      type === noticeResponse ||
      type === parameterStatus ||
      type === notificationResponse
  }

  /** The message is complete, and came in pieces. */
  #leaveCut(): void {
    const body = Buffer.concat(this.#body)
    this.#body = []
    this.#leave(body, 0, body.length)
  }

  /** The message is complete: its body is there. */
  #leave(bytes: Buffer, start: number, end: number): void {
    const type = this.#type
    const [answered] = this.#expected
    this.#type = 0
    if (this.#shown) {
      if (type === readyForQuery) this.#expected.shift()
      return
    }
    if (type === errorResponse) this.#error = errorFields(bytes.subarray(start, end))
    else if (type === dataRow) this.#value = firstColumn(bytes, start, end)
    else if (type === commandComplete) {
      if (end - start === setTag.length && setTag.equals(bytes.subarray(start, end))) this.#reader.forgetSet()
    } else if (type === readyForQuery) {
      const answer = { error: this.#error, value: this.#value, status: statusOf(bytes[start]) }
      this.#error = this.#value = undefined
      this.#expected.shift()
      answered?.(answer)
    }
  }
}

const setTag = Buffer.from('SET\0', 'latin1')

/** A count of columns, and before each its length. */
function firstColumn(bytes: Buffer, start: number, end: number): string | null | undefined {
  if (end - start < 6) return undefined
  const length = bytes.readInt32BE(start + 2)
  return length < 0 ? null : bytes.toString('utf8', start + 6, Math.min(end, start + 6 + length))
}
