// What a scenario plays on: a database of its own with the table `marks`, a proxy in front of it for each test, and
// databases opened through that proxy, closed again after the test.
//
// jest fails the test under way at an uncaught exception or an unhandled rejection (its `process` is a copy that no
// listener of ours could watch), so each of these tests is one against both; what needs a process of its own is in
// children/.

import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals'
import { type Admin, type Backend, backends, killBackends } from '../support/admin.js'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import { until } from '../support/until.js'
import { useDatabase } from '../support/use-database.js'
import { createMarks, type Db, type Orm, type ResilienceOptions } from './orms.js'

export interface Scene {
  /** Past the proxy. */
  readonly directUrl: string
  /** Through the proxy. */
  readonly url: string
  readonly proxy: FaultProxy
  readonly admin: Admin
  /** A database of that ORM through the proxy, closed after the test if the test has not done so. */
  open(orm: Orm, resilience?: ResilienceOptions, url?: string): Db
  /** Closed after the test. */
  closing<T extends { close(): Promise<unknown> }>(it: T): T
  /** The backends of pools under test. */
  backends(): Promise<Backend[]>
  /** Terminates them, and resolves when pg_stat_activity shows them no more. */
  killAll(): Promise<number[]>
  /** What is in `marks`, in order, once no backend of the pool is at work any more. */
  marks(): Promise<string[]>
}

const applicationName = 'scene'

/** @param server by default the run's */
export function useScene(server?: () => string): Scene {
  const database = useDatabase(server)
  const opened = new Set<{ close(): Promise<unknown> }>()
  let current: FaultProxy | undefined

  beforeAll(() => database.admin.query(createMarks))
  beforeEach(async () => {
    current = await startProxy({ target: targetOf(database.url) })
    await database.admin.query('truncate marks')
  })
  afterEach(async () => {
    const [...all] = opened
    opened.clear()
    // A wire that a test has cut or filled up would make goodbyes last.
    if (current !== undefined) current.resetAll()
    await Promise.all(all.map((it) => it.close()))
    await current?.close()
    // A statement that outlives its client would show up in the next test.
    await scene.killAll()
  })
  // A rejection that comes late still finds a test to fail.
  afterAll(() => new Promise((resolve) => setTimeout(resolve, 50)))

  const scene: Scene = {
    get directUrl() {
      return named(database.url)
    },
    get url() {
      return scene.proxy.through(scene.directUrl)
    },
    get proxy() {
      if (current === undefined) throw new Error('useScene(): the proxy exists only during tests')
      return current
    },
    get admin() {
      return database.admin
    },
    // A transaction that is run again would hide what most scenarios are about: the error. Those about retries say so.
    open: (orm, resilience, url = scene.url) =>
      scene.closing(orm.open(url, { transaction: { retry: false }, ...resilience })),
    closing(it) {
      opened.add(it)
      return it
    },
    backends: () => backends(database.admin, applicationName),
    killAll: () => killBackends(database.admin, 'application_name = $1', [applicationName]),
    async marks() {
      await until(async () => (await scene.backends()).every(({ state }) => state === 'idle'), {
        what: 'the backends to be done',
      })
      const rows = await database.admin.query<{ mark: string }>('select mark from marks order by mark')
      return rows.map(({ mark }) => mark)
    },
  }
  return scene
}

function named(url: string): string {
  const changed = new URL(url)
  changed.searchParams.set('application_name', applicationName)
  return changed.href
}

/** What a promise ends with, so that several can be looked at together. */
export async function outcome<T>(promise: Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await promise }
  } catch (error) {
    return { error }
  }
}

export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  const seen = await outcome(promise)
  if ('error' in seen) return seen.error
  throw new Error(`expected a rejection, got ${JSON.stringify(seen.value)}`)
}

/** Rejects when the promise is still pending at the limit: for what must be bounded by a limit of its own. */
export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still pending after ${limitMs} ms`)), limitMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A promise and its ends, for bodies that wait to be told. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}
