// What core needs from a database. A driver makes one physical connection at a time and never pools, reconnects or
// retries: those belong to the pool above it.

import type { ConstraintFacts } from './constraints/facts.js'
import type { ConstraintSite, ConstraintViolationError, MooringsError } from './errors.js'

/** Where a connection leads. */
export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** What a server lets one do. `read-only`: a primary that refuses writes unless a session says otherwise. */
export type Role = 'primary' | 'read-only' | 'standby'

/**
 * Which servers will do, as libpq's `target_session_attrs` has it.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-TARGET-SESSION-ATTRS
 *
 * - `any`: whichever answers
 * - `read-write`: one that takes writes
 * - `read-only`: one that does not
 * - `primary`, `standby`
 * - `prefer-standby`: a standby, or whichever there is when there is none
 */
export type Target = 'any' | 'read-write' | 'read-only' | 'primary' | 'standby' | 'prefer-standby'

export interface ConnectRequest {
  /** Aborted when the connect's deadline passes or the pool closes; the attempt must release everything. */
  readonly signal: AbortSignal
  /** The pool's generation when this connect started. */
  readonly epoch: number
  /** One of the driver's. */
  readonly endpoint: Endpoint
  /** Instead of those it was made with: the `beforeConnect` hook's. */
  readonly credentials?: Credentials | undefined
}

/** As whom to connect. What is not given stays as it was configured. */
export interface Credentials {
  readonly user?: string | undefined
  readonly password?: string | undefined
}

/** Where an error came up: the same code can mean something else there. */
export type ErrorSite = 'connect' | 'statement' | 'commit'

export interface Driver<C extends Connection = Connection> {
  readonly system: 'postgresql' | 'mysql' | 'sqlite'
  /** Where connections may lead to, in the order of preference. One at least. */
  readonly endpoints: readonly Endpoint[]
  readonly target: Target
  /** One attempt at one endpoint. Where the target asks for a role, the connection knows it. Rejects with a MooringsError. */
  connect(request: ConnectRequest): Promise<C>
  classify(error: unknown, at: ErrorSite): MooringsError
  /**
   * What became of a transaction whose COMMIT was not answered, asked through another connection. It first ends what still
   * works on it. Absent where a server cannot tell.
   *
   * @returns `unknown` when this server can no longer say: it is another one, or it was too long ago
   * @throws when the question itself could not be answered, and may be asked again
   */
  outcomeOf?(ticket: CommitTicket, connection: C, signal: AbortSignal): Promise<CommitOutcome>
  /**
   * What the database knows of the constraints of a table, asked through another connection than the one it was violated
   * on; where there are too many, at least of the one at hand. One that says NOT NULL stands for all columns of the table:
   * without a name and columns, but with the table it is a partition of. Absent where a server cannot tell.
   *
   * @throws when the question itself could not be answered
   */
  constraintsOf?(site: ConstraintSite, connection: C, signal: AbortSignal): Promise<readonly ConstraintFacts[]>
  /**
   * The constraints of all tables and domains, those that say NOT NULL included. Absent where a server cannot tell.
   *
   * @param among only those of these names
   * @throws when the question itself could not be answered
   */
  namedConstraints?(connection: C, signal: AbortSignal, among?: readonly string[]): Promise<readonly NamedConstraint[]>
  /** The schema in which a table is that is named without one, unless somebody has seen to something else. */
  readonly usualSchema?: string
  /**
   * Whether the server still works on what these connections wait for: asked through a connection made for that, to where
   * they lead. All lead to one endpoint. Absent where a server cannot tell.
   *
   * @returns soon once the signal fires
   */
  worksOn?(connections: readonly C[], asking: WorkAsking): Promise<WorkReport<C>>
  /**
   * Where this server is in the log that a primary writes and its standbys replay: a number that grows. Of a standby, how far
   * what it shows has come. `unknown`: it has no such log, or cannot tell. Absent where no server can.
   *
   * @throws when the question itself could not be answered
   */
  logPosition?(connection: C, signal: AbortSignal): Promise<LogPosition>
  /** Whether a standby can carry a statement out, as far as its text tells. Absent where there are none. */
  standbyCan?(text: string): boolean
  /** What the server's own words about a violation tell for certain. Never throws. */
  detailOf?(error: ConstraintViolationError): ViolationDetail | undefined
}

