// `resilience.errors`: what an application says of its constraints, and how far their violations are looked into.

import { z } from 'zod'
import { strictOptions } from '../option-problems.js'
import { flag, milliseconds, word } from '../option-schemas.js'

/** What users of the application are told of one constraint. */
export interface ConstraintWords extends Words {
  /**
   * Of a foreign key: what they are told when the row that was to be deleted or changed is still referred to. What stands
   * beside this is then not said, as it is about a row that refers to nothing.
   */
  stillReferenced?: Words | undefined
}

export interface Words {
  /** In their words: the error's `userMessage`. */
  message?: string | undefined
  /** Of the form's field that is to blame: the error's `path`. `'email'`, `['address', 'zip']` for one inside another, or `[]` for the form as a whole. */
  path?: string | readonly (string | number)[] | undefined
  /** The application's own code for it: the error's `userCode`. */
  code?: string | undefined
}

/** Kinds of constraint that can be violated. A primary key is violated as `unique`. */
export type ViolationKind = 'unique' | 'foreign-key' | 'not-null' | 'check' | 'exclusion'

/** What may be said of all of a kind. Of a foreign key whose row is still referred to that is not what is said of the others. */
export type MessageKind = ViolationKind | 'still-referenced'

/** What is said about errors, and how they are said. */
export interface ErrorOptions {
  /**
   * What users are told when a constraint is violated: by its name; or by `'table.name'`, or `'schema.table.name'`, where
   * several tables have one of that name: the longer one goes before. One that says NOT NULL has no name there:
   * `'table.column'`. A domain's check is `'domain.name'`, or just its name. A partition's may be given by the name on the
   * partitioned table. `checkConstraints(db)` tells which names no constraint has.
   *
   * @example
   * constraints: { users_email_key: { message: 'This address is taken', path: 'email', code: 'EMAIL_TAKEN' } }
   */
  constraints?: Readonly<Record<string, ConstraintWords>> | undefined
  /** What they are told of all the others of a kind. Default: nothing. */
  messages?: Readonly<Partial<Record<MessageKind, string | undefined>>> | undefined
  /**
   * The columns of constraints, by the same names, for what no ORM's schema tells. What is given here is not looked up.
   */
  columns?: Readonly<Record<string, readonly string[]>> | undefined
  /**
   * How long whoever violated a constraint that neither a schema nor `columns` tells of waits while it is looked up in the
   * server's catalogue, in milliseconds. That is done once for each table, on another connection of the pool. Who cannot wait,
   * as every connection is held by somebody who waits, goes without; the next one does not. Default 1 000; 0 never looks
   * anything up.
   */
  lookupTimeoutMs?: number | undefined
  /**
   * Whether the error of a violated constraint has the values that violated it, as far as the server tells them in English:
   * `error.values`, not enumerable, so that no log shows them unless it asks for them. Default false.
   */
  exposeValues?: boolean | undefined
  /**
   * What the application calls columns that no ORM's schema tells of: `camelCase` for who uses Kysely's CamelCasePlugin, so
   * that `error.keys`, issues and problems have `displayName` for `display_name`. Kysely shows its plugins to no dialect.
   * Default: nothing, and issues have the database's names.
   */
  casing?: 'camelCase' | undefined
  /**
   * How Drizzle throws: `direct` our errors themselves, `wrapped` in its own DrizzleQueryError, whose message has the
   * parameters. Default `direct`. Kysely throws ours in any case.
   */
  style?: 'direct' | 'wrapped' | undefined
}

/** The same with every default filled in; frozen. */
export interface ResolvedErrorOptions {
  readonly constraints: ReadonlyMap<string, ResolvedWords>
  readonly messages: Readonly<Partial<Record<MessageKind, string>>>
  readonly columns: ReadonlyMap<string, readonly string[]>
  readonly lookupTimeoutMs: number
  readonly exposeValues: boolean
  readonly casing?: 'camelCase' | undefined
  readonly style: 'direct' | 'wrapped'
}

export interface ResolvedWords {
  readonly message: string | undefined
  readonly path: readonly (string | number)[] | undefined
  readonly code: string | undefined
  readonly stillReferenced?: ResolvedWords | undefined
}

const text = (allowed: string) => z.string({ error: allowed }).min(1, { error: allowed })

const fieldName = "a field's name, or an array of names and indexes"
const field = z.union(
  [
    z.string().min(1, { error: fieldName }),
    z.array(z.union([z.string(), z.number()], { error: 'a name, or an index' }), { error: fieldName }),
  ],
  { error: fieldName },
)

const own = {
  message: text('a text that is not empty').optional(),
  path: field.optional(),
  code: text('a text that is not empty').optional(),
} satisfies Record<keyof Words, z.ZodType>

/** What says nothing would be taken for what was said. */
const somethingIn = (given: object) => Object.values(given).some((value) => value !== undefined)

const words = strictOptions({
  ...own,
  stillReferenced: strictOptions(own).refine(somethingIn, { error: 'message, path or code' }).optional(),
} satisfies Record<keyof ConstraintWords, z.ZodType>).refine(somethingIn, {
  error: 'message, path, code or stillReferenced',
})

const message = text('a text that is not empty').optional()

const messages = strictOptions({
  unique: message,
  'foreign-key': message,
  'not-null': message,
  check: message,
  exclusion: message,
  'still-referenced': message,
} satisfies Record<MessageKind, z.ZodType>)

const byConstraint = <Value extends z.ZodType>(value: Value) =>
  z.record(z.string(), value, { error: 'an object, by the names of constraints' })

const columnNames = 'an array of column names'

export const errorOptions = strictOptions({
  constraints: byConstraint(words).default({}),
  messages: messages.default({}),
  columns: byConstraint(z.array(text('a column name'), { error: columnNames }).min(1, { error: columnNames })).default(
    {},
  ),
  lookupTimeoutMs: milliseconds(0).default(1_000),
  exposeValues: flag().default(false),
  casing: word(['camelCase']).optional(),
  style: word(['direct', 'wrapped']).default('direct'),
} satisfies Record<keyof ErrorOptions, z.ZodType>)

/** Frozen, and no name is taken for what every object has (`constructor`). */
export function completeErrorOptions(checked: z.output<typeof errorOptions>): ResolvedErrorOptions {
  const { constraints, columns, messages, ...others } = checked
  return Object.freeze({
    ...others,
    messages: Object.freeze(present(messages)),
    constraints: new Map(
      Object.entries(constraints).map(([name, { stillReferenced, ...said }]) => [
        name,
        Object.freeze({ ...completeWords(said), stillReferenced: stillReferenced && completeWords(stillReferenced) }),
      ]),
    ),
    columns: new Map(Object.entries(columns).map(([name, names]) => [name, Object.freeze(names)])),
  })
}

function completeWords({ message, path, code }: Words): ResolvedWords {
  return Object.freeze({ message, path: typeof path === 'string' ? Object.freeze([path]) : path, code })
}

function present(messages: z.output<typeof errorOptions>['messages']): Partial<Record<MessageKind, string>> {
  const { unique, 'foreign-key': foreignKey, 'not-null': notNull, check, exclusion } = messages
  const { 'still-referenced': stillReferenced } = messages
  return {
    ...(stillReferenced !== undefined && { 'still-referenced': stillReferenced }),
    ...(unique !== undefined && { unique }),
    ...(foreignKey !== undefined && { 'foreign-key': foreignKey }),
    ...(notNull !== undefined && { 'not-null': notNull }),
    ...(check !== undefined && { check }),
    ...(exclusion !== undefined && { exclusion }),
  }
}
