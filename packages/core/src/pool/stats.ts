// The pool's snapshot: plain numbers and strings, read from the rooms that keep them.

import type { Connection } from '../driver.js'
import { endpointName } from '../endpoint-name.js'
import type { PoolCounts } from '../errors.js'
import type { HealthStatus } from '../events.js'
import type { Accounts } from './accounts.js'
import type { Connector } from './connector.js'
import type { LeakWatch } from './leaks.js'
import type { Entry, Roster } from './roster.js'
import type { ConnectionStats, EndpointStats, PoolState, PoolStats } from './setup.js'
import type { Supply } from './supply.js'

export interface StatsParts<C extends Connection> {
  readonly name: string
  readonly state: PoolState
  readonly epoch: number
  readonly now: number
  readonly counts: PoolCounts
  readonly roster: Roster<C>
  readonly supply: Supply<C>
  readonly connector: Connector<C>
  readonly accounts: Accounts
  readonly leaks: LeakWatch<C>
  readonly health: HealthStatus | undefined
}

export function snapshot<C extends Connection>(parts: StatsParts<C>): PoolStats {
  const { name, state, epoch, now, counts, roster, supply, connector, accounts, leaks, health } = parts
  const { created, closed, closedBy, lost } = roster
  const { acquired, timeouts, refused, aborted, failed } = accounts
  const { min, minIdle, max } = supply.size
  const { lastError } = connector
  const entries = roster.all()
  accounts.rotate(now)
  return {
    ...counts,
    name,
    state,
    epoch,
    min,
    minIdle,
    warm: supply.warm,
    overflowing: Math.max(0, roster.size - max),
    utilisation: counts.leased / max,
    created,
    closed,
    closedBy: { ...closedBy },
    lost,
    connectFailures: connector.failed,
    lastConnectError: lastError && { name: lastError.name, code: lastError.code, message: lastError.message },
    acquired,
    timeouts,
    refused,
    aborted,
    failed,
    leaks: { now: leaks.now, found: leaks.found, reclaimed: leaks.reclaimed },
    wait: accounts.wait.snapshot(),
    use: accounts.use.snapshot(),
    connect: accounts.connect.snapshot(),
    connections: entries.map((entry) => ofConnection(entry, now)),
    endpoints: byEndpoint(entries),
    health,
  }
}

function ofConnection({ connection, state, lease, arrivedAt, idleSince, uses }: Entry, now: number): ConnectionStats {
  return {
    id: connection.id,
    endpoint: endpointName(connection.endpoint),
    state,
    ageMs: now - arrivedAt,
    forMs: now - (lease?.takenAt ?? idleSince),
    uses,
  }
}

function byEndpoint(entries: readonly Entry[]): Record<string, EndpointStats> {
  const found = new Map<string, EndpointStats>()
  for (const { connection, lease } of entries) {
    const name = endpointName(connection.endpoint)
    const { connections = 0, leased = 0 } = found.get(name) ?? {}
    found.set(name, {
      role: connection.endpoint.role,
      connections: connections + 1,
      leased: leased + (lease === undefined ? 0 : 1),
    })
  }
  return Object.fromEntries(found)
}
