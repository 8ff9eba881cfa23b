// What production does to connections: backends are terminated, the network resets what is open, and cuts the wire just
// when a COMMIT is on its way or its answer is.

import { setTimeout as pause } from 'node:timers/promises'
import { killBackends } from '@moorings/test/support/admin.js'
import { isCommit } from '@moorings/test/support/matchers.js'
import type { Cut, CutHow } from '@moorings/test/support/rules.js'
import type { Server } from './server.js'

export class Faults {
  readonly #server: Pick<Server, 'admin' | 'proxy'>
  readonly #applicationName: string
  killed = 0
  resets = 0
  /** Turns under way. */
  readonly #turns = new Set<Promise<void>>()
  #resting = false
  /** Cut before the request arrived, and after it, when nobody can know. */
  readonly #cuts: Cut[] = []

  constructor(server: Pick<Server, 'admin' | 'proxy'>, applicationName: string) {
    this.#server = server
    this.#applicationName = applicationName
  }

  /** Until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      repeat({ everyMs: 300, signal }, () => this.#turn(() => this.#kill())),
      repeat({ everyMs: 2_500, signal }, () => this.#turn(() => this.#reset())),
      repeat({ everyMs: 400, signal }, () => this.#turn(async () => this.#cutCommit())),
    ])
    for (const cut of this.#cuts) cut.remove()
  }

  /** Nothing else befalls the banks meanwhile. */
  async restDuring(event: () => Promise<void>): Promise<void> {
    this.#resting = true
    await Promise.all(this.#turns)
    await event()
    this.#resting = false
  }

  async #turn(act: () => Promise<void>): Promise<void> {
    if (this.#resting) return
    const turn = act().finally(() => this.#turns.delete(turn))
    this.#turns.add(turn)
    await turn
  }

  /** COMMITs that were cut so far. */
  get cut(): number {
    return this.#cuts.reduce((sum, { fired }) => sum + fired, 0)
  }

  /** One backend of the banks, at random: idle or in the middle of a transaction. */
  async #kill(): Promise<void> {
    const victim = `pid = (select pid from pg_stat_activity
                            where datname = current_database() and application_name = $1
                            order by random() limit 1)`
    this.killed += (await killBackends(this.#server.admin, victim, [this.#applicationName])).length
  }

  /** The next one. */
  #cutCommit(): void {
    const [when, how]: ['before' | 'after', CutHow] = [
      Math.random() < 0.5 ? 'before' : 'after',
      Math.random() < 0.5 ? 'reset' : 'fin',
    ]
    this.#cuts.push(this.#server.proxy.cutWhen({ direction: 'to-server', match: isCommit, when, how }))
  }

  async #reset(): Promise<void> {
    this.#server.proxy.resetAll()
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