export type LogPosition = bigint | 'unknown'

/** A constraint of a table or of a domain, as the database names it. */
export interface NamedConstraint {
  readonly kind: ConstraintFacts['kind']
  readonly schema: string
  readonly table: string | undefined
  readonly domain: string | undefined
  /** Of one that says NOT NULL its column's. */
  readonly name: string
  readonly isPartition: boolean
}

export interface WorkAsking {
  /** Fires when the time for all of it is over. */
  readonly signal: AbortSignal
  /** As in {@link ConnectRequest}. */
  readonly credentials: Credentials | undefined
}

export interface WorkReport<C extends Connection = Connection> {
  /** One for each connection, in their order: nothing but what is certain. */
  readonly states: readonly WorkState[]
  /**
   * To be called once. Ends what was made to ask, and first, on the server, the sessions of these connections: they were found
   * idle and are given up, but may hold locks. Never rejects.
   */
  finish(givenUp: readonly C[]): Promise<void>
}

/**
 * What a server does for a connection that waits for its answer.
 *
 * - `working`: it is at it, waits for a lock, writes what is read slowly; or what it sent or is sent is on its way
 * - `idle`: it has nothing to do for it. The statement has not reached it, or its answer was lost
 * - `gone`: it has no such session any more
 * - `unreachable`: nothing could be heard of it
 * - `unknown`: it, or a pooler in front of it, cannot tell
 */
export type WorkState = 'working' | 'idle' | 'gone' | 'unreachable' | 'unknown'

/** As told beside the message, which is meant for people. */
export interface ViolationDetail {
  /** Of the table that the constraint is on. */
  readonly columns?: readonly string[] | undefined
  /** What violated it: by column, as text. */
  readonly values?: Readonly<Record<string, string>> | undefined
}

/** Names a transaction to its server, also after its connection is gone. The rest is the driver's own. */
export interface CommitTicket {
  /** The server's name for it, for whoever reads the log. */
  readonly transactionId: string
}

export type CommitOutcome = 'committed' | 'rolled-back' | 'unknown'

/** `open`: inside a transaction. `failed`: inside one that only ROLLBACK can end. */
export type TransactionStatus = 'idle' | 'open' | 'failed'

export interface TransactionSettings {
  isolationLevel?: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable' | undefined
  accessMode?: 'read only' | 'read write' | undefined
  deferrable?: boolean | undefined
  /** Limit for each of its statements, kept by the server, in milliseconds. 0 = none. */
  statementTimeoutMs?: number | undefined
  /** How long each of its statements may wait for a lock, in milliseconds: then LockTimeoutError. 0 = no limit. */
  lockTimeoutMs?: number | undefined
  /** How long it may lie idle between two statements, in milliseconds: then the server ends the connection. 0 = no limit. */
  idleTimeoutMs?: number | undefined
  /** As whom it acts: SET LOCAL ROLE. */
  role?: string | undefined
  /** Settings of the server's or of your own, as `'app.tenant'`, for this transaction only. */
  settings?: Readonly<Record<string, string | number | boolean>> | undefined
}

export interface Statement {
  readonly text: string
  readonly values?: readonly unknown[]
  /** Keep it as a prepared statement on the connection. `repeated`: if it comes again and again. */
  readonly prepare?: boolean | 'repeated'
}

export interface ExecuteOptions {
  readonly signal?: AbortSignal | undefined
  /** Limit in milliseconds; 0 or undefined for none. The caller hears of it at once, the server is told to stop. */
  readonly timeoutMs?: number | undefined
}

export interface Result<Row = unknown> {
  readonly rows: Row[]
  /** The command tag without its numbers: `SELECT`, `INSERT`, `ROLLBACK`. */
  readonly command: string | undefined
  readonly count: number | undefined
}

/**
 * What a borrower can leave behind on a session that the next one would notice.
 *
 * - `settings`: SET outside of a transaction, also of the role
 * - `locks`: advisory locks of the session
 * - `temporary-tables`
 * - `listens`: LISTEN
 * - `cursors`: those declared WITH HOLD
 * - `other`: what cannot be undone one by one, as a prepared statement of the borrower's own; the connection is replaced
 */
