export { type OptionsFromEnv, optionsFromEnv, type PoolStats, type ResilienceOptions } from '@moorings/core'
export * from '@moorings/core/errors'
export type { TypeParsers } from './codec.js'
export {
  type OwnPoolConfig,
  ResilientPostgresDialect,
  type ResilientPostgresDialectConfig,
  type SharedPoolConfig,
} from './dialect.js'
