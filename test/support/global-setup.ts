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

export type Run = typeof globalThis & { mooringsCluster?: Cluster }

export default async function globalSetup(): Promise<void> {
  resolver._resolveFilename = resolveTypeScript
  try {
    const { serverUrlVariable } = await import('./database.js')
    const { checkServer } = await import('./check-server.js')
    const { startCluster } = await import('./cluster.js')
    const own = process.env.DATABASE_URL ? undefined : await startCluster()
    ;(globalThis as Run).mooringsCluster = own
    // Inherited by jest's workers, which are forked after this.
    process.env[serverUrlVariable] = own?.url ?? (await checkServer(process.env.DATABASE_URL ?? ''))
  } finally {
    resolver._resolveFilename = resolveFilename
  }
}
