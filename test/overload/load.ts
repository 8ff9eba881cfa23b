// Requests that come whether or not earlier ones have been answered, as they do from outside: how many are answered while
// somebody still waits, and how soon all is as before once fewer come.

import type { Service } from './subject.js'

/** Rates are in requests a second. */
export interface Plan {
  readonly connections: number
  readonly deadlineMs: number
  /** How many times what it can do comes. */
  readonly factor: number
  readonly capacityMs: number
  /** From when too many come to when it counts. Default 0: what a queue can make up for at first is part of it. */
  readonly leadMs?: number
  readonly overloadMs: number
  /** How long to wait for all to be as before. */
  readonly patienceMs: number
}

export interface Figures {
  /** What it does for as many as it can at a time, and as many who wait. */
  readonly capacity: number
  /** Answered in time while too many came. */
  readonly useful: number
  /** How long those took, in the middle. */
  readonly usefulMs: number
  /** From when fewer came to the last one that did not go as if nothing had been; undefined if that was not seen. */
  readonly normalAfterMs: number | undefined
  /** What became of those that came while too many did, by name of error. */
  readonly outcomes: Readonly<Record<string, number>>
}

interface Call {
  readonly at: number
  endedAt: number | undefined
  error: unknown
}

/** What is left of what it can do once the overload is over. */
const AFTERWARDS = 0.5
/** A request that takes so many times as long as an undisturbed one does not go as if nothing had been. */
const DISTURBED = 5
/** So many times as long as was meant, until one at least is served. */
const PATIENCE = 20
/** As long as nothing is seen to be disturbed for this long, nothing is. */
const QUIET_MS = 1_000

export async function measure(service: Service, plan: Plan): Promise<Figures> {
  const { connections, deadlineMs, factor, capacityMs, leadMs = 0, overloadMs, patienceMs } = plan
  // Connections are made, and code is compiled.
  await atATime(service, connections, capacityMs / 2)
  const undisturbed = await atATime(service, 1, capacityMs / 4)
  const { perSecond: capacity } = await atATime(service, 2 * connections, capacityMs)

  const startedAt = performance.now() + leadMs
  const calls: Call[] = []
  await arrive(service, capacity * factor, calls, () => performance.now() < startedAt + overloadMs)
  const fewerAt = performance.now()
  const after: Call[] = []
  const normalMs = DISTURBED * undisturbed.medianMs
  const disturbed = (call: Call) => call.error !== undefined || (call.endedAt ?? performance.now()) - call.at > normalMs
  const lastDisturbedAt = () => after.findLast(disturbed)?.at ?? fewerAt
  await arrive(service, capacity * AFTERWARDS, after, () => {
    const now = performance.now()
    return now < fewerAt + patienceMs && now < lastDisturbedAt() + QUIET_MS + normalMs
  })
  const quiet = performance.now() - lastDisturbedAt() >= QUIET_MS

  const inTime = ({ at, endedAt, error }: Call) =>
    error === undefined && endedAt !== undefined && endedAt - at <= deadlineMs
  const useful = calls.filter(
    (call) => inTime(call) && (call.endedAt ?? 0) >= startedAt && (call.endedAt ?? 0) <= fewerAt,
  )
  const outcomes: Record<string, number> = {}
  for (const call of calls) {
    const outcome = inTime(call) ? 'in time' : outcomeOf(call)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  return {
    capacity,
    useful: useful.length / ((fewerAt - startedAt) / 1_000),
    usefulMs: median(useful.map(({ at, endedAt = at }) => endedAt - at)),
    normalAfterMs: quiet ? lastDisturbedAt() - fewerAt : undefined,
    outcomes,
  }
}

/** So many callers, each asking again as soon as it is answered. A busy machine may let some down: those do not count. */
async function atATime(
  service: Service,
  callers: number,
  ms: number,
): Promise<{ perSecond: number; medianMs: number }> {
  const startedAt = performance.now()
  const took: number[] = []
  let cause: unknown
  const caller = async () => {
    const goesOn = () => performance.now() < startedAt + (took.length > 0 ? ms : PATIENCE * ms)
    while (goesOn()) {
      const at = performance.now()
      try {
        await service.request()
        took.push(performance.now() - at)
      } catch (error) {
        cause = error
      }
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  if (took.length === 0)
    throw new Error(`Of ${callers} callers at a time nobody was served in ${PATIENCE * ms} ms`, { cause })
  return { perSecond: took.length / ((performance.now() - startedAt) / 1_000), medianMs: median(took) }
}

/** At even intervals; one that comes late, because the process was busy, has been waiting since it should have come. */
async function arrive(service: Service, perSecond: number, calls: Call[], goesOn: () => boolean): Promise<void> {
  const everyMs = 1_000 / perSecond
  let at = performance.now()
  while (goesOn()) {
    for (const now = performance.now(); at <= now; at += everyMs) calls.push(begun(service, at))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

function begun(service: Service, at: number): Call {
  const call: Call = { at, endedAt: undefined, error: undefined }
  service.request().then(
    () => {
      call.endedAt = performance.now()
    },
    (error: unknown) => {
      call.endedAt = performance.now()
      call.error = error
    },
  )
  return call
}

function outcomeOf({ endedAt, error }: Call): string {
  if (endedAt === undefined) return 'not answered'
  if (error === undefined) return 'answered late'
  if (!(error instanceof Error)) return String(error)
  // An ORM's own wrapping says nothing.
  return error.cause instanceof Error && error.name === 'Error' ? error.cause.message : error.name
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
