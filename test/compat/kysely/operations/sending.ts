// Operations that send values as parameters and look at what arrives.

import { sql } from 'kysely'
import type { Operation } from '../operation.js'

/** How the server understands each of `values` as each of `types`: as a value again, and as its own text, or its refusal. */
export function sending(name: string, types: readonly string[], ...values: readonly unknown[]): Operation {
  return {
    name,
    run: async ({ db }) => {
      const seen: unknown[] = []
      for (const type of types.map((text) => sql.raw(text))) {
        for (const value of values) {
          try {
            const { rows } = await sql`select ${value}::${type} as value, ${value}::${type}::text as text`.execute(db)
            seen.push(rows[0])
          } catch (error) {
            seen.push(error)
          }
        }
      }
      return seen
    },
  }
}

/** A date by its parts on the local clock, also in the years 0 to 99 and before. */
export function local(...parts: [number, number, number, number?, number?, number?, number?]): Date {
  const date = new Date(...parts)
  date.setFullYear(parts[0])
  return date
}