export type SessionState = 'settings' | 'locks' | 'temporary-tables' | 'listens' | 'cursors' | 'other'

/** One physical connection to one endpoint. Once lost it is lost for good. */
export interface Connection {
  readonly id: number
  readonly endpoint: Endpoint
  /** As the server last showed it; undefined where that is not known. Read at every return: to be had without asking. */
  readonly role: Role | undefined
  /** Why it is gone; undefined while it lives. Set before anything in flight on it rejects. */
  readonly lost: MooringsError | undefined
  /** `cancelling`: the caller of the last statement has been told, but the server has not answered yet. */
  readonly activity: 'idle' | 'running' | 'cancelling'
  readonly transactionStatus: TransactionStatus
  /**
   * Since when it has waited for the server, by the pool's clock: when the statement under way was sent. Undefined while the
   * server owes nothing, or waits for us itself: for a cursor's reader, or for what a COPY carries.
   */
  readonly waitingSince: number | undefined
  /** Statements it was given so far. */
  readonly statements: number
  /** Whether another one would serve better, for what this one has gathered: it is closed when it is given back. */
  readonly worn?: boolean
  /**
   * What was left of the session since `reset` or `keepState`: `dirty` can be undone by `reset`, `spoilt` by nothing.
   * Read at every return: to be had without asking the server.
   */
  readonly sessionState: 'clean' | 'dirty' | 'spoilt'
  /**
   * Refuses where what one statement leaves on a session is not there for the next, as behind a pooler that lends a server's
   * sessions by the transaction. Absent where that cannot be.
   *
   * @throws PoolerError
   */
  assertSession?(): void
  /** Marks what a borrower leaves behind that the driver cannot see by itself: a function that takes a lock, say. */
  declare(left: SessionState): void
  /**
   * What is there now stays: because the session was set up so, and is to be undone and set up anew when a borrower
   * changes it; or because a single statement left it, which is nobody's to undo.
   */
  keepState(by: 'set-up' | 'statement'): void

  /** Values are mapped as the driver maps them by itself. */
  execute(statement: Statement, options?: ExecuteOptions): Promise<Result>
  /**
   * May travel with the statement that follows: then there is nothing to wait for, and what is wrong with it is that
   * statement's error. A transaction without any statement need not reach the server.
   *
   * @param traced whether `ticket` is to be known by the time of COMMIT
   */
  begin(settings?: TransactionSettings, traced?: boolean): void | Promise<void>
  /**
   * Of the transaction under way, or of the last one: what to ask for when its COMMIT is not answered. `'nothing'`: it has
   * written nothing so far. Undefined: not known.
   */
  readonly ticket: CommitTicket | 'nothing' | undefined
  /** Tells what the server answered: a failed transaction's COMMIT is answered by ROLLBACK. */
  commit(): Promise<'committed' | 'rolled-back'>
  rollback(): Promise<void>
  /**
   * This and `release` may travel with the statement that follows, or with COMMIT, as BEGIN does: then there is nothing to
   * wait for. One in which nothing was sent need not reach the server.
   */
  savepoint(name: string): void | Promise<void>
  rollbackTo(name: string): void | Promise<void>
  release(name: string): void | Promise<void>

  /** A round trip to the server. */
  ping(signal: AbortSignal): Promise<void>
  /** Fit for the next borrower: waits for a cancel under way, rolls back what is open, undoes what was left of the session. */
  reset(signal: AbortSignal): Promise<void>
  /** Asks the server, by other means than this connection, to stop what it is doing for it. Never rejects. */
  cancel(signal: AbortSignal): Promise<void>
  /** Rejects what is under way or waits with the reason, and has the server stop it: what it did is to be undone. */
  stop(reason: MooringsError): void
  /** Whether the process stays alive for it. */
  ref(): void
  unref(): void
  /** Says goodbye to the server and closes; destroys when the signal fires. Never rejects. */
  close(signal: AbortSignal): Promise<void>
  /** At once; whatever is in flight rejects with the reason. */
  destroy(reason: MooringsError): void
  /** Called once, synchronously, at the moment the connection is found gone, or `destroy` or `close` is called. */
  onLost(listener: (reason: MooringsError, how: 'lost' | 'destroyed') => void): void
}
