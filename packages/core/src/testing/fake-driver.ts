// A driver to nowhere: every connect succeeds at once, unless a test holds it and decides its outcome.

import type { ConstraintFacts } from '../constraints/facts.js'
import type {
  CommitOutcome,
  CommitTicket,
  ConnectRequest,
  Credentials,
  Driver,
  Endpoint,
  ErrorSite,
  LogPosition,
  NamedConstraint,
  Role,
  Target,
  ViolationDetail,
  WorkAsking,
  WorkReport,
  WorkState,
} from '../driver.js'
import {
  ConnectError,
  type ConstraintSite,
  type ConstraintViolationError,
  isMooringsError,
  type MooringsError,
  StatementError,
} from '../errors.js'
import { type Answer, FakeConnection, type Operation, usual } from './fake-connection.js'

/** One connect, held until the test says what becomes of it. */
export interface FakeAttempt {
  readonly request: ConnectRequest
  readonly state: 'pending' | 'succeeded' | 'failed'
  /** The connection arrives, also after the signal has fired. */
  succeed(): FakeConnection
  fail(error?: MooringsError): void
}

/**
 * How connects are answered: at once, or by the test. An `obedient` driver rejects a held connect as soon as its signal
 * fires; one that is `deaf` does not hear it. A function decides for each.
 */
export type ConnectAnswer = 'ok' | 'obedient' | 'deaf' | MooringsError | ((attempt: FakeAttempt) => void)

/** What was asked about work under way, at one time. */
export interface FakeWorkQuestion {
  readonly ids: readonly number[]
  readonly credentials: Credentials | undefined
  /** Whose sessions were ended; undefined while it goes on. */
  ended: readonly number[] | undefined
}

/** More connects than any test has a use for. The next ones are not answered: a storm of them ends, and can be seen. */
export const STORM = 10_000

export class FakeDriver implements Driver<FakeConnection> {
  readonly system = 'postgresql'
  usualSchema?: string
  /** Every connect there was, oldest first. */
  readonly attempts: FakeAttempt[] = []
  /** Every connection there was, oldest first. */
  readonly connections: FakeConnection[] = []
  /** How connects from now on are answered. */
  connects: ConnectAnswer = 'ok'
  /** Where it may connect to: to be set before a pool is made on it. */
  endpoints: readonly Endpoint[] = [usual]
  target: Target = 'any'
  /** Where connections that arrive from now on lead to, wherever they were asked to; there when undefined. */
  endpoint: Endpoint | undefined
  /** What servers show from now on, by host; the others are primaries. */
  readonly roles = new Map<string, Role>()
  /** What is answered when it is asked what became of a transaction, in turn: an error is thrown. Then `unknown`. */
  readonly outcomes: (CommitOutcome | Error)[] = []
  /** The transactions it was asked about. */
  readonly asked: string[] = []
  /** What its catalogue has, by the constraint's name, or the column's; an error is thrown. */
  readonly catalogue = new Map<string, ConstraintFacts | Error>()
  /** All that its catalogue names. */
  readonly named: NamedConstraint[] = []
  /** The names among which it was asked for those. */
  readonly namesAsked: (readonly string[] | undefined)[] = []
  /** The constraints it was asked about, and through which connection; a statement is sent for each. */
  readonly lookups: { readonly site: ConstraintSite; readonly connection: FakeConnection }[] = []
  /** What every violation's own words tell. */
  detail: ViolationDetail | undefined
  /** Where its log is, as it says when asked. An error is thrown; a statement is sent for each question. */
  log: LogPosition | Error = 'unknown'
  /** The questions about work under way there were, oldest first. */
  readonly questions: FakeWorkQuestion[] = []
  /** What the server does for a connection, or when that is known: `working`, unless a test says otherwise. */
  works: (connection: FakeConnection, signal: AbortSignal) => WorkState | Promise<WorkState> = () => 'working'
  readonly #answers = new Map<Operation, Answer>()
  readonly #now: () => number

  constructor(now: () => number = () => 0) {
    this.#now = now
  }

  /** Answers every call of an operation on connections made from now on. */
  always(operation: Operation, answer: Answer): void {
    this.#answers.set(operation, answer)
  }

  get pending(): FakeAttempt[] {
    return this.attempts.filter(({ state }) => state === 'pending')
  }

  /** Connections whose socket exists. */
  get open(): FakeConnection[] {
    return this.connections.filter(({ open }) => open)
  }

  connection(id: number): FakeConnection {
    const found = this.connections[id - 1]
    if (found === undefined) throw new Error(`there is no connection ${id}: ${this.connections.length} were made`)
    return found
  }

