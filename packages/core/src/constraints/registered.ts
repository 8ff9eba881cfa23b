// What the ORMs of a pool have said of its constraints: found by what the server says of a violation, whichever schema of
// the search path a table was found in.

import type { ConstraintSite } from '../errors.js'
import type { ConstraintFacts } from './facts.js'

export class RegisteredConstraints {
  /** By name, then by where it is. */
  readonly #byName = new Map<string, Map<string, ConstraintFacts>>()
  /** By table, then by schema: what the application calls its columns. */
  readonly #keys = new Map<string, Map<string | undefined, Map<string, string>>>()

  /** What was said of the same constraint before is forgotten: a module may have been evaluated anew. */
  add(facts: ConstraintFacts): void {
    // What may not be null has no name in an error, nor need it have one here: its key is all there is to it.
    if (facts.name !== '') madeIn(this.#byName, facts.name).set(placeOf(facts), facts)
    const { table, schema, columns, keys } = facts
    if (table === undefined || keys === undefined) return
    const known = madeIn(madeIn(this.#keys, table), schema)
    for (const [at, column] of columns.entries()) {
      const key = keys[at]
      if (key !== undefined) known.set(column, key)
    }
  }

  of({ constraint, schema, table, domain }: ConstraintSite): ConstraintFacts | undefined {
    const named = constraint === undefined ? undefined : this.#byName.get(constraint)
    if (named === undefined) return undefined
    // A trigger may name a constraint and nothing else: then it is clear only if there is one.
    if (table === undefined && domain === undefined) return onlyOne(named.values())
    if (schema === undefined) {
      return onlyOne([...named.values()].filter((one) => one.table === table && one.domain === domain))
    }
    return named.get(placeOf({ schema, table, domain })) ?? named.get(placeOf({ table, domain }))
  }

  /** What the application calls these columns, if it is known of all. */
  keysOf(schema: string | undefined, table: string | undefined, columns: readonly string[]): string[] | undefined {
    const tables = table === undefined ? undefined : this.#keys.get(table)
    if (tables === undefined || columns.length === 0) return undefined
    // Of that schema, else of one that was not said.
    const known = schema === undefined ? onlyOne(tables.values()) : (tables.get(schema) ?? tables.get(undefined))
    const keys = columns.map((column) => known?.get(column)).filter((key) => key !== undefined)
    return keys.length === columns.length ? keys : undefined
  }
}

type Place = Pick<ConstraintFacts, 'schema' | 'table' | 'domain'>

function placeOf({ schema, table, domain }: Place): string {
  return JSON.stringify([schema, table, domain])
}

function onlyOne<Of>(all: Iterable<Of>): Of | undefined {
  const [first, second] = all
  return second === undefined ? first : undefined
}

function madeIn<Key, InnerKey, Value>(all: Map<Key, Map<InnerKey, Value>>, key: Key): Map<InnerKey, Value> {
  const found = all.get(key) ?? new Map<InnerKey, Value>()
  all.set(key, found)
  return found
}
