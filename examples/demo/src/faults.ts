// What production does to connections: backends are terminated, and the network resets what is open.

import { setTimeout as pause } from 'node:timers/promises'
import { type Admin, killBackends } from '@moorings/test/support/admin.js'
import type { FaultProxy } from '@moorings/test/support/proxy.js'

export class Faults {
  readonly #admin: Admin
  readonly #proxy: FaultProxy
  readonly #applicationName: string
  killed = 0
  resets = 0

  constructor(admin: Admin, proxy: FaultProxy, applicationName: string) {
    this.#admin = admin
    this.#proxy = proxy
    this.#applicationName = applicationName
  }

  /** Until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      repeat({ everyMs: 300, signal }, () => this.#kill()),
      repeat({ everyMs: 2_500, signal }, () => this.#reset()),
    ])
  }

  /** One backend of the banks, at random: idle or in the middle of a transaction. */
  async #kill(): Promise<void> {
    const victim = `pid = (select pid from pg_stat_activity
                            where datname = current_database() and application_name = $1
                            order by random() limit 1)`
    this.killed += (await killBackends(this.#admin, victim, [this.#applicationName])).length
  }

  async #reset(): Promise<void> {
    this.#proxy.resetAll()
    this.resets++
  }
}

/** With a pause of 50 to 150 per cent of `everyMs` before each turn. */
async function repeat(
  { everyMs, signal }: { everyMs: number; signal: AbortSignal },
  turn: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await pause(everyMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {})
    if (!signal.aborted) await turn()
  }
}
