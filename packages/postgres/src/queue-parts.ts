// What a connection's queue of statements, and the rooms around it, are made of.

import type { Completion, Deadlines, DeadlockError, ErrorSite, MooringsError } from '@moorings/core'
import type { ArrayTypes } from './array-types.js'
import type { Asides } from './aside.js'
import type { LibraryOptions, LibraryStatement } from './library.js'
import type { LibrarySocket } from './library-socket.js'
import type { Repeats } from './repeats.js'
import type { Route } from './route.js'
import type { SessionMarks } from './session-state.js'
import type { BackendReader } from './wire.js'

/** What the queue needs of its connection. */
export interface QueueOwner {
  readonly lost: MooringsError | undefined
  classify(error: unknown, at: ErrorSite): MooringsError
  cancel(signal: AbortSignal): Promise<void>
  /** The server has ended a statement to end a deadlock; nobody has heard of it yet. */
  deadlocked(error: DeadlockError, text: string): void
  destroy(reason: MooringsError): void
  /** Why a statement is not to be sent, if it is not. */
  refusalOf(query: LibraryStatement): MooringsError | undefined
  /** Whether it is the server itself that answers, and no pooler. */
  readonly direct: boolean
  /** Whether what is prepared by its name is found again. */
  readonly keepsPrepared: boolean
  /** A statement that was prepared before was not found again, and is prepared anew. */
  unprepared(error: unknown): void
  /** Reads on from a socket that was paused for a COPY whose stream is gone. */
  resume(): void
}

export interface QueueParts {
  readonly reader: BackendReader
  /** The connection's socket, as the library has it. */
  readonly librarySocket: LibrarySocket
  readonly asides: Asides
  readonly marks: SessionMarks
  readonly arrays: ArrayTypes
  readonly deadlines: Deadlines
  /** The options of the instance that sends: it reads its serializers from there for every statement. */
  readonly library: LibraryOptions
  /** As a method: an instance's own is typed for a Query, of which it uses what a statement has. */
  send(query: LibraryStatement): void
  readonly route: Pick<Route, 'keepsPrepared'>
  /** Of all connections of the driver. */
  readonly repeats: Repeats
  readonly timeoutMs: number
  readonly cancelTimeoutMs: number
  /** Adds to the error of a violated constraint what is known of that. It may take a while; it never rejects. */
  readonly complete?: (error: unknown, completion: Completion) => Promise<void> | undefined
  /** Ends the wait for that, with what is known by then. */
  readonly hurry?: (error: object) => void
}