  attempt(number: number): FakeAttempt {
    const found = this.attempts[number - 1]
    if (found === undefined) throw new Error(`there is no attempt ${number}: ${this.attempts.length} were made`)
    return found
  }

  connect(request: ConnectRequest): Promise<FakeConnection> {
    const answer = this.connects
    return new Promise((resolve, reject) => {
      const attempt = new Attempt(
        request,
        () => {
          const connection = this.#make(request)
          resolve(connection)
          return connection
        },
        reject,
      )
      this.attempts.push(attempt)
      if (this.attempts.length > STORM) return
      if (answer === 'ok') attempt.succeed()
      else if (answer === 'obedient') {
        request.signal.addEventListener('abort', () => attempt.fail(refusal('aborted')), { once: true })
      } else if (typeof answer === 'function') answer(attempt)
      else if (answer !== 'deaf') attempt.fail(answer)
    })
  }

  classify(error: unknown, at: ErrorSite): MooringsError {
    if (isMooringsError(error)) return error
    const message = error instanceof Error ? error.message : String(error)
    const options = { cause: error, code: codeOf(error) }
    return at === 'connect' ? new ConnectError(message, options) : new StatementError(message, options)
  }

  async outcomeOf(
    { transactionId }: CommitTicket,
    _connection: FakeConnection,
    _signal: AbortSignal,
  ): Promise<CommitOutcome> {
    this.asked.push(transactionId)
    const outcome = this.outcomes.shift() ?? 'unknown'
    if (outcome instanceof Error) throw outcome
    return outcome
  }

  async constraintsOf(
    site: ConstraintSite,
    connection: FakeConnection,
    _signal: AbortSignal,
  ): Promise<readonly ConstraintFacts[]> {
    this.lookups.push({ site, connection })
    await connection.statement('catalogue')
    return [...this.catalogue.values()].flatMap((facts) => {
      if (facts instanceof Error) throw facts
      return facts.schema === site.schema && facts.table === site.table ? [facts] : []
    })
  }

  async namedConstraints(
    connection: FakeConnection,
    _signal: AbortSignal,
    among?: readonly string[],
  ): Promise<readonly NamedConstraint[]> {
    this.namesAsked.push(among)
    await connection.statement('catalogue')
    return this.named.filter(({ name }) => among === undefined || among.includes(name))
  }

  async worksOn(
    connections: readonly FakeConnection[],
    { signal, credentials }: WorkAsking,
  ): Promise<WorkReport<FakeConnection>> {
    const question: FakeWorkQuestion = { ids: connections.map(({ id }) => id), credentials, ended: undefined }
    this.questions.push(question)
    return {
      states: await Promise.all(connections.map(async (connection) => this.works(connection, signal))),
      async finish(givenUp) {
        if (question.ended !== undefined) throw new Error('the question is over already')
        question.ended = givenUp.map(({ id }) => id)
      },
    }
  }

  async logPosition(connection: FakeConnection, _signal: AbortSignal): Promise<LogPosition> {
    await connection.statement('log')
    if (this.log instanceof Error) throw this.log
    return this.log
  }

  standbyCan(text: string): boolean {
    return text.startsWith('select')
  }

  detailOf(_error: ConstraintViolationError): ViolationDetail | undefined {
    return this.detail
  }

  #make({ epoch, endpoint: asked }: ConnectRequest): FakeConnection {
    const endpoint = this.endpoint ?? asked
    const connection = new FakeConnection({
      id: this.connections.length + 1,
      epoch,
      answers: this.#answers,
      now: this.#now,
      endpoint,
      role: this.roles.get(endpoint.host),
    })
    this.connections.push(connection)
    return connection
  }
}

/** A database that is not there. */
export function refusal(message = 'connect ECONNREFUSED db.test:5432'): ConnectError {
  return new ConnectError(message, { code: 'ECONNREFUSED', endpoint: 'db.test:5432' })
}

class Attempt implements FakeAttempt {
  readonly request: ConnectRequest
  state: 'pending' | 'succeeded' | 'failed' = 'pending'
  readonly #arrive: () => FakeConnection
  readonly #refuse: (error: MooringsError) => void

  constructor(request: ConnectRequest, arrive: () => FakeConnection, refuse: (error: MooringsError) => void) {
    this.request = request
    this.#arrive = arrive
    this.#refuse = refuse
  }

  succeed(): FakeConnection {
    if (this.state !== 'pending') throw new Error(`this connect has ${this.state} already`)
    this.state = 'succeeded'
    return this.#arrive()
  }

  fail(error: MooringsError = refusal()): void {
    if (this.state !== 'pending') return
    this.state = 'failed'
    this.#refuse(error)
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
