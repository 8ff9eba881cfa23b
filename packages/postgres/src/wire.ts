// What passes over the wire, as far as we look at it ourselves: where a session stands (ReadyForQuery), what it has done
// that lasts (the tags in CommandComplete), how to cancel it (BackendKeyData), why the server ended it (a FATAL
// ErrorResponse, which postgres.js swallows) and that it was in a deadlock (which postgres.js tells later). The reader watches beside postgres.js and owns nothing; the few messages we
// send on connections of our own are at the end.

import type { TransactionStatus } from '@moorings/core'

/** What CancelRequest needs to name a session. */
export interface BackendKey {
  readonly pid: number
  readonly secret: number
}

/** Why the server ended the session. The severity is the non-localised one where the server sends it (9.6 and later). */
export interface FatalError {
  readonly severity: 'FATAL' | 'PANIC'
  readonly code: string
  readonly message: string
}

/** Commands that may leave something on the session, by what they are answered with. */
export const tagged = { set: 1, reset: 2, listen: 4, declare: 8, prepare: 16, load: 32, block: 64 } as const

const tags: ReadonlyMap<string, number> = new Map([
  ['SET', tagged.set],
  ['RESET', tagged.reset],
  ['LISTEN', tagged.listen],
  ['DECLARE CURSOR', tagged.declare],
  ['PREPARE', tagged.prepare],
  ['DEALLOCATE', tagged.prepare],
  ['DEALLOCATE ALL', tagged.prepare],
  ['DISCARD ALL', tagged.prepare],
  ['LOAD', tagged.load],
  ['DO', tagged.block],
])
const longestTag = 'DEALLOCATE ALL'.length

const header = 5
const backendKeyData = 75 // K
const commandComplete = 67 // C
const errorResponse = 69 // E
const bindComplete = 50 // 2
const readyForQuery = 90 // Z

const deadlockDetected = '40P01'

// Nothing we read is longer in earnest: severity, code and message come first in an ErrorResponse. It also keeps a
// server that announces a message of a gigabyte from making us allocate one.
const maxKept = 64 * 1024

/**
 * Follows the messages a server sends, given the chunks as they come, however they are cut.
 *
 * Every message is skipped by its length; only four kinds are looked into, so a large result costs a few additions a
 * row. A chunk is never kept. After a length no message can have, the stream cannot be followed any more, and what
 * was seen until then stays.
 */
export class BackendReader {
  #received = 0
  #transactionStatus: TransactionStatus = 'idle'
  #readyCount = 0
  #backendKey: BackendKey | undefined
  #fatal: FatalError | undefined
  #deadlocks = 0
  #tags = 0
  #sets = 0
  #bound = 0
  #completed = 0

  /** Bytes of the current message's body still to come; -1 once the stream cannot be followed. */
  #remaining = 0
  /** A header cut by the end of a chunk. */
  readonly #partialHeader = Buffer.alloc(header)
  #partialLength = 0
  /** The body of a message worth reading that is cut by the end of a chunk. */
  #type = 0
  #kept: Buffer | undefined
  #keptLength = 0

  /** Bytes. */
  get received(): number {
    return this.#received
  }

  /** From the last ReadyForQuery; `idle` before the first. */
  get transactionStatus(): TransactionStatus {
    return this.#transactionStatus
  }

  /** How many times the server said it was ready. */
  get readyCount(): number {
    return this.#readyCount
  }

  get backendKey(): BackendKey | undefined {
    return this.#backendKey
  }

  /** The last ErrorResponse that was FATAL or PANIC. */
  get fatal(): FatalError | undefined {
    return this.#fatal
  }

  /** How many times the server ended a statement to end a deadlock. It may take a while to be ready again. */
  get deadlocks(): number {
    return this.#deadlocks
  }

  /** How many statements the server has taken the parameters of: what it refuses before that, it has not begun. */
  get bound(): number {
    return this.#bound
  }

  /** How many statements it has carried out to their end. One on its own is committed after that. */
  get completed(): number {
    return this.#completed
  }

