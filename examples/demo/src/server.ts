// Where the demo runs: a primary with a standby of its own, or the server in DATABASE_URL; in front of each a proxy that can
// cut the wire.

import { type Admin, connectAdmin } from '@moorings/test/support/admin.js'
import { checkServer } from '@moorings/test/support/check-server.js'
import { createDatabase, inventName } from '@moorings/test/support/database.js'
import { type FaultProxy, startProxy, targetOf } from '@moorings/test/support/proxy.js'
import { type Replicated, startReplicated } from '@moorings/test/support/replicated.js'

export interface Server {
  /** For example `PostgreSQL 18.4`. */
  readonly name: string
  /** Leads through the proxies. */
  readonly url: string
  /** In front of the primary, as of now. */
  readonly proxy: FaultProxy
  /** Connected to it past the proxy. */
  readonly admin: Admin
  /** Ends the primary as a power cut would, and promotes its standby. Undefined for a server that is not the demo's own. */
  readonly failOver: (() => Promise<void>) | undefined
  /** Removes everything the demo made. */
  close(): Promise<void>
}

export async function openServer(applicationName: string): Promise<Server> {
  return process.env.DATABASE_URL ? openGiven(process.env.DATABASE_URL, applicationName) : openOwn(applicationName)
}

/** A COMMIT is acknowledged when the standby has it, too: so nothing is lost with the primary. */
async function openOwn(applicationName: string): Promise<Server> {
  // To wait a second for each deadlock would make the demo a slow one.
  const servers = await startReplicated({ synchronous: true, settings: { deadlock_timeout: '50ms' } })
  try {
    const { primary } = servers
    const places = servers.nodes.map(({ proxy }) => `${proxy.host}:${proxy.port}`).join(',')
    const url = new URL(primary.url())
    const parameters = new URLSearchParams({
      target_session_attrs: 'read-write',
      application_name: applicationName,
    })
    return {
      name: `${await nameOf(primary.admin)}, a primary with a synchronous standby`,
      // No URL object holds several hosts.
      url: `${url.href.replace(url.host, places)}?${parameters}`,
      get proxy() {
        return servers.primary.proxy
      },
      get admin() {
        return servers.primary.admin
      },
      failOver: () => failOver(servers),
      close: () => servers.stop(),
    }
  } catch (error) {
    await servers.stop()
    throw error
  }
}

async function failOver(servers: Replicated): Promise<void> {
  const [standby] = servers.standbys
  if (standby === undefined) throw new Error('there is no standby to fail over to')
  await servers.primary.server.kill('SIGKILL')
  await servers.failOver(standby)
}

async function openGiven(given: string, applicationName: string): Promise<Server> {
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await closer()
  }
  try {
    const database = await createDatabase(inventName('demo'), await checkServer(given))
    closers.push(() => database.drop())
    const proxy = await startProxy({ target: targetOf(database.url) })
    closers.push(() => proxy.close())
    const admin = connectAdmin(database.url)
    closers.push(() => admin.end())
    // Where the server lets us.
    await admin.query(`alter database "${database.name}" set deadlock_timeout = '50ms'`).catch(() => {})
    const url = new URL(proxy.through(database.url))
    url.searchParams.set('application_name', applicationName)
    return { name: await nameOf(admin), url: url.href, proxy, admin, failOver: undefined, close }
  } catch (error) {
    await close()
    throw error
  }
}

async function nameOf(admin: Admin): Promise<string> {
  const [version] = await admin.query<{ server_version: string }>('show server_version')
  return `PostgreSQL ${version?.server_version}`
}
