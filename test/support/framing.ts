// Cuts PostgreSQL's byte stream into messages, however TCP splits and joins them.
// https://www.postgresql.org/docs/current/protocol-message-formats.html

import { messageNames, untypedNames } from './message-names.js'

export type Direction = 'to-server' | 'to-client'

export interface Message {
  direction: Direction
  /** As the PostgreSQL manual calls it: `Query`, `Bind`, `CommandComplete`, …; the bare type byte when it is unknown. */
  name: string
  /** On the wire, with type byte and length. */
  length: number
  /** The beginning of what follows the length: all of it up to `headLimit`. */
  head: Buffer
}

/** A part of the stream, to be forwarded as it is. A long message comes in several, all with the same `message`. */
export interface Piece {
  data: Buffer
  /** `undefined` for bytes that are not ours to read: TLS. */
  message: Message | undefined
  first: boolean
  last: boolean
}

/** A message is held back until it is complete, or until this much of it is there; the rest streams through. */
export const headLimit = 64 * 1024

// "untyped": the packets that open a connection have a length but no type byte. "answer": the one byte that answers an
// SSLRequest. "opaque": TLS has begun.
type Mode = 'untyped' | 'typed' | 'answer' | 'opaque'

const tlsHandshake = 0x16

export class Framer {
  readonly #direction: Direction
  #mode: Mode
  #pending: Buffer = Buffer.alloc(0)
  #current: Message | undefined
  #remaining = 0

  constructor(direction: Direction) {
    this.#direction = direction
    this.#mode = direction === 'to-server' ? 'untyped' : 'typed'
  }

  /** For the server's stream: the next byte answers a request for encryption. */
  expectEncryptionAnswer(): void {
    this.#mode = 'answer'
  }

  /** What follows is encrypted. */
  becomeOpaque(): void {
    this.#mode = 'opaque'
  }

  /** Yields one at a time, as the reader of one piece may change what the following bytes mean. */
  *push(chunk: Buffer): Generator<Piece, void> {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    for (let piece = this.#next(); piece; piece = this.#next()) yield piece
  }

  #next(): Piece | undefined {
    if (this.#pending.length === 0) return undefined
    if (this.#current) return this.#continue(this.#current)
    if (this.#mode === 'answer') return this.#encryptionAnswer()
    if (this.#mode === 'untyped' && this.#pending[0] === tlsHandshake) this.#mode = 'opaque'
    if (this.#mode === 'opaque')
      return { data: this.#take(this.#pending.length), message: undefined, first: true, last: true }
    return this.#begin()
  }

  #begin(): Piece | undefined {
    const typeBytes = this.#mode === 'typed' ? 1 : 0
    const headerBytes = typeBytes + 4
    if (this.#pending.length < headerBytes) return undefined
    const length = typeBytes + this.#pending.readUInt32BE(typeBytes)
    if (length < headerBytes) {
      // Not the protocol; whoever gets it shall say so.
      this.#mode = 'opaque'
      return this.#next()
    }
    const held = Math.min(length, headerBytes + headLimit)
    if (this.#pending.length < held) return undefined
    const typeByte = this.#pending[0] ?? 0
    const data = this.#take(held)
    const head = data.subarray(headerBytes)
    const name =
      typeBytes === 1
        ? (messageNames[this.#direction][String.fromCharCode(typeByte)] ?? String.fromCharCode(typeByte))
        : untypedName(head)
    if (name === 'StartupMessage') this.#mode = 'typed'
    const message = { direction: this.#direction, name, length, head }
    this.#remaining = length - held
    if (this.#remaining > 0) this.#current = message
    return { data, message, first: true, last: this.#remaining === 0 }
  }

  #continue(message: Message): Piece {
    const data = this.#take(Math.min(this.#remaining, this.#pending.length))
    this.#remaining -= data.length
    if (this.#remaining === 0) this.#current = undefined
    return { data, message, first: false, last: this.#remaining === 0 }
  }

  #encryptionAnswer(): Piece | undefined {
    this.#mode = 'typed'
    // A server that knows nothing of encryption answers with an ErrorResponse.
    if (this.#pending[0] === 'E'.charCodeAt(0)) return this.#begin()
    const data = this.#take(1)
    const message = { direction: this.#direction, name: 'EncryptionAnswer', length: 1, head: data }
    return { data, message, first: true, last: true }
  }

  #take(length: number): Buffer {
    const data = this.#pending.subarray(0, length)
    this.#pending = this.#pending.subarray(length)
    return data
  }
}

function untypedName(head: Buffer): string {
  return (head.length >= 4 && untypedNames[head.readUInt32BE(0)]) || 'StartupMessage'
}
