// What a pool looks after from time to time: age, rest, signs of life, leaks, its warm size, its health.

import type { Deadlines } from '../deadlines.js'
import type { Connection } from '../driver.js'
import { ConnectionLostError, type MooringsError } from '../errors.js'
import type { CloseReason } from '../events.js'
import type { Resilience } from '../options.js'
import type { Accounts } from './accounts.js'
import type { Checks } from './checks.js'
import type { LeakWatch } from './leaks.js'
import type { Entry, Roster } from './roster.js'
import type { Supply } from './supply.js'
import type { Chore } from './upkeep.js'

export interface ChoreParts<C extends Connection> {
  readonly deadlines: Deadlines
  readonly options: Resilience['pool']
  readonly roster: Roster<C>
  readonly checks: Checks<C>
  readonly supply: Supply<C>
  readonly leaks: LeakWatch<C>
  readonly accounts: Accounts
  readonly retire: (entry: Entry<C>, reason: CloseReason) => void
  readonly evict: (entry: Entry<C>, reason: CloseReason, error: MooringsError) => void
  readonly checkHealth: () => void
}

const never = Number.POSITIVE_INFINITY

export function chores<C extends Connection>(parts: ChoreParts<C>, { health }: Resilience): Chore[] {
  const { options, roster, supply, accounts, checkHealth } = parts
  const { maxLifetimeMs, lifetimeJitter, idleTimeoutMs, keepaliveMs, leakAfterMs, scaling } = options
  return [
    { afterMs: Math.ceil(maxLifetimeMs * (1 - lifetimeJitter)), run: (now) => retireOld(parts, now) },
    { afterMs: idleTimeoutMs, run: (now) => retireIdle(parts, now) },
    { afterMs: keepaliveMs, run: (now) => keepAlive(parts, now) },
    { afterMs: leakAfterMs, run: (now) => reportLeaks(parts, now) },
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

function retireOld<C extends Connection>({ roster, checks, retire }: ChoreParts<C>, now: number): number {
  let next = never
  for (const entry of [...roster.idle]) {
    const spent = checks.spent(entry, now)
    if (spent === undefined) next = Math.min(next, entry.expiresAt)
    else retire(entry, spent)
  }
  return next
}

/** The longest at rest first, and never below what is wanted. */
function retireIdle<C extends Connection>(parts: ChoreParts<C>, now: number): number {
  const { roster, supply, options, retire } = parts
  for (const entry of [...roster.idle]) {
    if (roster.size <= supply.wanted) return never
    const until = entry.idleSince + options.idleTimeoutMs
    if (until > now) return until
    retire(entry, 'idle')
  }
  return never
}

function keepAlive<C extends Connection>({ roster, checks, options }: ChoreParts<C>, now: number): number {
  let next = never
  for (const entry of [...roster.idle]) {
    const due = entry.seenAt + options.keepaliveMs
    if (due > now) next = Math.min(next, due)
    else if (roster.rouse(entry)) void checks.keepalive(entry)
  }
  return next
}

function reportLeaks<C extends Connection>({ roster, leaks, options, evict }: ChoreParts<C>, now: number): number {
  const { taken, next } = leaks.look(roster.all(), now, options.reclaimLeaks)
  for (const entry of taken) {
    evict(
      entry,
      'reclaimed',
      new ConnectionLostError(`The lease was held for longer than ${options.leakAfterMs} ms, and was taken back`),
    )
  }
  return next
}
