// Turns what zod found wrong into problems a person can act on: where, what was given, what is allowed. A schema says
// what it allows in the words of its `error`, which is written as the end of the sentence "allowed: …". The driver
// packages check their own options with this, so that all of them complain in one voice.

import { z } from 'zod'
import type { OptionProblem } from './errors.js'

/** What came of checking options: the value, or everything that is wrong with them. */
export type Checked<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly OptionProblem[] }

/** The problems found, none when all is well: `[a, b].flatMap(problemsIn)` is for one error about several checks. */
export function problemsIn(checked: Checked<unknown>): readonly OptionProblem[] {
  return checked.ok ? [] : checked.problems
}

/** Checks a value by a schema. `path` is what the user would write to reach it: `resilience`, `connection`. */
export function checkBy<Schema extends z.ZodType>(
  schema: Schema,
  input: unknown,
  path: string,
): Checked<z.output<Schema>> {
  const result = schema.safeParse(input)
  return result.success
    ? { ok: true, value: result.data }
    : { ok: false, problems: problemsOf(result.error, input, path, schema) }
}

/** An object with these options and no others. */
export function strictOptions<Shape extends z.ZodRawShape>(shape: Shape): z.ZodObject<Shape, z.core.$strict> {
  return z.strictObject(shape, { error: 'an object' })
}

/** The same problems for every issue of a zod error. `schema`, when given, lets an unknown name suggest a known one. */
export function problemsOf(error: z.ZodError, input: unknown, path: string, schema?: z.ZodType): OptionProblem[] {
  const problems = new Map<string, OptionProblem>()
  const add = (problem: OptionProblem) => {
    // One value can break two rules of its schema; it is said once what is allowed.
    if (!problems.has(problem.path)) problems.set(problem.path, problem)
  }
  for (const issue of error.issues) {
    const where = issue.path.reduce<string>(pathTo, path)
    // A choice between an object and something else: whoever wrote an object wants to hear what is wrong inside it.
    const inner =
      issue.code === 'invalid_union'
        ? issue.errors.find((issues) => issues.some((one) => one.path.length > 0))
        : undefined
    if (inner !== undefined) {
      const placed = inner.map((one) => ({ ...one, path: [...issue.path, ...one.path] }))
      for (const problem of problemsOf(new z.ZodError(placed), input, path, schema)) add(problem)
    } else if (issue.code === 'unrecognized_keys') {
      const names = namesAt(schema, issue.path)
      for (const key of issue.keys) add(unknownOption(where, key, valueAt(input, [...issue.path, key]), names))
    } else {
      const { length } = issue.path
      // And what an application sets on the server is its own business.
      const secret = issue.path.some(
        (key, at) => secretName.test(String(key)) || (key === 'settings' && at < length - 1),
      )
      add({ path: where, given: describeGiven(valueAt(input, issue.path), secret), allowed: issue.message })
    }
  }
  return [...problems.values()]
}

/** The problem of an option nobody knows. Its value is not shown: a misspelt `password` is still a password. */
export function unknownOption(path: string, name: string, value: unknown, known: readonly string[]): OptionProblem {
  const near = nearestName(name, known)
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`
  return {
    path: pathTo(path, name),
    given: typeof value === 'boolean' ? String(value) : kindOf(value),
    allowed: known.length === 0 ? 'nothing by this name' : `nothing by this name; ${hint}`,
  }
}

/** A property's path as one would write it in code. */
export function pathTo(path: string, key: PropertyKey): string {
  if (typeof key === 'number') return `${path}[${key}]`
  const name = String(key)
  if (/^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(name)) return `${path}.${shorten(name)}`
  return `${path}[${looksSecret(name) ? '(hidden)' : JSON.stringify(shorten(name))}]`
}

/** What was given, short enough for a message and never a secret. */
export function describeGiven(value: unknown, secret = false): string {
  if (value === undefined) return 'nothing'
  if (secret) return value === null ? 'null' : '(hidden)'
  if (typeof value === 'string') return looksSecret(value) ? '(hidden)' : JSON.stringify(shorten(value))
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value)
  return kindOf(value)
}

/** Of the known names the one most likely meant; undefined when none is close. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const wanted = plain(name)
  let nearest: string | undefined
  let least = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, plain(candidate))
    if (distance < least) {
      least = distance
      nearest = candidate
    }
  }
  return nearest
}

const secretName = /pass|secret|token|credential|pfx|^key$/i

/** A URL or a connection string put in the wrong place holds a password as well as one in the right place. */
function looksSecret(text: string): boolean {
  return /:\/\/|@|pass|pwd|secret/i.test(text)
}

function shorten(text: string): string {
  return text.length <= 40 ? text : `${text.slice(0, 39)}…`
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'undefined'
  if (value === null) return 'null'
  if (Array.isArray(value)) return `an array of ${value.length}`
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

/** `idle_timeout`, `idleTimeout` and `IdleTimeout` are the same slip of the pen. */
function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_-]/g, '')
}

/** Levenshtein's distance, two rows of the table at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const [left = 0, above = 0, across = 0] = [row[j - 1], previous[j], previous[j - 1]]
      row.push(Math.min(left + 1, above + 1, across + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    previous = row
  }
  return previous[b.length] ?? 0
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined
    value = Reflect.get(value, key)
  }
  return value
}

function namesAt(schema: z.ZodType | undefined, path: readonly PropertyKey[]): string[] {
  const at = unwrapped(schemaAt(schema, path))
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

function schemaAt(schema: z.ZodType | undefined, path: readonly PropertyKey[]): unknown {
  let at: unknown = schema
  for (const key of path) {
    at = unwrapped(at)
    at = at instanceof z.ZodObject ? Reflect.get(at.shape, key) : undefined
  }
  return at
}

/** What an optional or defaulted schema is about; of a choice, the object in it. */
function unwrapped(schema: unknown): unknown {
  let inner = schema
  while (
    inner instanceof z.ZodOptional ||
    inner instanceof z.ZodNullable ||
    inner instanceof z.ZodDefault ||
    inner instanceof z.ZodPrefault
  ) {
    inner = inner.unwrap()
  }
  return inner instanceof z.ZodUnion
    ? inner.options.map(unwrapped).find((option) => option instanceof z.ZodObject)
    : inner
}
