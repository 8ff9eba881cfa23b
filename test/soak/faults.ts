// What servers and networks do to connections, one thing after the other.

import { setTimeout as pause } from 'node:timers/promises'
import { type Admin, killBackends } from '../support/admin.js'
import { isCommit } from '../support/matchers.js'
import type { FaultProxy } from '../support/proxy.js'
import { draw } from './random.js'

export interface Target {
  readonly admin: Admin
  readonly applicationName: string
  /** Without one the network is left alone. */
  readonly proxy?: FaultProxy | undefined
  readonly random: () => number
}

interface Fault {
  readonly name: string
  readonly share: number
  readonly strike: (proxy: FaultProxy, random: () => number) => unknown
  /** How long until the network is as it was. */
  readonly lastsMs: number
}

const ofNetworks: readonly Fault[] = [
  { name: 'reset', share: 4, strike: (proxy) => proxy.resetAll(), lastsMs: 0 },
  { name: 'closed', share: 2, strike: (proxy) => proxy.closeAll(), lastsMs: 0 },
  { name: 'latency', share: 4, strike: (proxy, random) => proxy.delay(5 + random() * 45), lastsMs: 500 },
  { name: 'black hole', share: 1, strike: (proxy) => proxy.swallow(), lastsMs: 1_500 },
  { name: 'one-way black hole', share: 1, strike: (proxy) => proxy.swallow('to-client'), lastsMs: 500 },
  { name: 'refused', share: 1, strike: refuse, lastsMs: 500 },
  { name: 'COMMIT cut', share: 3, strike: cutCommits, lastsMs: 300 },
]

export class Faults {
  readonly #target: Target
  /** How often each has struck. */
  readonly struck: Record<string, number> = {}

  constructor(target: Target) {
    this.#target = target
  }

  /** Until the signal fires; then the network is as it was. */
  async run(signal: AbortSignal): Promise<void> {
    const { proxy, random } = this.#target
    await Promise.all([
      repeat({ everyMs: 300, random, signal }, () => this.#kill()),
      proxy && repeat({ everyMs: 1_500, random, signal }, () => this.#strike(proxy, signal)),
    ])
    await proxy?.restore()
  }

  async #strike(proxy: FaultProxy, signal: AbortSignal): Promise<void> {
    const { random } = this.#target
    const { name, strike, lastsMs } = draw(ofNetworks, random)
    this.#count(name)
    await strike(proxy, random)
    if (lastsMs === 0) return
    await pause(lastsMs, undefined, { signal }).catch(() => {})
    await proxy.restore()
  }

  /** One backend of the pool, whatever it is doing. */
  async #kill(): Promise<void> {
    const { admin, applicationName } = this.#target
    const victim = `pid = (select pid from pg_stat_activity
                            where datname = current_database() and application_name = $1
                            order by random() limit 1)`
    for (const _ of await killBackends(admin, victim, [applicationName])) this.#count('backend terminated')
  }

  #count(name: string): void {
    this.struck[name] = (this.struck[name] ?? 0) + 1
  }
}

/** Those that exist are reset, and so is who comes next. */
function refuse(proxy: FaultProxy, random: () => number): void {
  proxy.refuse(random() < 0.5 ? 'closed' : 'reset')
  proxy.resetAll()
}

function cutCommits(proxy: FaultProxy, random: () => number): void {
  const when = random() < 0.5 ? 'before' : 'after'
  proxy.cutWhen({ direction: 'to-server', match: isCommit, when, how: 'reset', times: 2 })
}

/** With a pause of 50 to 150 per cent of `everyMs` before each turn. */
async function repeat(
  { everyMs, random, signal }: { everyMs: number; random: () => number; signal: AbortSignal },
  turn: () => Promise<void>,
): Promise<void> {
  while (!signal.aborted) {
    await pause(everyMs * (0.5 + random()), undefined, { signal }).catch(() => {})
    if (!signal.aborted) await turn()
  }
}
