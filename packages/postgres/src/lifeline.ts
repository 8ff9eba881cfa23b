// When and why a connection is gone: found lost, destroyed, or closed with a goodbye. It is known here before anything
// in flight on it rejects.

import type { Duplex } from 'node:stream'
import { ConnectionLostError, type Endpoint, type MooringsError } from '@moorings/core'
import { describeEndpoint } from './options.js'
import type { BackendReader } from './wire.js'

export class Lifeline {
  readonly #socket: Duplex
  readonly #reader: BackendReader
  readonly #endpoint: Endpoint
  #lost: MooringsError | undefined
  #onLost: ((reason: MooringsError, how: 'lost' | 'destroyed') => void) | undefined

  /** To be made before the library listens to the socket. */
  constructor(socket: Duplex, reader: BackendReader, endpoint: Endpoint) {
    this.#socket = socket
    this.#reader = reader
    this.#endpoint = endpoint
    socket.prependListener('error', (error) => this.lose(error))
    socket.prependListener('end', () => this.lose(undefined))
    socket.prependListener('close', () => this.lose(undefined))
  }

  /** Undefined while it lives. */
  get lost(): MooringsError | undefined {
    return this.#lost
  }

  onLost(listener: (reason: MooringsError, how: 'lost' | 'destroyed') => void): void {
    this.#onLost = listener
    if (this.#lost !== undefined) listener(this.#lost, 'lost')
  }

  async close(signal: AbortSignal): Promise<void> {
    const socket = this.#socket
    if (this.#lost !== undefined || socket.destroyed) return
    this.#fence(new ConnectionLostError('The pool has closed this connection'))
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve())
      signal.addEventListener('abort', () => socket.destroy(), { once: true })
      // Terminate: the server closes its side, and no error is left in its log.
      socket.end(Buffer.from([0x58, 0, 0, 0, 4]))
    })
  }

  destroy(reason: MooringsError): void {
    this.#fence(reason)
    this.#socket.destroy()
  }

  /** It was found gone. What the server said last says more than the socket's own error. */
  lose(error: Error | undefined): void {
    if (this.#lost !== undefined) return
    const { fatal } = this.#reader
    const at = describeEndpoint(this.#endpoint)
    this.#fence(
      fatal === undefined
        ? new ConnectionLostError(
            `The connection to ${at} was lost${error === undefined ? ': closed by the server' : `: ${error.message}`}`,
            { code: codeOf(error), cause: error },
          )
        : new ConnectionLostError(`The server ended the connection: ${fatal.message}`, {
            code: fatal.code,
            cause: error,
          }),
      'lost',
    )
    this.#socket.destroy()
  }

  #fence(reason: MooringsError, how: 'lost' | 'destroyed' = 'destroyed'): void {
    if (this.#lost !== undefined) return
    this.#lost = reason
    this.#onLost?.(reason, how)
  }
}

function codeOf(error: Error | undefined): string | undefined {
  return error !== undefined && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
