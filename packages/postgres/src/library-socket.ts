// The socket as postgres.js has it. What the server sends passes through our hands first, so that the answers to what we
// send beside the library can be taken out (aside.ts); all else is the socket's own.

import type { Duplex } from 'node:stream'

type Listener = (...args: unknown[]) => void

export class LibrarySocket {
  readonly #socket: Duplex
  #data: ((chunk: Buffer) => void) | undefined
  #written = 0

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
    return this.#socket.write(chunk, written)
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
