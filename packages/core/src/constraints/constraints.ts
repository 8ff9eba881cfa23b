// What a pool knows of the constraints of its database, and how the error of a violated one comes to it: from the schemas
// of its ORMs, from what the user says, from the server's catalogue, and last from the server's words about the violation.

import type { Connection } from '../driver.js'
import { ConstraintViolationError, ForeignKeyViolationError } from '../errors.js'
import { Catalogue, type CatalogueParts } from './catalogue.js'
import { complete } from './complete.js'
import type { ResolvedErrorOptions, ResolvedWords } from './errors-options.js'
import type { ConstraintFacts } from './facts.js'
import { type LookupParts, Lookups } from './lookups.js'
import { RegisteredConstraints } from './registered.js'
import { type ConstraintsCheck, namesOf, SaidOfConstraints } from './said.js'
import { kindOf } from './violation-stats.js'

/** Schemas that are kept until they are asked for. */
const MOST_UNREAD = 100

/** How an error's caller may wait for what is to be looked up. */
export interface Completion {
  /** Holding a connection of the pool meanwhile. */
  readonly holds?: boolean
  /** Not at all: what is not at hand is left out. */
  readonly wait?: boolean
}

export interface ConstraintsParts<C extends Connection>
  extends CatalogueParts<C>,
    Omit<LookupParts<C>, 'limitMs' | 'catalogue'> {
  /** Called with each violation when all that can be known of it is known. */
  readonly noted: (error: ConstraintViolationError) => void
  /** Told once of names that the application speaks of and no constraint has; undefined while nobody listens. */
  readonly unknown: () => ((names: readonly string[]) => void) | undefined
}

/** `pool.constraints`. */
export class Constraints<C extends Connection = Connection> {
  readonly #options: ResolvedErrorOptions
  readonly #parts: ConstraintsParts<C>
  readonly #registered = new RegisteredConstraints()
  readonly #unread: Iterable<ConstraintFacts>[] = []
  readonly #catalogue: Catalogue<C>
  readonly #lookups: Lookups<C>
  readonly #said: SaidOfConstraints<C>
  readonly #completed = new WeakSet<object>()
  /** Ends the wait for what is looked up. */
  readonly #waiting = new WeakMap<object, () => void>()

  constructor(options: ResolvedErrorOptions, parts: ConstraintsParts<C>) {
    this.#options = options
    this.#parts = parts
    this.#catalogue = new Catalogue(parts)
    this.#lookups = new Lookups({ ...parts, catalogue: this.#catalogue, limitMs: options.lookupTimeoutMs })
    this.#said = new SaidOfConstraints(options, parts.driver, this.#catalogue)
  }

  /**
   * Notes what an ORM's schema tells. Said again of the same constraint, the newer one counts.
   *
   * @param facts of kind `not-null` for every column, so that the key of any is known. Gone through at the first violation
   *   after this, so that a schema may be read then; of more than a hundred at once.
   */
  register(facts: Iterable<ConstraintFacts>): void {
    // An application may make its tables anew for each of its tenants, or each request.
    if (this.#unread.push(facts) > MOST_UNREAD) this.#readRegistered()
  }

  /**
   * Adds to a violation's error what is known of the constraint; to be called before anybody has seen it. Anything else,
   * and what has been completed before, is left alone.
   *
   * @returns undefined if that is done; else a promise, which resolves within `errors.lookupTimeoutMs` and never rejects
   */
  complete(error: unknown, { holds = false, wait = true }: Completion = {}): Promise<void> | undefined {
    if (!(error instanceof ConstraintViolationError) || this.#completed.has(error)) return undefined
    this.#completed.add(error)
    try {
      const found = this.#find(error, holds, wait)
      if (!(found instanceof Promise)) return this.#finish(error, found)
      return this.#finishLater(error, found)
    } catch {
      // Whatever is wrong here, the violation is to be told.
      return undefined
    }
  }

  /**
   * Holds the names in `resilience.errors` against the constraints that the database has.
   *
   * @throws when the catalogue could not be asked
   */
  check(): Promise<ConstraintsCheck> {
    return this.#said.check()
  }

  /** Whoever waits for this violation may not wait any longer: it is told with what is at hand. */
  hurry(error: object): void {
    this.#waiting.get(error)?.()
  }

  /** The pool closes: whoever waits is told at once. */
  end(): void {
    this.#catalogue.end()
    this.#lookups.end()
  }

  #finishLater(error: ConstraintViolationError, found: Promise<ConstraintFacts | undefined>): Promise<void> {
    return new Promise((resolve) => {
      const end = (facts?: ConstraintFacts) => {
        // Once: what is found later is for the next one.
        if (!this.#waiting.delete(error)) return
        try {
          this.#finish(error, facts)
        } catch {
          // As above.
        }
        resolve()
      }
      this.#waiting.set(error, end)
      found.then(end, () => end())
    })
  }

  #find(
    error: ConstraintViolationError,
    holds: boolean,
    wait: boolean,
  ): ConstraintFacts | undefined | Promise<ConstraintFacts | undefined> {
    this.#readRegistered()
    const registered = this.#registered.of(error)
    if ((registered !== undefined && this.#isCertain(registered, error)) || this.#isKnown(error)) return registered
    const found = this.#lookups.find(error, holds, wait)
    return found instanceof Promise ? found.then((facts) => better(facts, registered)) : better(found, registered)
  }

  /**
   * Not what is told of a table in no schema in particular, if it is another one's than where such tables are: an audit's
   * table may have the same name, and constraints of the same name on other columns.
   */
  #isCertain({ schema, columns }: ConstraintFacts, error: ConstraintViolationError): boolean {
    const { usualSchema } = this.#parts.driver
    const isThere = schema !== undefined || usualSchema === undefined
    return columns.length > 0 && (isThere || error.schema === undefined || error.schema === usualSchema)
  }

  #readRegistered(): void {
    for (const facts of this.#unread.splice(0)) {
      try {
        for (const one of facts) this.#registered.add(one)
      } catch {
        // A schema that cannot be read tells nothing; the catalogue does.
      }
    }
  }

  /** Whether there is nothing to be looked up. */
  #isKnown(error: ConstraintViolationError): boolean {
    const { schema, table, constraint, columns } = error
    if (schema === undefined || table === undefined) return true
    // NOT NULL: the server names the column. It is a partition's if nobody has spoken of the table.
    if (constraint === undefined) return columns === undefined || this.#keysOf(error, columns) !== undefined
    return this.#userColumns(error) !== undefined
  }

