export {
  type BreakerHealth,
  type BreakerOptions,
  type BreakerStats,
  breakerHealth,
  breakers,
  type Guarded,
  type GuardOptions,
  guard,
  type OptionsFromEnv,
  optionsFromEnv,
  type ReadYourWrites,
  type ReadYourWritesOptions,
  type RegisteredBreaker,
  type ReplicaState,
  type ReplicaStats,
  type ReplicasStats,
  withReadYourWrites,
} from '@moorings/core'
export {
  type AdvisoryLock,
  type AdvisoryLockKey,
  type AdvisoryLockOptions,
  advisoryLock,
  holdLock,
} from './advisory-lock.js'
export { type Client, createClient } from './client.js'
export { type Codec, noTransform } from './codec.js'
export type { PostgresConnection } from './connection.js'
export type { PostgresDriver } from './driver.js'
export type { RunOptions } from './job.js'
export type { Parser, Serializer } from './library.js'
export { noteRead, noteStatement } from './noting-writes.js'
export { OneHandle } from './one-handle.js'
export { isStockClient } from './options.js'
export {
  type ConnectionInput,
  type ConnectionOptions,
  type CreatePoolOptions,
  createPool,
  PostgresPool,
  type PostgresPoolOptions,
  takeOver,
} from './pool.js'
export { createPools, type NamedPoolOptions, type PoolsDefaults, type PostgresPools } from './pools.js'
export type { ReplicaInput, ReplicasConfig, ReplicasInput } from './replicas.js'
export { resendsOf } from './single.js'
export { beginStatement, quoted } from './words.js'
