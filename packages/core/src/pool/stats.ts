// The pool's snapshot: plain numbers and strings, read from the rooms that keep them.

import type { Connection } from '../driver.js'
import { endpointName } from '../endpoint-name.js'
import type { Endpoints } from '../endpoints/endpoints.js'
import type { Lending } from './lending.js'
import type { Entry } from './roster.js'
import type { ConnectionStats, EndpointStats, PoolStats } from './setup.js'

export function snapshot<C extends Connection>(
  lending: Lending<C>,
  now: number,
  parts: Pick<PoolStats, 'name' | 'health' | 'transactions' | 'statements' | 'sessions'>,
): PoolStats {
  const { lifecycle, members, roster, supply, connector, accounts, leaks, endpoints, liveness } = lending
  const counts = lending.counts()
  const { created, closed, closedBy, lost } = roster
  const { acquired, timeouts, refused, aborted, failed } = accounts
  const { min, minIdle, max } = supply.size
  const { lastError } = connector
  const entries = roster.all()
  const { name, health, transactions, statements, sessions } = parts
  accounts.rotate(now)
  return {
    ...counts,
    name,
    state: lifecycle.state,
    epoch: members.epoch,
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
    leaks: { now: leaks.count(roster.leases()), found: leaks.found, reclaimed: leaks.reclaimed },
    wait: accounts.wait.snapshot(),
    use: accounts.use.snapshot(),
    connect: accounts.connect.snapshot(),
    liveness: liveness.stats,
    transactions,
    statements,
    sessions,
    connections: entries.map((entry) => ofConnection(entry, now)),
    endpoints: byEndpoint(entries, endpoints),
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

function byEndpoint<C extends Connection>(
  entries: readonly Entry<C>[],
  endpoints: Endpoints<C>,
): Record<string, EndpointStats> {
  const found = new Map<string, EndpointStats>()
  for (const { name, role, breaker } of endpoints.all()) {
    found.set(name, { role, breaker: breaker?.state, connections: 0, leased: 0 })
  }
  for (const { connection, lease } of entries) {
    const name = endpointName(connection.endpoint)
    const { breaker, connections = 0, leased = 0 } = found.get(name) ?? {}
    found.set(name, {
      role: connection.role,
      breaker,
      connections: connections + 1,
      leased: leased + (lease === undefined ? 0 : 1),
    })
  }
  return Object.fromEntries(found)
}
