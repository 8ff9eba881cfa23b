// Where a soak takes place: a PostgreSQL of its own, or the one in DATABASE_URL; in both a database of its own, and a
// proxy in front of it.

import { type Admin, connectAdmin } from '../support/admin.js'
import { checkServer } from '../support/check-server.js'
import { startCluster } from '../support/cluster.js'
import { createDatabase, inventName } from '../support/database.js'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'

export interface Server {
  /** For example `PostgreSQL 18.4`. */
  readonly name: string
  /** Leads to the database through the proxy. */
  readonly url: string
  readonly proxy: FaultProxy
  /** Connected past the proxy. */
  readonly admin: Admin
  /** Removes everything. */
  close(): Promise<void>
}

export async function openServer(applicationName: string): Promise<Server> {
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer()
  }
  try {
    const own = process.env.DATABASE_URL ? undefined : await startCluster()
    if (own) closers.push(() => own.stop())
    const database = await createDatabase(
      inventName('soak'),
      own?.url ?? (await checkServer(process.env.DATABASE_URL ?? '')),
    )
    closers.push(() => database.drop())
    const proxy = await startProxy({ target: targetOf(database.url) })
    closers.push(() => proxy.close())
    const admin = connectAdmin(database.url)
    closers.push(() => admin.end())
    const [version] = await admin.query<{ server_version: string }>('show server_version')
    const url = new URL(proxy.through(database.url))
    url.searchParams.set('application_name', applicationName)
    return { name: `PostgreSQL ${version?.server_version}`, url: url.href, proxy, admin, close }
  } catch (error) {
    await close()
    throw error
  }
}
