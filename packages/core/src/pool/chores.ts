// What a pool looks after from time to time: age, rest, signs of life, leaks, its warm size, its health.

import type { Connection } from '../driver.js'
import { ConnectionLostError } from '../errors.js'
import type { Resilience } from '../options.js'
import type { Lending } from './lending.js'
import type { PoolSetup } from './setup.js'
import type { Chore } from './upkeep.js'

type Options = Resilience['pool']

const never = Number.POSITIVE_INFINITY

export function chores<C extends Connection>(
  lending: Lending<C>,
  { resilience }: PoolSetup<C>,
  checkHealth: () => void,
): Chore[] {
  const { roster, supply, accounts, liveness } = lending
  const { pool: options, health } = resilience
  const { maxLifetimeMs, lifetimeJitter, idleTimeoutMs, keepaliveMs, leakAfterMs, scaling } = options
  return [
    {
      afterMs: maxLifetimeMs && Math.max(1, Math.ceil(maxLifetimeMs * (1 - lifetimeJitter))),
      run: (now) => retireOld(lending, now),
    },
    { afterMs: idleTimeoutMs, run: (now) => retireIdle(lending, options, now) },
    { afterMs: keepaliveMs, run: (now) => keepAlive(lending, options, now) },
    { afterMs: liveness.afterMs, run: (now) => liveness.look(now) },
    { afterMs: leakAfterMs, run: (now) => reportLeaks(lending, options, now) },
    {
      afterMs: scaling === false ? 0 : scaling.everyMs,
      run: (now) => {
        const inUseMs = roster.leases().reduce((sum, { takenAt }) => sum + now - takenAt, 0)
        return supply.scale(now, accounts.use.snapshot().sumMs + inUseMs)
      },
    },
    periodically(health.everyMs, checkHealth),
  ]
}

function periodically(everyMs: number, run: () => void): Chore {
  let next = Number.NaN
  return {
    afterMs: everyMs,
    run(now) {
      if (Number.isNaN(next)) next = now
      if (now >= next) {
        next = now + everyMs
        run()
      }
      return next
    },
  }
}

function retireOld<C extends Connection>({ roster, checks, members }: Lending<C>, now: number): number {
  let next = never
  for (const entry of [...roster.idle]) {
    const spent = checks.spent(entry, now)
    if (entry.state !== 'idle') continue
    if (spent === undefined) next = Math.min(next, entry.expiresAt)
    else members.retire(entry, spent)
  }
  return next
}

/** The longest at rest first, and never below what is wanted. */
function retireIdle<C extends Connection>(lending: Lending<C>, { idleTimeoutMs }: Options, now: number): number {
  const { roster, supply, members } = lending
  for (const entry of [...roster.idle]) {
    if (roster.size <= supply.wanted) return never
    const until = entry.idleSince + idleTimeoutMs
    if (until > now) return until
    if (entry.state === 'idle') members.retire(entry, 'idle')
  }
  return never
}

function keepAlive<C extends Connection>(lending: Lending<C>, { keepaliveMs }: Options, now: number): number {
  const { roster, checks } = lending
  let next = never
  for (const entry of [...roster.idle]) {
    const due = entry.seenAt + keepaliveMs
    if (due > now) next = Math.min(next, due)
    else if (roster.rouse(entry)) void checks.keepalive(entry)
  }
  return next
}

function reportLeaks<C extends Connection>(lending: Lending<C>, options: Options, now: number): number {
  const { roster, leaks, members } = lending
  const { taken, next } = leaks.look(roster.all(), now, options.reclaimLeaks)
  for (const entry of taken) {
    members.takeBack(
      entry,
      'reclaimed',
      // Whoever has held it for too long would do so again.
      new ConnectionLostError(`The lease was held for longer than ${options.leakAfterMs} ms, and was taken back`, {
        retry: 'never',
      }),
    )
  }
  return next
}
