// Where a transaction is asked for: what is around it decides whether it is a new one, a savepoint, a part of what is
// there, or none.

import { assertFunction, begun } from '../begun.js'
import type { Connection } from '../driver.js'
import { InvalidOptionsError, PropagationError } from '../errors.js'
import type { Pool } from '../pool/pool.js'
import type { Taking } from '../pool/stacks.js'
import type { TransactionContext } from '../scope.js'
import type { Source } from '../session/source.js'
import { Around, runAttempts } from './attempts.js'
import { Limits } from './limits.js'
import { withNone } from './none.js'
import type { TransactionScope } from './transaction.js'
import type { Propagation, ResolvedTransaction } from './transaction-options.js'

/** Its work, on the transaction it is to be part of. */
export type ScopeBody<C extends Connection, T> = (
  scope: TransactionScope<C>,
  context: TransactionContext,
) => Promise<T> | T

/** A transaction, or a nested one, and what its body is told. */
export interface Inside<C extends Connection = Connection> {
  readonly scope: TransactionScope<C>
  readonly context: TransactionContext
  /** Whether queries on the root database in its call chain join it. Default true. */
  readonly joined?: boolean
  /** Whether it is a test's own: what is asked for in it goes as if it was not there, but is not kept. */
  readonly test?: boolean | undefined
}

export interface Circumstances<C extends Connection, T> {
  /** The transaction it is asked for in. Default: what the call chain is inside of. */
  readonly inside?: Inside<C> | 'none' | undefined
  /** Who gives it a connection, if it is a new one. Default: the session the call chain is inside of, else the pool. */
  readonly source?: Source<C> | undefined
  /** Whether queries on the root database in the body's call chain join it. Default: as in the one around it, else true. */
  readonly joined?: boolean
  /** As the ORM does it: inside of another one its isolation level and modes are passed over rather than refused. */
  readonly lenient?: boolean
  /** Where it is asked for, by whoever is nearer to that than we are: of `pool.taking`. */
  readonly taking?: Taking | undefined
  /** What is done where there is to be no transaction. Without it such a propagation is refused. */
  readonly without?: ((context: TransactionContext) => Promise<T> | T) | undefined
}

interface PartHow<C extends Connection> {
  readonly inside: Inside<C>
  readonly way: Way
  readonly joined: boolean
  readonly lenient: boolean
}

type Way = 'new' | 'savepoint' | 'join' | 'none'

const ways: Readonly<Record<Propagation, { readonly inside: Way | 'refused'; readonly outside: Way | 'refused' }>> = {
  nested: { inside: 'savepoint', outside: 'new' },
  required: { inside: 'join', outside: 'new' },
  requiresNew: { inside: 'new', outside: 'new' },
  supports: { inside: 'join', outside: 'none' },
  mandatory: { inside: 'join', outside: 'refused' },
  never: { inside: 'refused', outside: 'none' },
  notSupported: { inside: 'none', outside: 'none' },
}

/**
 * As many frames of the stack as it takes from here to the application, through an ORM and what of ours is around it. The
 * last one or two are to spare.
 */
const TAKING_DEPTH = 7

