// The socket as postgres.js has it. What the server sends passes through our hands first, so that the answers to what we
// send beside the library can be taken out (aside.ts), and what it writes leaves with that in one piece; all else is the
// socket's own.

import type { Duplex } from 'node:stream'

type Listener = (...args: unknown[]) => void

export class LibrarySocket {
  readonly #socket: Duplex
  #data: ((chunk: Buffer) => void) | undefined
  #written = 0
  /** To leave with what the library writes next. */
  #ahead: Buffer[] = []
  #behind: Buffer[] = []
  #flushing = false
  readonly #flush = (): void => {
    this.#flushing = false
    if (this.#beside && this.#socket.writable) this.#socket.write(this.#together())
  }

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** Bytes the library has written that may have left. */
  get written(): number {
    return this.#written
  }

  /** Whether the library does not read on for now: whoever reads the data of a COPY is slow. */
  get paused(): boolean {
    return this.#socket.readableFlowing === false
  }

  /** Gives the library what the server has sent. */
  deliver(chunk: Buffer): void {
    this.#data?.(chunk)
  }

  /** Leaves in front of what the library writes next, in one write with it. */
  ahead(message: Buffer): void {
    this.#ahead.push(message)
  }

  /** Leaves behind what the library was given last. */
  behind(message: Buffer): void {
    this.#behind.push(message)
  }

  /**
   * To be called when the library was given what it is to write: it keeps short messages back until an immediate, which comes
   * before ours. What is left then leaves by itself.
   */
  flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    setImmediate(this.#flush)
  }

  get #beside(): boolean {
    return this.#ahead.length + this.#behind.length > 0
  }

  #together(...chunk: Buffer[]): Buffer {
    const whole = Buffer.concat([...this.#ahead, ...chunk, ...this.#behind])
    this.#ahead = []
    this.#behind = []
    return whole
  }

  // --- what the library asks of a socket ---

  get readyState(): unknown {
    return 'readyState' in this.#socket ? this.#socket.readyState : undefined
  }

  on(event: string, listener: Listener): this {
    if (event === 'data') {
      this.#data = listener
      // As a listener of the socket's own would have it.
      this.#socket.resume()
    } else this.#socket.on(event, listener)
    return this
  }

  once(event: string, listener: Listener): this {
    this.#socket.once(event, listener)
    return this
  }

  removeListener(event: string, listener: Listener): this {
    if (event === 'data') this.#data = undefined
    else this.#socket.removeListener(event, listener)
    return this
  }

  /** Asked for when the socket has closed. */
  removeAllListeners(): this {
    this.#data = undefined
    this.#socket.removeAllListeners()
    return this
  }

  write(chunk: Buffer, written?: (error: Error | null | undefined) => void): boolean {
    // Nothing leaves through one that is destroyed.
    if (this.#socket.destroyed !== true) this.#written += chunk.length
    return this.#socket.write(this.#beside ? this.#together(chunk) : chunk, written)
  }

  end(chunk: Buffer): void {
    this.#written += chunk.length
    this.#socket.end(chunk)
  }

  destroy(error?: Error): void {
    this.#socket.destroy(error)
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }
}
