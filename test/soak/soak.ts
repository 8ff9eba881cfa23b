// A long load on one pool in a process of its own, under faults, and what is there when it is over.

import { type Admin, backends } from '../support/admin.js'
import { until } from '../support/until.js'
import { taken } from './call.js'
import type { LoadSettings, Progress, Rest } from './messages.js'
import { type End, ProcessUnderLoad } from './process-under-load.js'
import { questions } from './questions.js'

export interface SoakOptions {
  /** For the load; with an application name that nobody else has. */
  readonly url: string
  /** Connected to the same database, past all faults. */
  readonly admin: Admin
  readonly operations: number
  readonly load: LoadSettings
  /** Faults, until the signal fires; when it resolves all is as it was. */
  readonly attack: (signal: AbortSignal) => Promise<void>
  /** Ends the load before all operations are done. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/** Everything as it was found. */
export interface SoakResult {
  readonly before: Rest
  readonly after: Rest
  /** Of the pool, by the server's count: with the pool at rest, and after it was closed. */
  readonly backends: { readonly atRest: number; readonly closed: number }
  /** Rows in the table, by the kind of their marks. */
  readonly rows: Readonly<Record<string, number>>
  readonly end: End
  /** What is wrong with it; empty when all is well. */
  readonly findings: readonly string[]
}

/** Compiles what runs often, and fills what is kept for good: histograms, caches of types and of plans. */
const warmUp = 4_000
/** For a pool that closes nothing but idle connections. */
const endMs = 20_000
/** For backends whose clients are gone. */
const goneMs = 20_000

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { url, admin, operations, load, onProgress = () => {}, signal } = options
  const applicationName = new URL(url).searchParams.get('application_name') ?? ''
  const countBackends = async () => (await backends(admin, applicationName)).length
  await prepare(admin)
  const child = new ProcessUnderLoad(url, load, onProgress)
  const stop = () => child.stop()
  signal?.addEventListener('abort', stop, { once: true })
  try {
    await underFire(options, () => child.ask({ ask: 'run', from: 0, count: warmUp }))
    const before = await child.ask({ ask: 'rest' })
    await underFire(options, () => child.ask({ ask: 'run', from: warmUp, count: operations }))
    let after = await child.ask({ ask: 'rest' })
    let atRest = await countBackends()
    const agreed = async () => {
      if (atRest === after.counts.idle) return true
      // A backend notices only when its statement is over that its client is gone.
      after = await child.ask({ ask: 'rest' })
      atRest = await countBackends()
      return false
    }
    await until(agreed, { what: 'the server to count what the pool counts', timeoutMs: goneMs }).catch(() => {})
    const rows = await countRows(admin)
    const end = await child.end(endMs)
    await until(async () => (await countBackends()) === 0, { what: 'the backends to end', timeoutMs: goneMs }).catch(
      () => {},
    )
    const found = { before, after, backends: { atRest, closed: await countBackends() }, rows, end }
    return { ...found, findings: questions(found) }
  } finally {
    signal?.removeEventListener('abort', stop)
    child.kill()
  }
}

async function underFire({ attack }: SoakOptions, work: () => Promise<unknown>): Promise<void> {
  const over = new AbortController()
  const fire = attack(over.signal)
  try {
    // Faults go on until they are told to stop, unless they fail.
    await Promise.race([work(), fire])
  } finally {
    over.abort()
    await fire
  }
}

async function prepare(admin: Admin): Promise<void> {
  await admin.query('create table if not exists marks (mark text)')
  await admin.query('create unique index on marks (mark)')
  await admin.query('insert into marks values ($1)', [taken])
}

async function countRows(admin: Admin): Promise<Record<string, number>> {
  const rows = await admin.query<{ kind: string; rows: number }>(
    `select split_part(mark, ':', 1) as kind, count(*)::int as rows from marks group by 1`,
  )
  return Object.fromEntries(rows.map(({ kind, rows }) => [kind, rows]))
}
