// The end of a run of jest: our own cluster goes, the user's server stays.

import type { Run } from './global-setup.js'

export default async function globalTeardown(): Promise<void> {
  await (globalThis as Run).mooringsCluster?.stop()
}
