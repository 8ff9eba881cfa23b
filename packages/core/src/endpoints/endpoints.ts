// The servers that a pool's connections may lead to: where the next connect goes, which of them answer, and who is the
// primary as far as is known. Each has a breaker of its own.

import type { Breaker } from '../breaker/breaker.js'
import type { Clock } from '../clock.js'
import type { Deadlines } from '../deadlines.js'
import type { Connection, Credentials, Driver, Endpoint, Role } from '../driver.js'
import { endpointName } from '../endpoint-name.js'
import { CircuitOpenError, ConnectError, type MooringsError } from '../errors.js'
import { type PoolIdentity, publish } from '../events.js'
import { fitness, isSingular } from './fitness.js'
import { type Finding, Race } from './race.js'

/** A connect that takes longer than this, and than it usually does, is not waited for alone. */
const LATE_MS = 300
/** Nor is one that takes longer than this: the last may have been slow for having met a server that stood still. */
const LATEST_MS = 2_000
/** A search that takes longer hangs: one that answers by now would not answer what it was asked before. */
const SEARCH_MS = 800
/** Failures to connect count once in so long. */
const BLIP_MS = 1_000
/** How long a server may take over the goodbye of a connection that nobody needs. */
const DISMISS_MS = 1_000
/** One that goes on refusing writes is left for what may stand behind its name by now no more often than one that is down. */
const REFUSED_MS = 500

const never = Number.NEGATIVE_INFINITY

export interface EndpointsParts<C extends Connection> {
  readonly pool: PoolIdentity
  readonly driver: Driver<C>
  readonly deadlines: Deadlines
  readonly random: () => number
  readonly breaker: (name: string) => Breaker | undefined
  /** Another one is the primary now: what leads to the old one is of no use. */
  readonly moved: (from: Endpoint) => void
}

export interface Wanted {
  /** Ends it; a ConnectError when time was up. */
  readonly signal: AbortSignal
  readonly epoch: number
  readonly credentials: Credentials | undefined
}

/** One of them, and what is known of it. */
interface Place {
  readonly endpoint: Endpoint
  readonly name: string
  readonly breaker: Breaker | undefined
  /** As its newest connection showed it. */
  role: Role | undefined
  /** When it was last found to do. */
  foundAt: number
  /** Which of all finds that was. */
  found: number
  /** When a failure last counted. */
  failedAt: number
  /** When it was last left for having refused a write. */
  refusedAt: number
}

export class Endpoints<C extends Connection> {
  readonly #parts: EndpointsParts<C>
  readonly #clock: Clock
  readonly #places: readonly Place[]
  /** Where connects go first: the last that did. At first the first one; undefined while nobody knows. */
  #current: Place | undefined
  /** The last that was found to fit. */
  #holder: Place | undefined
  /** How often one was. */
  #finds = 0
  /** Connections that nobody needs, until they have said goodbye. */
  readonly #leaving = new Set<C>()
  #ended = false
  /** Somebody looks at all of them: once at a time is enough. */
  #searching = false
  /** When the last of those began. */
  #searchedAt = never
  #usualMs = 0

