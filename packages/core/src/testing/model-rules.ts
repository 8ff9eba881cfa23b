// What must hold whenever everything that could happen by itself has happened: between the pool's own figures, the
// connections there are, and the model.

import { STORM } from './fake-driver.js'
import type { ModelRun } from './model-run.js'

/** Upkeep looks no oftener than this, and no seldomer than what it looks after needs. */
const LEAST_MS = 1_000

/** The names of the rules that are broken, with the figures. */
export function broken(run: ModelRun): string[] {
  const { model, setup, scenario, errands } = run
  const { pool, driver, clock } = setup
  const stats = pool.stats()
  const { idle, leased, connecting, waiting, max, overflow, connections, lastConnectError } = stats
  const { allowExitOnIdle, maxUses = 0, maxLifetimeMs = 0, idleTimeoutMs = 0, leakAfterMs = 0 } = scenario.pool
  const { lives, holders, line } = model
  const now = clock.now()

  const living = idle + leased
  const total = living + connecting
  const running = model.phase === 'running'
  const upkept = !run.stalled && (running || model.phase === 'suspended')
  const resting = connections.filter(({ state }) => state === 'idle')
  const checking = connections.filter(({ state }) => state === 'checking').length
  // How long something may go unseen by upkeep that is due.
  const unseen = (afterMs: number) => Math.max(LEAST_MS, afterMs)
  const wanted = Math.min(max, Math.max(stats.warm, stats.minIdle === 0 ? 0 : leased + stats.minIdle))
  const backingOff = lastConnectError !== undefined && (run.stalled || now <= model.retryBy)
  // One connect finds out for all whether a server answers again.
  const scouting = lastConnectError !== undefined && connecting > 0
  // A password that was refused is not tried again before somebody waits.
  const lockedOut = model.refusesUs && lastConnectError !== undefined
  const hooked = Object.keys(run.hooks.options)
  const unheard = driver.pending.filter(({ request }) => !request.signal.aborted).length
  const strangers = driver.open.filter(({ id, lost }) => lost === undefined && !lives.has(id)).length
  const asleep = [...lives.values()].filter(({ id }) => resting.some((one) => one.id === id))
  const leaks = [...holders.values()].filter(({ leaked }) => leaked).length

  const holds = {
    // The pool's figures are those of the model, and of the driver.
    'it is where it should be': stats.state === model.phase,
    'it has the size it should':
      stats.min === model.size.min && max === model.size.max && overflow === model.size.overflow,
    'its epoch is that of the model': stats.epoch === model.epoch,
    'its connections are those of the model':
      connections.length === lives.size && connections.every(({ id }) => lives.has(id)),
    'what was made is idle, leased or closed': stats.created - stats.closed === living && living === lives.size,
    'what is leased is what somebody holds': connections.every(
      ({ id, state }) => holders.has(id) === (state === 'leased'),
    ),
    'every use is counted': connections.every(({ id, uses }) => lives.get(id)?.uses === uses),
    'every reason to leave is counted': Object.values(stats.closedBy).reduce((sum, n) => sum + n, 0) === stats.closed,
    'whoever waits is counted': waiting === line.length,
    'whoever was served or not is counted': Object.entries(model.totals).every(
      ([name, n]) => Reflect.get(stats, name) === n,
    ),
    'every leak is counted':
      stats.leaks.now === leaks &&
      stats.leaks.found === model.leaks.found &&
      stats.leaks.reclaimed === model.leaks.reclaimed,
    'every connect is counted':
      hooked.includes('beforeConnect') || hooked.includes('afterConnect')
        ? connecting >= unheard
        : connecting === unheard,
    'no connection is forgotten': strangers === 0 || hooked.includes('afterConnect') || hooked.includes('beforeClose'),
    'whoever holds something holds what lives': [...holders.keys()].every((id) => lives.has(id)),
    'no connection in the pool is gone': [...lives.keys()].every((id) => driver.connection(id).lost === undefined),

    // Limits.
    'never above max + overflow': total <= model.ceiling,
    'nothing rests while more than max live': resting.length === 0 || living <= max,
    'nothing rests that is not to be lent': asleep.every(
      ({ stale, uses }) => !stale && (maxUses === 0 || uses < maxUses),
    ),
    'nothing rests for ever that is too old':
      !upkept ||
      maxLifetimeMs === 0 ||
      asleep.every(({ arrivedAt }) => now <= arrivedAt + maxLifetimeMs + unseen(maxLifetimeMs)),
    'nothing rests for ever that nobody wants':
      !upkept ||
      idleTimeoutMs === 0 ||
      living <= wanted ||
      asleep.every(
        ({ idleSince }) => now <= Math.max(model.changedAt, idleSince + idleTimeoutMs) + unseen(idleTimeoutMs),
      ),
    'a leak is found':
      !upkept ||
      leakAfterMs === 0 ||
      [...holders].every(([, { leaked, takenAt }]) => leaked || now <= takenAt + leakAfterMs + unseen(leakAfterMs)),

    // Nobody waits for nothing.
    'nobody waits for longer than it wanted': run.stalled || model.overdue().length === 0,
    'nobody waits while a connection rests that nobody looks at':
      !running || waiting <= checking || resting.length === 0,
    'something is done for whoever waits':
      !running || waiting <= checking + connecting || total >= max + overflow || backingOff || scouting,
    'as many are kept as are wanted': !running || total >= wanted || backingOff || scouting || lockedOut,
    'in a calm everybody is served who can be':
      !scenario.calm || !running || (connecting === 0 && checking === 0 && (waiting === 0 || leased >= max + overflow)),
    'a pool that stands still opens nothing': model.ran || run.attempts === driver.attempts.length,

    'connects do not follow each other without a pause': driver.attempts.length <= STORM,

    // The process.
    'only what is needed keeps the process alive': connections.every(({ id, state }) => {
      const { referenced } = driver.connection(id)
      return state === 'idle' ? referenced !== allowExitOnIdle : referenced || state !== 'leased'
    }),
    'no timer of a pool at rest keeps the process alive':
      clock.holding === 0 ||
      hooked.length > 0 ||
      !running ||
      living > resting.length ||
      waiting + connecting > 0 ||
      errands.pending ||
      driver.connections.some((connection) => connection.waiting.length > 0) ||
      driver.open.length > living,
  }
  // Not even while it is above its limit may the number grow.
  model.ceiling = Math.max(max + overflow, Math.min(model.ceiling, total))
  model.ran = running
  run.attempts = driver.attempts.length
  const found = Object.entries(holds).flatMap(([rule, held]) => (held ? [] : [`not kept: ${rule}`]))
  const { closedBy: _, wait, use, connect, ...figures } = stats
  return found.length === 0 ? [] : [...found, JSON.stringify(figures)]
}
