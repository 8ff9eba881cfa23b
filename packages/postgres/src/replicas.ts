// `replicas`: standbys of a pool's server that reads may go to, each with a pool of its own.

import {
  type Checked,
  checkBy,
  checkResilience,
  describeGiven,
  type OptionProblem,
  problemsIn,
  type ReplicasOptions,
  type ResilienceOptions,
  type ResolvedReplicasOptions,
  replicasOptions,
  unknownOption,
} from '@moorings/core'
import { checkPoolOptions } from './options.js'
import { isRecord } from './options-schema.js'
import type { ConnectionInput } from './pool.js'
import { isPoolOptions, overlaid } from './pool-inputs.js'

/** One replica, where it is not a connection alone. */
export interface ReplicaInput {
  readonly connection: ConnectionInput
  /** What is to be different from the primary's pool, option by option. */
  readonly resilience?: ResilienceOptions | undefined
}

/** Physical standbys (hot standby) of the pool's own server: their connections, and when they are read from. */
export type ReplicasInput = readonly (ConnectionInput | ReplicaInput)[] | ReplicasConfig

export interface ReplicasConfig extends ReplicasOptions {
  readonly connections: readonly (ConnectionInput | ReplicaInput)[]
}

export interface CheckedReplicas {
  readonly replicas: readonly ReplicaInput[]
  readonly options: ResolvedReplicasOptions
}

const shape = 'an array of connections, or { connections, maxLagMs, checkEveryMs }'

/** @param resilience what the primary's pool was told */
export function checkReplicas(
  input: ReplicasInput,
  resilience: ResilienceOptions | undefined,
  path = 'replicas',
): Checked<CheckedReplicas> {
  const { connections, ...rest }: ReplicasConfig = isList(input) ? { connections: input } : { ...input }
  const at = isList(input) ? path : `${path}.connections`
  const whole: unknown = input
  if (!isList(input) && (!isRecord(whole) || whole instanceof URL)) {
    return { ok: false, problems: [{ path, given: describeGiven(whole, true), allowed: shape }] }
  }
  const options = checkBy(replicasOptions, rest, path)
  const listed: unknown = connections
  if (!Array.isArray(listed) || listed.length === 0) {
    const problem = { path: at, given: describeGiven(listed, true), allowed: 'an array of one connection at least' }
    return { ok: false, problems: [problem, ...problemsIn(options)] }
  }
  // One that is left out, too.
  const given = [...connections]
  const replicas = given.map((one) => replicaOf(one, resilience))
  const problems = given.flatMap((one, i) => problemsOf(one, resilience, `${at}[${i}]`)).concat(problemsIn(options))
  if (!options.ok || problems.length > 0) return { ok: false, problems }
  return { ok: true, value: { replicas, options: options.value } }
}

function isList(input: ReplicasInput): input is Exclude<ReplicasInput, ReplicasConfig> {
  return Array.isArray(input)
}

function replicaOf(given: ConnectionInput | ReplicaInput, resilience: ResilienceOptions | undefined): ReplicaInput {
  const { connection, resilience: own } = isPoolOptions<ReplicaInput>(given) ? given : { connection: given }
  return { connection, resilience: overlaid(resilience, own) }
}

/** What is wrong with the primary's is told of that. */
function problemsOf(
  given: ConnectionInput | ReplicaInput,
  primary: ResilienceOptions | undefined,
  path: string,
): readonly OptionProblem[] {
  const known = ['connection', 'resilience']
  const options = isPoolOptions<ReplicaInput>(given)
  const unknown = options ? Object.entries(given).filter(([name]) => !known.includes(name)) : []
  const resilience = `${path}.resilience`
  const paths = { connection: options ? `${path}.connection` : path, resilience }
  const inherited = new Set(problemsIn(checkResilience(primary, resilience)).map((problem) => problem.path))
  const own = problemsIn(checkPoolOptions(replicaOf(given, primary), paths))
  return [
    ...unknown.map(([name, value]) => unknownOption(path, name, value, known)),
    ...own.filter((problem) => !inherited.has(problem.path)),
  ]
}
