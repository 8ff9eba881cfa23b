// Whether the server in DATABASE_URL can serve the tests, told before the first of them fails for it.

import { connectAdmin } from './admin.js'

const oldestVersion = 15

/** Returns the URL when the server is new enough and its user can create databases. */
export async function checkServer(url: string): Promise<string> {
  const admin = connectAdmin(url)
  try {
    const [server] = await admin.query<{ version: number; allowed: boolean; name: string }>(
      `select current_setting('server_version_num')::int / 10000 as version, rolcreatedb or rolsuper as allowed,
              current_user as name
         from pg_roles where rolname = current_user`,
    )
    if (!server) throw new Error('the server does not know its own user')
    if (server.version < oldestVersion) throw new Error(`PostgreSQL ${oldestVersion} or newer is needed`)
    if (!server.allowed) throw new Error(`the user ${server.name} cannot create databases`)
    return url
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`the server in DATABASE_URL does not serve the tests: ${reason}`, { cause })
  } finally {
    await admin.end()
  }
}
