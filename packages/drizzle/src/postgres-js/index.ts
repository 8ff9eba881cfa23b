export {
  drizzle,
  type ResilientDatabase,
  type ResilientDatabaseWithReplicas,
  type ResilientDrizzleConfig,
} from './driver.js'