  constructor(parts: EndpointsParts<C>) {
    const { driver, deadlines, breaker } = parts
    this.#parts = parts
    this.#clock = deadlines.clock
    this.#places = driver.endpoints.map((endpoint) => {
      const name = endpointName(endpoint)
      const times = { foundAt: never, failedAt: never, refusedAt: never }
      return { endpoint, name, breaker: breaker(name), role: undefined, found: 0, ...times }
    })
    this.#current = this.#places[0]
  }

  /** Whether the last connect succeeded: then many may be made at once. */
  get certain(): boolean {
    return this.#current !== undefined
  }

  /** Why no connection is to be had for now: none of them is even to be asked. */
  get refusal(): CircuitOpenError | undefined {
    let refusal: CircuitOpenError | undefined
    for (const { breaker } of this.#places) {
      const error = breaker?.refusal
      if (error === undefined) return undefined
      refusal ??= error
    }
    return refusal
  }

  /**
   * A connection to one that will do.
   *
   * @throws ConnectError, CircuitOpenError, AuthenticationError; of several endpoints, what each of them said
   */
  async connect(wanted: Wanted): Promise<C> {
    const [only] = this.#places
    if (only !== undefined && this.#places.length === 1) {
      const found = await this.#look(only, wanted, wanted.signal)
      if ('failed' in found) throw found.failed
      return 'fits' in found ? found.fits : found.spare
    }
    return this.#search(wanted)
  }

  async #search(wanted: Wanted): Promise<C> {
    const current = this.#current
    let searches = false
    const race = new Race<Place, C>({
      ...this.#parts,
      others: () => {
        // Whoever has somewhere to go leaves the search to the one that is at it.
        const now = this.#clock.now()
        if (this.#searching && current !== undefined && now - this.#searchedAt < SEARCH_MS) return []
        this.#searching = searches = true
        this.#searchedAt = now
        return this.#places.filter((place) => place !== current)
      },
      look: (place, signal) => this.#look(place, wanted, signal),
      dismiss: (connection) => this.#dismiss(connection),
    })
    const first = current === undefined ? [] : [current]
    try {
      const lateMs = Math.min(LATEST_MS, Math.max(LATE_MS, 3 * this.#usualMs))
      const outcome = await race.run(first, lateMs, wanted.signal)
      if ('won' in outcome) return outcome.won
      throw wanted.signal.aborted ? wanted.signal.reason : failureOf(outcome.failures)
    } finally {
      if (searches) this.#searching = false
    }
  }

  /** @param signal fires also when nobody needs it any more */
  async #look(place: Place, wanted: Wanted, signal: AbortSignal): Promise<Finding<C>> {
    const { driver } = this.#parts
    const { epoch, credentials } = wanted
    const startedAt = this.#clock.now()
    const finds = this.#finds
    let abandoned = false
    // What was given up for another's sake says nothing.
    const isNeeded = () => !signal.aborted || isLate(wanted.signal)
    const connect = async () => {
      const connection = await driver.connect({ signal, epoch, credentials, endpoint: place.endpoint })
      // A breaker's trial call does not wait as long as we do.
      if (abandoned) this.#dismiss(connection)
      return connection
    }
    try {
      const { breaker } = place
      const counts = (error: unknown) => (isNeeded() ? this.#counts(place, error) : undefined)
      const connection = await (breaker === undefined ? connect() : breaker.run(connect, counts))
      const holder = this.#overtaking(place, finds)
      if (holder === undefined) return this.#found(place, connection, startedAt)
      this.#dismiss(connection)
      const message = `${holder.name} was found to be the primary while ${place.name} was connected to`
      return { failed: new ConnectError(message, { endpoint: place.name }) }
    } catch (cause) {
      abandoned = true
      // Nor does what was begun before a later one succeeded.
      if (this.#current === place && isNeeded() && startedAt >= place.foundAt) this.#current = undefined
      return { failed: driver.classify(cause, 'connect') }
    }
  }

  /**
   * Failures within a second are one: those of a crowd come together, and after a blip nobody should be refused. So the
   * breaker opens on a server that has been down for some seconds.
   */
  #counts(place: Place, error: unknown): boolean | undefined {
    if (!isOutage(error)) return false
    const now = this.#clock.now()
    if (place.breaker?.state === 'closed' && now - place.failedAt < BLIP_MS) return undefined
    place.failedAt = now
    return true
  }

  /**
   * Another that was found since, where one only can be what is asked for: what this one says may be of before, as when it
   * stood still and has not yet heard that it was replaced.
   */
  #overtaking(place: Place, finds: number): Place | undefined {
    const holder = this.#holder
    if (holder === undefined || holder === place || holder.found <= finds) return undefined
    return isSingular(this.#parts.driver.target) ? holder : undefined
  }

  #found(place: Place, connection: C, startedAt: number): Finding<C> {
    const { target } = this.#parts.driver
    const { role } = connection
    place.role = role
    const verdict = fitness(target, role)
    if (verdict === 'unfit') {
      this.#dismiss(connection)
      if (this.#current === place) this.#current = undefined
      const is = role === undefined ? 'a server of unknown role' : role === 'read-only' ? 'read-only' : `a ${role}`
      const message = `${place.name} is ${is}; target_session_attrs asks for ${target}`
      return { failed: new ConnectError(message, { endpoint: place.name }) }
    }
    place.foundAt = this.#clock.now()
    place.found = ++this.#finds
    this.#usualMs = place.foundAt - startedAt
    this.#current = place
    const holder = this.#holder
    this.#holder = place
    if (holder !== undefined && holder !== place && isSingular(target)) this.#move(holder, place)
    return verdict === 'fits' ? { fits: connection } : { spare: connection }
  }

  #move(from: Place, to: Place): void {
    const { pool, driver, moved } = this.#parts
    // There is one such server at a time: whatever that one is now, it is not what it was.
    if (fitness(driver.target, from.role) === 'fits') from.role = undefined
    publish('moorings:endpoint:moved', pool, () => ({ from: from.name, to: to.name }))
    moved(from.endpoint)
  }

  /**
   * A connection shows another role than when it was made.
   *
   * @returns whether what leads there is of no use any more
   */
  changed({ endpoint, role }: C, from: Role | undefined): boolean {
    const { pool, driver } = this.#parts
    const name = endpointName(endpoint)
    const place = this.#places.find((one) => one.name === name)
    const useless = fitness(driver.target, role) === 'unfit' || from === 'primary'
    if (place !== undefined) place.role = role
    if (useless && place !== undefined && this.#current === place) this.#current = undefined
    publish('moorings:endpoint:changed', pool, () => ({ endpoint: name, from, to: role }))
    return useless
  }

  /**
   * A server has refused a write, as what it shows does not tell by itself.
   *
   * @returns whether what leads there is of no use any more. Not each time: it may be meant to take none, and an
   *   application that writes all the same must not take the connections away from those who read
   */
  refused({ endpoint }: C): boolean {
    const name = endpointName(endpoint)
    const place = this.#places.find((one) => one.name === name)
    const now = this.#clock.now()
    if (place === undefined || now - place.refusedAt < REFUSED_MS) return place === undefined
    place.refusedAt = now
    return true
  }

  /** Roles and breakers by name, for the statistics. */
  all(): readonly { readonly name: string; readonly role: Role | undefined; readonly breaker: Breaker | undefined }[] {
    return this.#places
  }

  /** Nobody's time is measured from now on: who has not left by then is made to. */
  end(): void {
    this.#ended = true
    for (const { breaker } of this.#places) breaker?.shutdown()
    for (const connection of this.#leaving) connection.destroy(notNeeded())
  }

  #dismiss(connection: C): void {
    if (this.#ended) {
      connection.destroy(notNeeded())
      return
    }
    this.#leaving.add(connection)
    this.#parts.deadlines
      .limit(DISMISS_MS, notNeeded, (signal) => connection.close(signal))
      .catch(() => connection.destroy(notNeeded()))
      .finally(() => this.#leaving.delete(connection))
  }
}

function notNeeded(): ConnectError {
  return new ConnectError('The connection was not needed')
}

/** Nobody or nothing answered. That a server has no room, or refuses a name, says that it is there. */
function isOutage(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return true
  return error.retry === 'reconnect' && error.code?.startsWith('53') !== true
}

function isLate(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason instanceof ConnectError
}

/** What one of them said if it is all there is to say; hopeless only if all are. */
function failureOf(failures: readonly MooringsError[]): MooringsError {
  const [first] = failures
  if (first !== undefined && failures.length === 1) return first
  const refusals = failures.filter((failure) => failure instanceof CircuitOpenError)
  const inMs = ({ retryInMs = Number.MAX_VALUE }: CircuitOpenError) => retryInMs
  const [soonest] = refusals.sort((one, other) => inMs(one) - inMs(other))
  if (soonest !== undefined && refusals.length === failures.length) return soonest
  const messages = [...new Set(failures.map(({ message }) => message))]
  const hopeless = failures.length > 0 && failures.every(({ retry }) => retry === 'never')
  if (hopeless && first !== undefined) return first
  return new ConnectError(`None of the endpoints will do: ${messages.join('; ')}`, {
    cause: new AggregateError(failures),
  })
}
