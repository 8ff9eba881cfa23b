// What speaks against that which the pool says it does: lending this connection, refusing that caller, letting go of a
// connection for that reason.

import {
  AcquireAbortedError,
  AcquireTimeoutError,
  CircuitOpenError,
  ConnectError,
  HookError,
  type MooringsError,
  PoolClosedError,
  PoolSuspendedError,
  QueueFullError,
  SelfDeadlockError,
} from '../errors.js'
import type { CloseReason } from '../events.js'
import type { PoolModel } from './model.js'
import type { Borrower, Member } from './model-parts.js'

/** @param direct whether it is lent to one who has just come, rather than to the first in line */
export function againstLending(model: PoolModel, id: number, direct: boolean): string[] {
  const { maxUses = 0 } = model.scenario.pool
  const member = model.lives.get(id)
  const against = [
    model.phase !== 'running' && `by a pool that is ${model.phase}`,
    model.holders.has(id) && `although it is held by ${model.holders.get(id)?.name}`,
    direct && model.line.length > 0 && `over the head of ${model.line[0]?.name}`,
    model.sight.unfit(id) ?? false,
    member === undefined && 'although it does not live',
    member?.stale === true && 'although it is stale',
    member !== undefined && maxUses > 0 && member.uses >= maxUses && 'although it has had its uses',
    member !== undefined && old(model, member, 0) && 'although it is too old',
    member !== undefined && direct && restsFresher(model, member) && 'although another was used later',
  ]
  return against.filter((one) => typeof one === 'string')
}

export function againstRefusing(model: PoolModel, borrower: Borrower, error: MooringsError): string | undefined {
  const { phase, closed, refusesAt, refusesUs, lives, scenario, sight } = model
  if (error instanceof AcquireTimeoutError) {
    const leftMs = model.leftMs(borrower)
    if (phase === 'suspended') return 'while its time stands still'
    return leftMs > 0 ? `${leftMs} ms too early` : undefined
  }
  if (error instanceof AcquireAbortedError) return borrower.aborted ? undefined : 'although its signal has not fired'
  if (error instanceof PoolClosedError) return closed ? undefined : 'although it is not closed'
  if (error instanceof QueueFullError) return mayWait(model) ? 'although more may wait' : undefined
  if (error instanceof PoolSuspendedError) {
    return sight.now() >= refusesAt ? undefined : 'although nobody is to be refused yet'
  }
  if (error instanceof SelfDeadlockError) return standstill(model) ? undefined : 'although a connection can come'
  if (error instanceof HookError) {
    return scenario.hooks.beforeAcquire.length > 0 ? undefined : 'although there is no such hook'
  }
  if (error instanceof CircuitOpenError) {
    return lives.size === 0 ? undefined : 'although a connection lives'
  }
  if (error instanceof ConnectError) {
    return refusesUs && lives.size === 0 ? undefined : 'although trying again may help'
  }
  return 'which no caller should see'
}

/** Whether a connection, which is not in the pool any more, may have left it for this reason. */
export function mayLeave(model: PoolModel, member: Member, reason: CloseReason): boolean {
  const { scenario, lives, size, holders, sight, closed } = model
  const { maxUses = 0, idleTimeoutMs = 0, lifetimeJitter = 0, leakAfterMs = 0, reclaimLeaks } = scenario.pool
  const { id, idleSince, uses, stale } = member
  const now = sight.now()
  const holder = holders.get(id)
  const free = holder === undefined
  const may: Record<CloseReason, boolean> = {
    lost: sight.lost(id),
    destroyed: sight.lost(id),
    overflow: free && lives.size >= size.max,
    lifetime: free && old(model, member, lifetimeJitter),
    uses: free && maxUses > 0 && uses >= maxUses,
    worn: false,
    idle: free && idleTimeoutMs > 0 && now - idleSince >= idleTimeoutMs && lives.size >= size.min,
    epoch: free && stale,
    evicted: model.evicting.has(id),
    unfit: free && uses > 0,
    invalid: free && !scenario.calm,
    hook: free && scenario.hooks.beforeAcquire.length + scenario.hooks.afterRelease.length > 0,
    reclaimed: reclaimLeaks === true && holder !== undefined && now - holder.takenAt >= leakAfterMs,
    closing: closed && (free || now >= model.destroysAt),
  }
  return may[reason]
}

/** Whether one more may wait. Whoever can be given a connection without another caller's help does not count. */
export function mayWait({ scenario, line, phase, sight }: PoolModel): boolean {
  const { idle, leased, max, overflow } = sight.stats()
  const atHand = phase === 'suspended' ? 0 : idle + Math.max(0, max + overflow - idle - leased)
  return line.length - atHand < scenario.pool.maxWaiters
}

/** Whether all that lives is held by those who wait themselves. */
function standstill({ line, lives, holders }: PoolModel): boolean {
  const waiting = new Set<Borrower>()
  for (const { within } of line) {
    for (let outer = within; outer !== undefined; outer = outer.within) waiting.add(outer)
  }
  return [...lives.keys()].every((id) => {
    const holder = holders.get(id)
    return holder !== undefined && waiting.has(holder)
  })
}

function restsFresher({ sight, lives }: PoolModel, { idleSince }: Member): boolean {
  const resting = sight.stats().connections.filter(({ state }) => state === 'idle')
  return resting.some(({ id }) => (lives.get(id)?.idleSince ?? 0) > idleSince)
}

/** @param jitter how much of its lifetime it may have been spared */
function old({ scenario, sight }: PoolModel, { arrivedAt }: Member, jitter: number): boolean {
  const { maxLifetimeMs = 0 } = scenario.pool
  return maxLifetimeMs > 0 && sight.now() >= arrivedAt + maxLifetimeMs * (1 - jitter)
}
