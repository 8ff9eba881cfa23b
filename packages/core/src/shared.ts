// Pools that outlive the module that made them. A development server evaluates a module anew after each edit, and forgets
// the pool of the evaluation before without closing it: until the server has no connection left for anybody. A shared
// pool is found again by its name. This is the one place that keeps anything global, and only when it is asked to.

import { createHash } from 'node:crypto'
import { types } from 'node:util'

/** What is asked of a pool to be shared. */
export interface Shareable {
  readonly closed: boolean
  close(): Promise<void>
}

export interface SharedRequest<P extends Shareable> {
  /** The driver's: pools of two of them may bear one name. */
  readonly system: string
  readonly name: string
  /** All that decides what `make` makes. Only a hash of it is kept. */
  readonly madeWith: unknown
  readonly make: () => P
  /** Also of a pool that another copy of the package has made. */
  readonly isPool: (value: unknown) => value is P
}

interface Shared {
  readonly pool: Shareable
  readonly fingerprint: string
}

/** Another copy of this package reads what is kept here: whoever changes what that is changes this name. */
const key = Symbol.for('moorings.shared.1')

/**
 * The pool that was made in this process under that name, if it is open and was made with the same; else one is made and
 * takes its place. The old one is closed in the background: its callers have its `closeTimeoutMs` to finish. When making
 * one throws, the old one stays.
 *
 * Values count as the same when they look the same: functions by their source text (not by what they close over), and
 * what a class has made (a logger) by the name of its class.
 */
export function sharedPool<P extends Shareable>(request: SharedRequest<P>): P {
  const { name, system, make, isPool } = request
  const fingerprint = fingerprintOf(request.madeWith)
  const pools = kept()
  const place = `${system} ${name}`
  const found = pools.get(place)
  if (found?.fingerprint === fingerprint && !found.pool.closed && isPool(found.pool)) return found.pool
  const pool = make()
  pools.set(place, { pool, fingerprint })
  if (found !== undefined) void closeBehind(found.pool)
  return pool
}

function kept(): Map<string, Shared> {
  const found: unknown = Reflect.get(globalThis, key)
  if (found instanceof Map) return found
  const made = new Map<string, Shared>()
  // Not enumerable: whoever prints globalThis need not see it.
  Object.defineProperty(globalThis, key, { value: made, configurable: true })
  return made
}

/** A pool's close never rejects; this one may be of another version of the package. */
async function closeBehind(pool: Shareable): Promise<void> {
  try {
    await pool.close()
  } catch {
    // Nobody waits for it.
  }
}

/** One-way, as what a pool is made with holds a password. */
function fingerprintOf(value: unknown): string {
  const hash = createHash('sha256')
  const met = new Map<object, number>()
  // With their lengths, so that no two values can be written alike.
  const text = (kind: string, written: string) => hash.update(`${kind} ${written.length} ${written}\n`)

  const write = (value: unknown): void => {
    if (typeof value === 'function') text('function', Function.prototype.toString.call(value))
    else if (typeof value !== 'object' || value === null) text(typeof value, String(value))
    else if (met.has(value)) text('again', String(met.get(value)))
    else {
      met.set(value, met.size)
      writeObject(value)
    }
  }
  const writeObject = (value: object): void => {
    if (ArrayBuffer.isView(value)) {
      text('bytes', String(value.byteLength))
      hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    } else if (types.isDate(value)) text('date', String(value.getTime()))
    else if (types.isRegExp(value) || value instanceof URL) text('text', String(value))
    else if (Array.isArray(value) || types.isMap(value) || types.isSet(value)) writeList([...value])
    else if (isPlain(value)) writeRecord(value)
    // Its inside may change by itself: a logger counts lines, a secure context holds handles.
    else text('class', value.constructor?.name ?? '')
  }
  const writeList = (values: readonly unknown[]): void => {
    text('list', String(values.length))
    for (const item of values) write(item)
  }
  const writeRecord = (value: object): void => {
    // An option that is undefined is an option not written, in whatever order the others are.
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    text('record', String(entries.length))
    for (const [name, item] of entries.sort(([a], [b]) => (a < b ? -1 : 1))) {
      text('name', name)
      write(item)
    }
  }

  write(value)
  return hash.digest('hex')
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
