// By which names an application may speak of a constraint, and whether there is any that has the names it speaks of.

import type { Connection, Driver, NamedConstraint } from '../driver.js'
import type { ConstraintSite } from '../errors.js'
import type { Catalogue } from './catalogue.js'
import type { ResolvedErrorOptions } from './errors-options.js'
import type { TableSite } from './facts.js'

/** How the names in `resilience.errors` compare with the constraints that there are. */
export interface ConstraintsCheck {
  /**
   * Names in `errors.constraints` and `errors.columns` that no constraint has, so that what is said there is never heard:
   * misspelt, renamed, a column that may be null.
   */
  readonly unknown: readonly string[]
  /**
   * Constraints of which neither `errors.constraints` nor, for their kind, `errors.messages` says anything, by the names
   * that can be used there: `table.name`, with its schema if that is not the usual one. Left out are those of partitions,
   * and columns that may not be null.
   */
  readonly withoutWords: readonly string[]
}

/** How long all the constraints of a database may take to be told. */
const ALL_MS = 10_000

export class SaidOfConstraints<C extends Connection> {
  readonly #options: ResolvedErrorOptions
  readonly #driver: Driver<C>
  readonly #catalogue: Catalogue<C>
  #looked = false

  constructor(options: ResolvedErrorOptions, driver: Driver<C>, catalogue: Catalogue<C>) {
    this.#options = options
    this.#driver = driver
    this.#catalogue = catalogue
  }

  /** @throws when the catalogue could not be asked */
  async check(): Promise<ConstraintsCheck> {
    if (this.#driver.namedConstraints === undefined) return { unknown: [], withoutWords: [] }
    const found = await this.#named(undefined, ALL_MS)
    const usualSchema = this.#driver.usualSchema
    const silent = found.filter((one) => one.kind !== 'not-null' && !one.isPartition && !this.#isSpokenOf(one))
    return {
      unknown: this.#unknownAmong(found),
      withoutWords: silent.map(({ schema, table, domain, name }) => {
        const own = `${table ?? domain}.${name}`
        return schema === usualSchema ? own : `${schema}.${own}`
      }),
    }
  }

  /** Calls `unknown` with the names that no constraint has, if there are any. Asked once, and in the background. */
  lookOnce(unknown: (names: readonly string[]) => void): void {
    if (this.#looked) return
    const names = this.#names()
    const { lookupTimeoutMs } = this.#options
    if (names.length === 0 || lookupTimeoutMs === 0 || this.#driver.namedConstraints === undefined) return
    this.#looked = true
    this.#named(names.flatMap(suffixes), lookupTimeoutMs).then(
      (found) => {
        const missing = this.#unknownAmong(found)
        if (missing.length > 0) unknown(missing)
      },
      // It is nobody's business that it could not be asked.
      () => {},
    )
  }

  async #named(among: readonly string[] | undefined, limitMs: number): Promise<readonly NamedConstraint[]> {
    const ask = async (connection: C, signal: AbortSignal) =>
      (await this.#driver.namedConstraints?.(connection, signal, among)) ?? []
    return this.#catalogue.ask(ask, limitMs, false)
  }

  #names(): string[] {
    return [...new Set([...this.#options.constraints.keys(), ...this.#options.columns.keys()])]
  }

  #unknownAmong(found: readonly NamedConstraint[]): string[] {
    const known = new Set(found.flatMap((one) => namesOf(siteOf(one))))
    return this.#names().filter((name) => !known.has(name))
  }

  #isSpokenOf(one: NamedConstraint): boolean {
    const { constraints, messages } = this.#options
    if (namesOf(siteOf(one)).some((name) => constraints.has(name))) return true
    const kind = one.kind === 'primary-key' ? 'unique' : one.kind
    return messages[kind] !== undefined || (kind === 'foreign-key' && messages['still-referenced'] !== undefined)
  }
}

function siteOf({ kind, schema, table, domain, name }: NamedConstraint): ConstraintSite {
  const own = kind === 'not-null' ? { columns: [name] } : { constraint: name }
  return { schema, table, domain, ...own }
}

/** A constraint's own name may have dots in it. */
function suffixes(name: string): string[] {
  const steps = name.split('.')
  return steps.map((_, at) => steps.slice(at).join('.'))
}

/** What a constraint may be called by whoever says something of it, the most telling first. */
export function namesOf(site: ConstraintSite & { readonly partitionOf?: TableSite | undefined }): string[] {
  const { constraint, schema, table, columns, domain, partitionOf } = site
  const [column] = columns ?? []
  const own = constraint ?? column
  const parents = constraint === undefined ? column : partitionOf?.name
  return [
    ...qualified(schema, table, own),
    ...qualified(partitionOf?.schema, partitionOf?.table, parents),
    ...qualified(schema, domain, constraint),
    constraint,
    partitionOf?.name,
  ].filter((name) => name !== undefined)
}

function qualified(schema: string | undefined, owner: string | undefined, name: string | undefined): string[] {
  if (owner === undefined || name === undefined) return []
  return [...(schema === undefined ? [] : [`${schema}.${owner}.${name}`]), `${owner}.${name}`]
}
