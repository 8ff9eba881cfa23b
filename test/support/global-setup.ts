// Once per run of jest: a server for all test files, the user's (DATABASE_URL) or a cluster of our own.

import Module from 'node:module'
import type { Cluster } from './cluster.js'

// jest loads this file, and what it loads in turn, as CommonJS transformed on the fly, but resolves with Node's own
// resolver, which does not know that `./cluster.js` is written in cluster.ts. Hence the imports below are dynamic.
const resolver = Module as unknown as { _resolveFilename(request: string, ...rest: unknown[]): string }
const resolveFilename = resolver._resolveFilename
function resolveTypeScript(request: string, ...rest: unknown[]): string {
  if (request.startsWith('./') && request.endsWith('.js')) {
    try {
      return resolveFilename.call(Module, request.replace(/\.js$/, '.ts'), ...rest)
    } catch {
      // Not one of ours.
    }
  }
  return resolveFilename.call(Module, request, ...rest)
}

/** What is imported in there is found. */
export async function withTypeScript(body: () => Promise<void>): Promise<void> {
  resolver._resolveFilename = resolveTypeScript
  try {
    await body()
  } finally {
    resolver._resolveFilename = resolveFilename
  }
}

/** What is to be stopped at the end. */
export type Run = typeof globalThis & { mooringsClusters?: Cluster[] }

export function stopAtTheEnd(cluster: Cluster): void {
  const run: Run = globalThis
  run.mooringsClusters ??= []
  run.mooringsClusters.push(cluster)
}

export default function globalSetup(): Promise<void> {
  return withTypeScript(async () => {
    const { serverUrlVariable } = await import('./database.js')
    const { checkServer } = await import('./check-server.js')
    const { startCluster } = await import('./cluster.js')
    const own = process.env.DATABASE_URL ? undefined : await startCluster()
    if (own !== undefined) stopAtTheEnd(own)
    // Inherited by jest's workers, which are forked after this.
    process.env[serverUrlVariable] = own?.url ?? (await checkServer(process.env.DATABASE_URL ?? ''))
  })
}
