// For test files: a server of their own that may crash, a database on it and a proxy in front, for as long as the file's
// tests last.

import { afterAll, beforeAll } from '@jest/globals'
import { type Cluster, startCluster } from '../support/cluster.js'
import { createDatabase, type Database } from '../support/database.js'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import { CrashingServer } from './crashing.js'
import type { Place } from './run.js'
import { crashSettings } from './scenarios.js'

export interface CrashingPlace extends Place {
  readonly server: CrashingServer
}

const startMs = 60_000

/** Call at the top of a test file; what it gives is there from `beforeAll` on. */
export function useCrashingPlace(crashesAtMost: number): () => CrashingPlace {
  let cluster: Cluster | undefined
  let database: Database | undefined
  let proxy: FaultProxy | undefined
  let place: CrashingPlace | undefined
  beforeAll(async () => {
    cluster = await startCluster({ settings: crashSettings })
    database = await createDatabase('faults', cluster.url)
    proxy = await startProxy({ target: targetOf(database.url) })
    const server = new CrashingServer(cluster, crashesAtMost)
    place = { url: database.url, admin: database.admin, proxy, crashes: server, server }
  }, startMs)
  afterAll(async () => {
    await proxy?.close()
    await database?.admin.end()
    await cluster?.stop()
  }, startMs)
  return () => {
    if (place === undefined) throw new Error('useCrashingPlace(): it exists only from beforeAll on')
    return place
  }
}
