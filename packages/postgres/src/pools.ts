// Several pools by name, each with what `createPool` takes. Whatever is wrong with any of them is told in one error, and
// then none is made.

import {
  describeGiven,
  InvalidOptionsError,
  type OptionProblem,
  PoolRegistry,
  pathTo,
  problemsIn,
} from '@moorings/core'
import { checkPoolOptions } from './options.js'
import { isRecord } from './options-schema.js'
import { type ConnectionInput, type CreatePoolOptions, createPool, optionProblems, type PostgresPool } from './pool.js'
import { isPoolOptions, overlaid, poolOptionNames } from './pool-inputs.js'
import { checkReplicas, type ReplicasInput } from './replicas.js'

/** What holds for each pool that does not say otherwise. */
export interface PoolsDefaults extends Omit<CreatePoolOptions, 'name' | 'replicas'> {}

/** One of several pools. It is called what its key is called. */
export interface NamedPoolOptions extends PoolsDefaults {
  readonly connection: ConnectionInput
  /** Standbys of its own. See {@link CreatePoolOptions}. */
  readonly replicas?: ReplicasInput | undefined
}

/** Pools of PostgreSQL connections by name. */
export type PostgresPools<Name extends string = string> = PoolRegistry<Record<Name, PostgresPool>>

/**
 * Makes several pools, to be started, watched and closed together. Nothing is opened until they are used or started. A
 * pool's name in events is its key.
 *
 * @param pools by name, each either a connection as `createPool` takes it, or `{ connection, resilience, replicas, shared }`
 * @param defaults holds for every pool, option by option, unless it says otherwise itself
 * @throws InvalidOptionsError listing everything that is wrong with any of them
 * @example
 * const pools = createPools(
 *   { primary: primaryUrl, replica: { connection: replicaUrl, resilience: { pool: { max: 30 } } } },
 *   { resilience: { statement: { timeoutMs: 5_000 } } },
 * )
 * await pools.start() // all or none
 * const db = drizzle({ client: pools.get('primary'), schema })
 */
export function createPools<Name extends string>(
  pools: Readonly<Record<Name, ConnectionInput | NamedPoolOptions>>,
  defaults: PoolsDefaults = {},
): PostgresPools<Name> {
  const shape = shapeProblems(pools, defaults)
  if (shape.length > 0) throw new InvalidOptionsError(shape)
  const wanted = Object.entries<ConnectionInput | NamedPoolOptions>(pools).map(([name, given]) => {
    const { connection, ...own } = isPoolOptions(given) ? given : { connection: given }
    const path = pathTo('pools', name)
    const paths = { connection: isPoolOptions(given) ? `${path}.connection` : path, resilience: `${path}.resilience` }
    return { name, path, paths, connection, own, resilience: overlaid(defaults.resilience, own.resilience) }
  })
  const problems = wanted.flatMap(({ path, paths, connection, own, resilience }) => [
    ...ownProblems(own, path),
    ...(own.replicas === undefined ? [] : problemsIn(checkReplicas(own.replicas, resilience, `${path}.replicas`))),
    ...problemsIn(checkPoolOptions({ connection, resilience }, paths)).map((problem) =>
      blamed(problem, paths.resilience, own.resilience, defaults.resilience),
    ),
  ])
  if (problems.length > 0) throw new InvalidOptionsError(eachOnce(problems))
  const factories = wanted.map(({ name, connection, own, resilience }) => {
    const make = () => createPool(connection, { ...defaults, ...own, resilience, name })
    return [name, make] as const
  })
  // One for every name, which `fromEntries` does not tell.
  return new PoolRegistry(Object.fromEntries(factories) as Record<Name, () => PostgresPool>)
}

const defaultsNames = ['resilience', 'shared']

function shapeProblems(pools: unknown, defaults: unknown): OptionProblem[] {
  const problems: OptionProblem[] = []
  if (!isRecord(pools) || pools instanceof URL) {
    const allowed = 'an object of connections by name: { primary: url, replica: { connection, resilience } }'
    problems.push({ path: 'pools', given: describeGiven(pools, true), allowed })
  }
  if (!isRecord(defaults)) {
    problems.push({ path: 'defaults', given: describeGiven(defaults, true), allowed: '{ resilience, shared }' })
  } else {
    problems.push(...optionProblems(defaults, 'defaults', defaultsNames))
    const { resilience } = defaults
    if (resilience !== undefined && !isRecord(resilience)) {
      problems.push({ path: 'defaults.resilience', given: describeGiven(resilience, true), allowed: 'an object' })
    }
  }
  return problems
}

function ownProblems(
  own: Omit<NamedPoolOptions, 'connection'> & { readonly name?: unknown },
  path: string,
): OptionProblem[] {
  const { name, ...rest } = own
  const problems = optionProblems(rest, path, ['connection', ...poolOptionNames])
  if (name !== undefined) {
    const allowed = 'nothing: a pool is called what its key is called'
    problems.push({ path: `${path}.name`, given: describeGiven(name), allowed })
  }
  return problems
}

/** A problem that a pool has not made itself is one of the defaults. */
function blamed(problem: OptionProblem, path: string, own: unknown, defaults: unknown): OptionProblem {
  if (!problem.path.startsWith(`${path}.`)) return problem
  const inside = problem.path.slice(path.length)
  const keys = inside.split('.').slice(1)
  const theirs = valueAt(own, keys) === undefined && valueAt(defaults, keys) !== undefined
  return theirs ? { ...problem, path: `defaults.resilience${inside}` } : problem
}

function valueAt(value: unknown, keys: readonly string[]): unknown {
  return keys.reduce((at, key) => (isRecord(at) ? at[key] : undefined), value)
}

function eachOnce(problems: readonly OptionProblem[]): OptionProblem[] {
  return [...new Map(problems.map((problem) => [`${problem.path} ${problem.allowed}`, problem])).values()]
}
