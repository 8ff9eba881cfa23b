// Where the demo runs: a PostgreSQL of its own, or the one in DATABASE_URL; in both a database of its own, and a proxy
// in front of it that can cut the wire.

import { type Admin, connectAdmin } from '@moorings/test/support/admin.js'
import { checkServer } from '@moorings/test/support/check-server.js'
import { startCluster } from '@moorings/test/support/cluster.js'
import { createDatabase, inventName } from '@moorings/test/support/database.js'
import { type FaultProxy, startProxy, targetOf } from '@moorings/test/support/proxy.js'

export interface Server {
  /** For example `PostgreSQL 18.4`. */
  readonly name: string
  /** Leads to the database through the proxy. */
  readonly url: string
  readonly proxy: FaultProxy
  /** Connected past the proxy. */
  readonly admin: Admin
  /** Removes everything the demo made. */
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
    const server = own?.url ?? (await checkServer(process.env.DATABASE_URL ?? ''))
    const database = await createDatabase(inventName('demo'), server)
    closers.push(() => database.drop())
    const proxy = await startProxy({ target: targetOf(database.url) })
    closers.push(() => proxy.close())
    const admin = connectAdmin(database.url)
    closers.push(() => admin.end())
    // Where the server lets us: to wait a second for each deadlock would make the demo a slow one.
    await admin.query(`alter database "${database.name}" set deadlock_timeout = '50ms'`).catch(() => {})
    const [version] = await admin.query<{ server_version: string }>('show server_version')
    const url = new URL(proxy.through(database.url))
    url.searchParams.set('application_name', applicationName)
    return { name: `PostgreSQL ${version?.server_version}`, url: url.href, proxy, admin, close }
  } catch (error) {
    await close()
    throw error
  }
}
