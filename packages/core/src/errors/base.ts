// What all errors have in common: kind, code, advice, and a brand by which copies of the package know each other's.

/** The group an error belongs to: what a caller would switch on to decide whom to tell. */
export type ErrorKind = 'acquire' | 'connection' | 'statement' | 'transaction' | 'session' | 'constraint' | 'config'

/**
 * What may be done about an error.
 *
 * - `transaction`: run the whole transaction again (deadlock, serialization failure, stale plan, server turned read-only)
 * - `reconnect`: the connection is gone, and the transaction on it with it; on a new one the work may succeed
 * - `never`: the same call fails again
 * - `unknown`: whether the work was done cannot be told from here
 */
export type RetryAdvice = 'transaction' | 'reconnect' | 'never' | 'unknown'

export interface MooringsErrorOptions {
  code?: string | undefined
  cause?: unknown
  retry?: RetryAdvice
}

// Symbol.for: an error made by another copy of this package carries the same brand.
const lineage: unique symbol = Symbol.for('moorings.error.lineage') as never
const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

function lineageOf(value: unknown): readonly string[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    const names = lineage in value ? value[lineage] : undefined
    return Array.isArray(names) ? names : undefined
  } catch {
    // A getter or a proxy of somebody else's: none of ours.
    return undefined
  }
}

/** Somebody else's brand may be a proxy, too. */
function carries(value: unknown, name: string): boolean {
  try {
    return lineageOf(value)?.includes(name) === true
  } catch {
    return false
  }
}

/**
 * Base of every error Moorings throws.
 *
 * `instanceof` works across two installed copies of the package: classes are recognised by a brand, not by identity.
 * Neither `message`, `toJSON()` nor `util.inspect` shows a parameter's value; `cause` does hold the driver's own error.
 *
 * @example
 * try {
 *   await db.insert(users).values(user)
 * } catch (error) {
 *   if (error instanceof MooringsError && error.code === '23505') reply.status(409)
 *   else throw error
 * }
 */
export class MooringsError extends Error {
  readonly kind: ErrorKind
  /** SQLSTATE of the server's error, a socket's code (`ECONNREFUSED`), or the driver's own (`UNDEFINED_VALUE`). */
  readonly code: string | undefined
  readonly retry: RetryAdvice

  static {
    named(this, 'MooringsError')
  }

  constructor(kind: ErrorKind, message: string, options: MooringsErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.code = options.code
    this.retry = options.retry ?? 'never'
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    const own = Object.hasOwn(this.prototype, 'name') ? this.prototype.name : undefined
    if (own === undefined) return Function.prototype[Symbol.hasInstance].call(this, value)
    return carries(value, own)
  }

  /** What is safe to log or send: no stack, no parameter values, the cause only by name and code. */
  toJSON(): Record<string, unknown> {
    const json: Record<string, unknown> = { name: this.name, message: this.message }
    for (const [key, value] of Object.entries(this)) if (value !== undefined && key !== 'cause') json[key] = value
    const cause = describeCause(this.cause)
    if (cause !== undefined) json.cause = cause
    return json
  }

  /** The driver's own error often holds the row that failed; printing ours must not print that. */
  [inspectCustom](_depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    const { name: _name, message: _message, ...fields } = this.toJSON()
    return `${this.stack ?? `${this.name}: ${this.message}`} ${inspect(fields, options)}`
  }
}

/** Gives a class its name and its brand: to be called in its static block. */
export function named(errorClass: { readonly prototype: MooringsError }, name: string): void {
  const { prototype } = errorClass
  Object.defineProperty(prototype, 'name', { value: name, configurable: true, writable: true })
  const inherited = lineageOf(Object.getPrototypeOf(prototype)) ?? []
  Object.defineProperty(prototype, lineage, { value: Object.freeze([...inherited, name]) })
}

/** What is safe to show of any error. */
export function describeCause(cause: unknown): { name: string; code?: string } | undefined {
  if (typeof cause !== 'object' || cause === null) return undefined
  try {
    const name = 'name' in cause && typeof cause.name === 'string' ? cause.name : 'Error'
    const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
    return code === undefined ? { name } : { name, code }
  } catch {
    // A getter or a proxy of somebody else's: an error about an error helps nobody.
    return { name: 'Error' }
  }
}

/** Whether a value is one of ours, also from another copy of the package. */
export function isMooringsError(value: unknown): value is MooringsError {
  return value instanceof MooringsError
}