  /** Those of {@link tagged} that were seen since `forgetTags`, also in statements that failed later. */
  get tags(): number {
    return this.#tags
  }

  /** How many times SET was among them. */
  get sets(): number {
    return this.#sets
  }

  forgetTags(): void {
    this.#tags = 0
    this.#sets = 0
  }

  /** One of the SETs was nobody's statement. */
  forgetSet(): void {
    this.#sets--
  }

  /** Bytes of the message under way that are still to come; negative when the stream cannot be followed. */
  get remaining(): number {
    return this.#remaining
  }

  /** What there is of a header that was cut. */
  get partialHeader(): Buffer {
    return this.#partialHeader.subarray(0, this.#partialLength)
  }

  push(chunk: Buffer): void {
    this.#received += chunk.length
    let offset = 0
    if (this.#remaining !== 0) {
      if (this.#remaining < 0) return
      offset = this.#continueBody(chunk)
      if (this.#remaining > 0) return
    }
    if (this.#partialLength > 0) {
      offset = this.#continueHeader(chunk, offset)
      if (this.#remaining !== 0) return
    }

    const end = chunk.length
    while (end - offset >= header) {
      const bodyLength = bodyLengthAt(chunk, offset + 1)
      if (bodyLength < 0) {
        this.#giveUp()
        return
      }
      const type = chunk.readUInt8(offset)
      offset += header
      if (bodyLength > end - offset) {
        this.#startBody(type, bodyLength, chunk, offset)
        return
      }
      if (isTelling(type)) this.#look(type, chunk, offset, offset + bodyLength)
      offset += bodyLength
    }
    if (offset < end) this.#partialLength = chunk.copy(this.#partialHeader, 0, offset)
  }

  /** Completes a cut header from the chunk, and enters its message; returns the offset of what comes after. */
  #continueHeader(chunk: Buffer, start: number): number {
    const taken = chunk.copy(this.#partialHeader, this.#partialLength, start, start + header - this.#partialLength)
    this.#partialLength += taken
    let offset = start + taken
    if (this.#partialLength < header) return offset
    this.#partialLength = 0

    const type = this.#partialHeader.readUInt8(0)
    const bodyLength = bodyLengthAt(this.#partialHeader, 1)
    if (bodyLength < 0) this.#giveUp()
    else if (bodyLength > chunk.length - offset) this.#startBody(type, bodyLength, chunk, offset)
    else {
      this.#look(type, chunk, offset, offset + bodyLength)
      offset += bodyLength
    }
    return offset
  }

  #startBody(type: number, bodyLength: number, chunk: Buffer, offset: number): void {
    this.#remaining = bodyLength - (chunk.length - offset)
    if (!isTelling(type)) return
    this.#type = type
    this.#kept = Buffer.alloc(Math.min(bodyLength, maxKept))
    this.#keptLength = chunk.copy(this.#kept, 0, offset)
  }

  #continueBody(chunk: Buffer): number {
    const taken = Math.min(this.#remaining, chunk.length)
    const kept = this.#kept
    if (kept !== undefined) this.#keptLength += chunk.copy(kept, this.#keptLength, 0, taken)
    this.#remaining -= taken
    if (this.#remaining === 0 && kept !== undefined) {
      this.#kept = undefined
      this.#look(this.#type, kept, 0, this.#keptLength)
    }
    return taken
  }

  #look(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === bindComplete) this.#bound++
    else if (type === commandComplete) {
      this.#completed++
      this.#noteTag(bytes, start, end)
    } else if (type === readyForQuery && end - start >= 1) {
      this.#readyCount++
      this.#transactionStatus = statusOf(bytes[start])
    } else if (type === errorResponse) {
      const fields = fieldsIn(bytes, start, end)
      this.#fatal = fatalIn(fields) ?? this.#fatal
      if (fields.get('C') === deadlockDetected) this.#deadlocks++
    } else if (type === backendKeyData && end - start >= 8) {
      this.#backendKey = { pid: bytes.readUInt32BE(start), secret: bytes.readUInt32BE(start + 4) }
    }
  }

  /** Nothing is allocated for a tag that comes with every other statement. */
  #noteTag(bytes: Buffer, start: number, end: number): void {
    const first = bytes[start]
    if (first !== 83 && first !== 68 && first !== 76 && first !== 80 && first !== 82) return // S, D, L, P, R
    // SELECT, DELETE. The last byte is a zero.
    if (bytes[start + 2] === 76 || end - start - 1 > longestTag) return
    const tag = tags.get(bytes.toString('latin1', start, end - 1))
    if (tag === undefined) return
    this.#tags |= tag
    if (tag === tagged.set) this.#sets++
  }

  #giveUp(): void {
    this.#remaining = -1
  }
}

function isTelling(type: number): boolean {
  return (
    type === commandComplete ||
    type === readyForQuery ||
    type === bindComplete ||
    type === errorResponse ||
    type === backendKeyData
  )
}

/** A message's length counts itself but not its type. Negative when no message can have it. */
function bodyLengthAt(bytes: Buffer, offset: number): number {
  return bytes.readInt32BE(offset) - 4
}

/** A session's status as ReadyForQuery says it. */
export function statusOf(byte: number | undefined): TransactionStatus {
  return byte === 84 ? 'open' : byte === 69 ? 'failed' : 'idle' // T, E, I
}

/** The fields of an ErrorResponse: a byte that says which, a string, a zero; a zero after the last. */
function fieldsIn(bytes: Buffer, start: number, end: number): Map<string, string> {
  const fields = new Map<string, string>()
  let offset = start
  while (offset < end && bytes[offset] !== 0) {
    const zero = bytes.indexOf(0, offset)
    const stop = zero === -1 || zero > end ? end : zero
    fields.set(bytes.toString('latin1', offset, offset + 1), bytes.toString('utf8', offset + 1, stop))
    offset = stop + 1
  }
  return fields
}

function fatalIn(fields: ReadonlyMap<string, string>): FatalError | undefined {
  const severity = fields.get('V') ?? fields.get('S')
  if (severity !== 'FATAL' && severity !== 'PANIC') return undefined
  return { severity, code: fields.get('C') ?? '', message: fields.get('M') ?? '' }
}

/** By the names that postgres.js gives them. */
const fieldNames: readonly (readonly [string, string])[] = [
  ['S', 'severity_local'],
  ['V', 'severity'],
  ['C', 'code'],
  ['M', 'message'],
  ['D', 'detail'],
  ['H', 'hint'],
  ['P', 'position'],
  ['W', 'where'],
  ['F', 'file'],
  ['L', 'line'],
  ['R', 'routine'],
]

/** What the body of an ErrorResponse says. */
export function errorFields(body: Buffer): Record<string, string> {
  const fields = fieldsIn(body, 0, body.length)
  const named: Record<string, string> = {}
  for (const [letter, name] of fieldNames) {
    const field = fields.get(letter)
    if (field !== undefined) named[name] = field
  }
  return named
}

/** Query: statements to be carried out at once, as one text. */
export function simpleQuery(text: string): Buffer {
  const length = Buffer.byteLength(text) + 1
  const message = Buffer.alloc(header + length)
  message.writeUInt8(81, 0) // Q
  message.writeInt32BE(4 + length, 1)
  message.write(text, header)
  return message
}

/** Asks the server to stop what the named session is doing. Sent first, on a connection of its own. */
export function cancelRequest(pid: number, secret: number): Buffer {
  const message = Buffer.alloc(16)
  message.writeInt32BE(16, 0)
  message.writeInt32BE(80877102, 4)
  message.writeUInt32BE(pid >>> 0, 8)
  message.writeUInt32BE(secret >>> 0, 12)
  return message
}

/** Asks whether the server speaks TLS: it answers with one byte, `S` or `N`. */
export function sslRequest(): Buffer {
  const message = Buffer.alloc(8)
  message.writeInt32BE(8, 0)
  message.writeInt32BE(80877103, 4)
  return message
}