  #finish(error: ConstraintViolationError, facts?: ConstraintFacts): undefined {
    if (facts !== undefined) complete(error, facts)
    const detail = this.#parts.driver.detailOf?.(error)
    const columns = error.columns ?? this.#userColumns(error) ?? detail?.columns
    const words = this.#words(error)
    Object.assign(error, {
      columns,
      keys: error.keys ?? (columns && (this.#keysOf(error, columns) ?? this.#casedOf(columns))),
      userMessage: words?.message ?? this.#kindMessage(error),
      path: words?.path,
      userCode: words?.code,
    })
    if (this.#options.exposeValues && detail?.values !== undefined) {
      Object.defineProperty(error, 'values', { value: Object.freeze(detail.values), enumerable: false })
    }
    this.#parts.noted(error)
    const unknown = this.#parts.unknown()
    if (unknown !== undefined && !this.#parts.closed()) this.#said.lookOnce(unknown)
    return undefined
  }

  #keysOf({ schema, table, partitionOf }: ConstraintViolationError, columns: readonly string[]): string[] | undefined {
    return (
      this.#registered.keysOf(schema, table, columns) ??
      this.#registered.keysOf(partitionOf?.schema, partitionOf?.table, columns)
    )
  }

  #casedOf(columns: readonly string[]): string[] | undefined {
    return this.#options.casing === undefined ? undefined : columns.map(camelCase)
  }

  // --- what the user says ---

  #userColumns(error: ConstraintViolationError): readonly string[] | undefined {
    for (const name of namesOf(error)) {
      const columns = this.#options.columns.get(name)
      if (columns !== undefined) return columns
    }
    return undefined
  }

  #words(error: ConstraintViolationError): ResolvedWords | undefined {
    for (const name of namesOf(error)) {
      const words = this.#options.constraints.get(name)
      if (words !== undefined) return isStillReferenced(error) ? words.stillReferenced : words
    }
    return undefined
  }

  #kindMessage(error: ConstraintViolationError): string | undefined {
    if (isStillReferenced(error)) return this.#options.messages['still-referenced']
    const kind = kindOf(error)
    return kind === 'other' ? undefined : this.#options.messages[kind]
  }
}

/** What the catalogue tells; but where the ORM's schema tells the same, or the catalogue nothing, that: it has the keys. */
function better(
  looked: ConstraintFacts | undefined,
  registered: ConstraintFacts | undefined,
): ConstraintFacts | undefined {
  if (looked === undefined || registered === undefined) return looked ?? registered
  const names = new Set(registered.columns)
  const isSame = names.size === looked.columns.length && looked.columns.every((column) => names.has(column))
  return isSame ? registered : looked
}

/** As Kysely's CamelCasePlugin has it. */
function camelCase(name: string): string {
  return name.charAt(0) + name.slice(1).replace(/_+([^_]?)/g, (_, next: string) => next.toUpperCase())
}

function isStillReferenced(error: ConstraintViolationError): boolean {
  return error instanceof ForeignKeyViolationError && error.direction === 'still-referenced'
}
