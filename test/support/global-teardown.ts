// The end of a run of jest: our own clusters go, the user's server stays.

import type { Run } from './global-setup.js'

export default async function globalTeardown(): Promise<void> {
  const { mooringsClusters = [] }: Run = globalThis
  await Promise.all(mooringsClusters.map((cluster) => cluster.stop()))
}
