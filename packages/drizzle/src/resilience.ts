// What a Drizzle database gets besides our client: its statements throw our errors themselves instead of wrapping them,
// and a transaction's settings travel with BEGIN. Two hooks on the session object, so that they fit the session classes
// of every release (0.45 and 1.0 differ in everything else).

import {
  addCallerFrames,
  InvalidOptionsError,
  isMooringsError,
  type TransactionSettings,
  unknownOption,
} from '@moorings/core'
import type { Client } from '@moorings/postgres'
import type { TransactionSql } from 'postgres'

type Body = (tx: Transactional) => Promise<unknown>

/** What every release's database and transaction objects share. */
interface Transactional {
  readonly _: { readonly session: Session }
  transaction(body: Body, config?: object): Promise<unknown>
}

interface Session {
  readonly client: Client
  prepareQuery(...args: unknown[]): Prepared
  transaction(body: Body, config?: object): Promise<unknown>
}

interface Prepared {
  execute(...args: unknown[]): Promise<unknown>
  all?(...args: unknown[]): Promise<unknown>
}

const hooked = new WeakSet<Session>()

/**
 * Makes a Drizzle database on a Moorings client throw Moorings errors directly. `drizzle()` of this package has done it
 * already; it is for a database that another release's factory has made.
 *
 * @example
 * import { drizzle } from 'drizzle-orm/postgres-js' // 1.0.0-rc
 * const db = withResilience(drizzle({ client: createClient(pool), relations }))
 */
export function withResilience<Database extends object>(db: Database): Database {
  if (!isTransactional(db) || !('pool' in db._.session.client)) {
    throw new InvalidOptionsError([
      {
        path: 'db',
        given: 'something else',
        allowed: 'a postgres-js Drizzle database whose client is a Moorings client',
      },
    ])
  }
  const { session } = db._
  if (hooked.has(session)) return db
  hooked.add(session)
  throwDirectly(session)
  const stock = session.transaction
  session.transaction = async (body, config) => {
    const { settings, rest } = splitConfig(config)
    // The session's own transaction calls `this.client.begin(run)`; here BEGIN is told the settings at once.
    const client = {
      begin: (run: (sql: TransactionSql) => Promise<unknown>) => session.client.transaction(settings, run),
    }
    const begun: Session = Object.create(session, { client: { value: client } })
    return stock.call(begun, (tx) => body(inTransaction(tx)), rest)
  }
  return db
}

function inTransaction(tx: Transactional): Transactional {
  throwDirectly(tx._.session)
  const stock = tx.transaction
  tx.transaction = (body, config) => stock.call(tx, (nested) => body(inTransaction(nested)), config)
  return tx
}

/** Drizzle wraps what the driver throws, and its wrapper's message holds the parameters. */
function throwDirectly(session: Session): void {
  const stock = session.prepareQuery
  session.prepareQuery = (...args) => {
    const prepared = stock.apply(session, args)
    const { execute, all } = prepared
    prepared.execute = (...values) => execute.apply(prepared, values).catch(rethrow)
    if (all !== undefined) prepared.all = (...values) => all.apply(prepared, values).catch(rethrow)
    return prepared
  }
}

function rethrow(error: unknown): never {
  if (!(error instanceof Error) || isMooringsError(error) || !isMooringsError(error.cause)) throw error
  addCallerFrames(error.cause, error)
  throw error.cause
}

const beginWith = ['isolationLevel', 'accessMode', 'deferrable']

function splitConfig(config: object = {}): { settings: TransactionSettings; rest: object | undefined } {
  const { snapshot, ...settings }: TransactionSettings & { snapshot?: unknown } = config
  const problems = Object.entries(settings)
    .filter(([name]) => !beginWith.includes(name))
    .map(([name, value]) => unknownOption('config', name, value, beginWith))
  if (problems.length > 0) throw new InvalidOptionsError(problems)
  // Not a mode of BEGIN: Drizzle sends it in a statement of its own.
  return { settings, rest: snapshot === undefined ? undefined : { snapshot } }
}

function isTransactional(value: unknown): value is Transactional {
  if (typeof value !== 'object' || value === null) return false
  if (!('_' in value) || typeof value._ !== 'object' || value._ === null || !('session' in value._)) return false
  const { session } = value._
  return typeof session === 'object' && session !== null && 'client' in session && typeof session.client === 'function'
}