/** Not async, and throws what it refuses: a promise less for each transaction. To be called by `pool.transaction`. */
export function transact<C extends Connection, T>(
  pool: Pool<C>,
  body: ScopeBody<C, T>,
  options: ResolvedTransaction,
  {
    inside: given = pool.scopes.current,
    source,
    joined: wanted,
    lenient = false,
    taking,
    without,
  }: Circumstances<C, T> = {},
): Promise<T> {
  assertFunction(body, 'body')
  const { propagation, durable } = options
  const inside = given === 'none' ? undefined : given
  // Who steps into the ORM's own transaction has not left what everything joins.
  const joined = inside?.joined === true || (wanted ?? inside?.joined ?? true)
  const test = inside?.test === true
  if (durable && inside !== undefined && !test) {
    throw new PropagationError('A durable transaction was asked for inside another one, which could undo it')
  }
  const way = ways[propagation][inside === undefined || test ? 'outside' : 'inside']
  if (way === 'refused') {
    const why = inside === undefined || test ? 'there is none to be part of' : 'there is one already'
    throw new PropagationError(`A transaction with propagation '${propagation}' was asked for, and ${why}`)
  }
  if (way === 'none') {
    if (without === undefined) {
      const allowed =
        'required, requiresNew, nested or mandatory; the others with withTransaction() on the root database'
      throw new InvalidOptionsError([{ path: 'options.propagation', given: `'${propagation}'`, allowed }])
    }
    // A role, a tenant: not to be dropped unnoticed.
    refuseSettings(options, 'need one, and here there is none')
    return withNone(pool, without, options, test ? (run) => run() : undefined)
  }
  // Also in a session, whose connection the one around it has.
  if (inside === undefined || (way === 'new' && !test)) {
    const from = inside === undefined ? (source ?? pool.source) : pool
    // Once for all attempts, and from as near to the application as we are: the frames in between cost as much as its own.
    const noted = taking ?? pool.taking(pool.transaction, TAKING_DEPTH)
    return runAttempts(pool, body, options, new Around(from, joined, noted))
  }
  return partOf(pool, body, options, { inside, way, joined, lenient })
}

async function partOf<C extends Connection, T>(
  pool: Pool<C>,
  body: ScopeBody<C, T>,
  options: ResolvedTransaction,
  { inside, way, joined, lenient }: PartHow<C>,
): Promise<T> {
  const { scope, context, test = false } = inside
  if (test) refuseIdentity(options)
  else
    refuseSettings(
      lenient ? withoutModes(options) : options,
      'belong to the outermost one: inside it they cannot be changed',
    )
  // Its limits are its own: what they end is the part that it is.
  const limits = new Limits(pool.deadlines, options)
  try {
    if (way !== 'join') {
      const run = (nested: TransactionScope<C>) => within(pool, { scope: nested, context, joined }, body, limits)
      return await scope.savepoint(run, undefined, limits)
    }
    try {
      return await within(pool, { scope, context, joined }, body, limits)
    } catch (error) {
      scope.spoil(error)
      throw error
    }
  } finally {
    limits.end()
  }
}

/**
 * In the call chain of the body, what joins is what this transaction was asked to be, not what the one around it is. It
 * stays in there until it has settled, also when its limits have ended it: what it does then is refused.
 */
function within<C extends Connection, T>(
  pool: Pool<C>,
  { scope, context: around, joined }: Required<Omit<Inside<C>, 'test'>>,
  body: ScopeBody<C, T>,
  limits: Limits,
): Promise<T> {
  let running = true
  const context = limits.bounded ? limited(around, limits) : around
  const ambient = { scope, context, joined, open: () => running }
  return limits.hold(async () => {
    try {
      return await pool.scopes.run(undefined, ambient, () => begun(() => body(scope, context)))
    } finally {
      running = false
    }
  })
}

/** What its body is told, whose signal fires for its own limits as well. */
function limited(around: TransactionContext, limits: Limits): TransactionContext {
  let signal: AbortSignal | undefined
  return {
    attempt: around.attempt,
    get signal() {
      signal ??= AbortSignal.any([around.signal, limits.ended])
      return signal
    },
    afterCommit: around.afterCommit,
    afterRollback: around.afterRollback,
  }
}

/** Without what the ORM has always taken for a nested one, and passed over. */
function withoutModes({ settings: { isolationLevel, accessMode, deferrable, ...ours } }: ResolvedTransaction) {
  return { settings: ours }
}

/** What goes with BEGIN has nowhere to go. */
function refuseSettings({ settings }: Pick<ResolvedTransaction, 'settings'>, why: string): void {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined)
  if (given.length === 0) return
  throw new PropagationError(`The transaction's settings (${given.map(([name]) => name).join(', ')}) ${why}`)
}

/** A test that passes only because it was somebody else is worse than none. */
function refuseIdentity({ settings: { role, settings } }: ResolvedTransaction): void {
  if (role === undefined && settings === undefined) return
  throw new PropagationError(
    'In a test that is undone as a whole a transaction cannot have a role or settings of its own',
  )
}
