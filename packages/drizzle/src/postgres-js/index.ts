export { drizzle, type ResilientDatabase, type ResilientDrizzleConfig } from './driver.js'
