// What the ORMs of a pool have said of its constraints: found by what the server says of a violation, whichever schema of
// the search path a table was found in.

import type { ConstraintSite } from '../errors.js'
import type { ConstraintFacts } from './facts.js'

interface TableKeys {
  readonly schema: string | undefined
  readonly keys: Map<string, string>
}

export class RegisteredConstraints {
  readonly #byName = new Map<string, ConstraintFacts[]>()
  /** By table: what the application calls its columns. */
  readonly #keys = new Map<string, TableKeys[]>()

  /** What was said of the same constraint before is forgotten: a module may have been evaluated anew. */
  add(facts: ConstraintFacts): void {
    const same = (other: ConstraintFacts) =>
      other.table === facts.table && other.schema === facts.schema && other.domain === facts.domain
    // What may not be null has no name in an error, nor need it have one here: its key is all there is to it.
    if (facts.name !== '') {
      const others = this.#byName.get(facts.name)?.filter((other) => !same(other)) ?? []
      this.#byName.set(facts.name, [...others, facts])
    }
    const { table, schema, columns, keys } = facts
    if (table === undefined || keys === undefined) return
    const tables = this.#keys.get(table) ?? []
    this.#keys.set(table, tables)
    let known = tables.find((one) => one.schema === schema)
    if (known === undefined) {
      known = { schema, keys: new Map() }
      tables.push(known)
    }
    for (const [at, column] of columns.entries()) {
      const key = keys[at]
      if (key !== undefined) known.keys.set(column, key)
    }
  }

  of({ constraint, schema, table, domain }: ConstraintSite): ConstraintFacts | undefined {
    const named = constraint === undefined ? undefined : this.#byName.get(constraint)
    if (named === undefined) return undefined
    // A trigger may name a constraint and nothing else: then it is clear only if there is one.
    if (table === undefined && domain === undefined) return named.length === 1 ? named[0] : undefined
    return bestOf(
      named.filter((one) => one.table === table && one.domain === domain),
      schema,
    )
  }

  /** What the application calls these columns, if it is known of all. */
  keysOf(schema: string | undefined, table: string | undefined, columns: readonly string[]): string[] | undefined {
    const known = table === undefined ? undefined : bestOf(this.#keys.get(table) ?? [], schema)
    if (known === undefined || columns.length === 0) return undefined
    const keys = columns.map((column) => known.keys.get(column)).filter((key) => key !== undefined)
    return keys.length === columns.length ? keys : undefined
  }
}

/** Of that schema, else of one that was not said. */
function bestOf<Of extends { readonly schema?: string | undefined }>(
  all: readonly Of[],
  schema: string | undefined,
): Of | undefined {
  if (schema === undefined) return all.length === 1 ? all[0] : undefined
  return all.find((one) => one.schema === schema) ?? all.find((one) => one.schema === undefined)
}
