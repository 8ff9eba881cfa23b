// The end of a pool: nobody new, what is idle goes, leases may finish for a while, the rest is destroyed.

import type { Deadlines } from '../deadlines.js'
import type { Connection } from '../driver.js'
import { PoolClosedError } from '../errors.js'
import { publish } from '../events.js'
import type { Lending } from './lending.js'
import type { Upkeep } from './upkeep.js'

export interface ShutdownParts<C extends Connection> {
  readonly lending: Lending<C>
  readonly deadlines: Deadlines
  readonly upkeep: Upkeep
  /** What a pool of a certain driver holds besides its connections. */
  readonly closeOthers: (timeoutMs: number) => Promise<void>
}

/** Afterwards no socket and no timer is left. Never rejects. */
export async function shutDown<C extends Connection>(parts: ShutdownParts<C>, timeoutMs: number): Promise<void> {
  const { lending, deadlines, upkeep, closeOthers } = parts
  const { identity, lifecycle, roster, members, waiters, warmUp, connector, farewells, liveness, drain } = lending
  const startedAt = deadlines.clock.now()
  const { leased, waiting } = lending.counts()
  lifecycle.move('closing')
  members.farewellMs = timeoutMs
  publish('moorings:pool:closing', identity, () => ({ leased, waiting, timeoutMs }))
  waiters.rejectAll(() => new PoolClosedError('The pool was closed while this caller waited for a connection'))
  warmUp.rejectAll(new PoolClosedError('The pool was closed while it started'))
  connector.abort(new PoolClosedError('The pool was closed while connecting'))
  upkeep.stop()
  const asked = liveness.stop()
  const others = closeOthers(timeoutMs)
  for (const entry of [...roster.idle]) members.retire(entry, 'closing')
  await new Promise<void>((resolve) => {
    deadlines.add(timeoutMs, resolve)
    void allLeft(lending).then(resolve)
  })
  const late = new PoolClosedError(`The pool was closed and this lease did not come back within ${timeoutMs} ms`)
  drain.end()
  const destroyed = roster.all()
  for (const entry of destroyed) members.takeBack(entry, 'closing', late)
  farewells.destroy(late)
  await Promise.all([others, asked, farewells.over()])
  lending.endpoints.end()
  deadlines.clear(new PoolClosedError('The pool was closed while this was waited for'))
  lifecycle.move('closed')
  const tookMs = deadlines.clock.now() - startedAt
  publish('moorings:pool:closed', identity, () => ({ tookMs, destroyed: destroyed.length }))
}

/** Resolves when every connection has left and said goodbye, also those that arrive in this very turn. */
async function allLeft<C extends Connection>({ roster, farewells }: Lending<C>): Promise<void> {
  do {
    if (roster.size > 0) {
      await new Promise<void>((resolve) => {
        roster.emptied = resolve
      })
    }
    await farewells.over()
  } while (roster.size + farewells.size > 0)
}
