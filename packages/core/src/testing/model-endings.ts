// How a sequence ends: perhaps all becomes well, and then everybody must be served; and the pool is closed, after which
// nothing may be left.

import { settled } from './fake-clock.js'
import { counts } from './fixture.js'
import type { Caller } from './model-callers.js'
import type { ModelRun } from './model-run.js'
import { closeTimeoutMs, hookTimeoutMs } from './model-scenario.js'

/** To come again later. */
const turnedAway: ReadonlySet<string> = new Set(['QueueFullError', 'CircuitOpenError'])

/** With the database well and every lease given back soon, a newcomer is served, and in the end all rests. */
export async function recover(run: ModelRun): Promise<void> {
  const { setup, model, hooks, callers } = run
  const { pool, driver } = setup
  run.steps.push('all becomes well')
  driver.connects = 'ok'
  hooks.behave()
  pool.resume()
  let newcomer: Caller | undefined
  for (let round = 0; round < 50; round++) {
    for (const attempt of driver.pending) attempt.succeed()
    answer(run)
    for (const caller of callers.holding) callers.release(caller)
    // Hooks may hang for a while yet, the line be too long, and the next probe be half a second away.
    const served = newcomer !== undefined && !turnedAway.has(newcomer.borrower.error?.name ?? '')
    if (!served && round * 50 > hookTimeoutMs) newcomer = callers.acquire({ timeoutMs: 1_500 })
    await run.turn()
    await run.pass(50)
    await run.turn()
  }
  // The last that left may still say goodbye.
  answer(run)
  await run.turn()
  const { idle, leased, connecting, waiting, warm, lastConnectError } = pool.stats()
  // A password that was refused is not tried again before somebody waits.
  const lockedOut = model.refusesUs && lastConnectError !== undefined
  demand({
    'a newcomer is served once all is well': newcomer?.borrower.connection !== undefined,
    'nobody waits and nothing is lent once all is well': leased + connecting + waiting === 0,
    'as many rest as are wanted once all is well': idle >= warm || lockedOut,
    'every connection is one of the pool once all is well': driver.open.length === idle,
  })
}

/** Whatever a connection was asked and has not answered, it does now. */
function answer({ setup }: ModelRun): void {
  for (const { waiting } of setup.driver.open) for (const held of waiting) held.ok()
}

/** Whatever is going on. */
export async function close(run: ModelRun): Promise<void> {
  const { setup, model, callers, errands } = run
  const { pool, clock, driver } = setup
  run.steps.push('close at the end')
  const closed = errands.close(closeTimeoutMs)
  await run.turn()
  await run.pass(Math.max(0, errands.closedBy - clock.now()))
  await run.turn()
  const gone = () => Object.values(counts(pool)).every((count) => count === 0)
  const left = {
    'close ends': closed.state === 'resolved',
    'nobody waits for a closed pool': model.line.length === 0 && !errands.pending,
    'no connection is open after close': driver.open.length === 0,
    'no timer is left after close': clock.pending === 0,
    'nothing is counted after close': gone(),
    'what was made was closed': pool.stats().created === pool.stats().closed,
  }
  demand(left)
  // What comes late changes nothing.
  for (const attempt of driver.pending) attempt.succeed()
  for (const caller of callers.holding) callers.release(caller)
  await settled()
  await run.turn()
  demand({
    'a connection that arrives after close is not kept': driver.open.length === 0,
    'nothing is counted after close, whatever comes': gone(),
    'no timer is set after close, whatever comes': clock.pending === 0,
  })
}

function demand(holds: Record<string, boolean>): void {
  const broken = Object.entries(holds).flatMap(([rule, held]) => (held ? [] : [`not kept: ${rule}`]))
  if (broken.length > 0) throw new Error(broken.join('\n'))
}
