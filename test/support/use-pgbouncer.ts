// For test files: PgBouncer in front of the run's server, as long as the block's tests run. Where it is not installed they
// are skipped, and say so.

import { afterAll, beforeAll, describe } from '@jest/globals'
import { serverUrl } from './database.js'
import { findPgbouncer, type Pgbouncer, type PgbouncerOptions, startPgbouncer } from './pgbouncer.js'

/** As `describe`; the pooler is there from `beforeAll` on. `url`: of the server behind it, by default the run's. */
export function describeBehindPgbouncer(
  name: string,
  body: (pooler: () => Pgbouncer) => void,
  { url = serverUrl, ...options }: Omit<PgbouncerOptions, 'url'> & { url?: () => string } = {},
): void {
  const missing = findPgbouncer() === undefined
  if (missing) console.warn(`SKIPPED: "${name}", as pgbouncer is not installed (Debian: apt-get install pgbouncer)`)
  const describeOrNot = missing ? describe.skip : describe
  describeOrNot(name, () => {
    let started: Pgbouncer | undefined
    beforeAll(async () => {
      started = await startPgbouncer({ url: url(), ...options })
    })
    afterAll(() => started?.stop())
    body(() => {
      if (!started) throw new Error('describeBehindPgbouncer(): the pooler exists only from beforeAll on')
      return started
    })
  })
}
