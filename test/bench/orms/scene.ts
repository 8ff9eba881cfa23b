// The server that is asked, its tables, and the wires to it.

import { checkServer } from '../../support/check-server.js'
import { startCluster } from '../../support/cluster.js'
import { createDatabase, type Database, inventName } from '../../support/database.js'
import { makeTables } from './tables.js'
import { startWire, type Wire, type WireName } from './wire.js'

/** Nothing of its own accord while it is measured, and room for a connection for each of a hundred callers, and more. */
const settings = {
  autovacuum: false,
  max_connections: 500,
  shared_buffers: '256MB',
  checkpoint_timeout: '1h',
  max_wal_size: '8GB',
}

const samples = { usual: 300, quick: 40 }

export interface Scene {
  readonly wires: ReadonlyMap<WireName, Wire>
  end(): Promise<void>
}

/** Of the server in DATABASE_URL, if there is one, a database of its own. */
export async function openScene(names: readonly WireName[], quick: boolean): Promise<Scene> {
  const own = process.env.DATABASE_URL ? undefined : await startCluster({ settings })
  const wires = new Map<WireName, Wire>()
  let database: Database | undefined
  const end = async () => {
    for (const wire of wires.values()) wire.end()
    if (own === undefined) await database?.drop()
    else await database?.admin.end()
    await own?.stop()
  }
  try {
    const server = own?.url ?? (await checkServer(process.env.DATABASE_URL ?? ''))
    database = await createDatabase(inventName('bench'), server)
    await database.admin.query(makeTables)
    // Compilers are warmed up on the first of them.
    for (const name of new Set<WireName>(['loopback', ...names])) {
      wires.set(name, await startWire(name, database.url, quick ? samples.quick : samples.usual))
    }
    return { wires, end }
  } catch (error) {
    await end()
    throw error
  }
}
