// A development server: it evaluates an application's module again and again, and never hears of the pools in it.

import { register } from 'node:module'
import type { PostgresPool } from '@moorings/postgres'
import pg from 'pg'
import { ended, note, program, report, until, url } from './stage.js'

type Application = typeof import('./reloaded.js')

const server = new pg.Client({ connectionString: url })
await server.connect()

async function evaluate(query: string): Promise<Application> {
  return import(`./reloaded.js?${query}`)
}

async function backends(): Promise<number> {
  const { rows } = await server.query<{ n: number }>(
    `select count(*)::int as n from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and application_name = 'scene'
        and pid <> pg_backend_pid()`,
  )
  return rows[0]?.n ?? Number.NaN
}

/** When all connections that a pool keeps are there. */
async function filled(pool: PostgresPool): Promise<number> {
  await pool.start()
  return backends()
}

async function edits(parameters = ''): Promise<Application[]> {
  const evaluated: Application[] = []
  const counted: number[] = []
  const answers: unknown[] = []
  for (let edit = 1; edit <= 5; edit++) {
    const application = await evaluate(`v=${edit}${parameters}`)
    evaluated.push(application)
    answers.push(await application.page())
    counted.push(await filled(application.pool))
  }
  note('backends', counted)
  note('answers', answers)
  note('pools', new Set(evaluated.map(({ pool }) => pool)).size)
  note('classes', new Set(evaluated.map(({ pool }) => pool.constructor)).size)
  note('modules', new Set(evaluated.map(({ page }) => page)).size)
  return evaluated
}

async function close(evaluated: readonly Application[]): Promise<void> {
  await Promise.all(evaluated.map(({ pool }) => pool.close()))
}

/** What is imported by a module that was evaluated anew is evaluated anew as well: as in a bundle. */
function evaluateAllAnew(): void {
  const hook = `export async function resolve(specifier, context, next) {
    const found = await next(specifier, context)
    const version = context.parentURL?.startsWith('file:') && new URL(context.parentURL).searchParams.get('v')
    if (!version || !found.url.startsWith('file:') || found.url.includes('v=')) return found
    return { ...found, url: found.url + '?v=' + version }
  }`
  register(`data:text/javascript,${encodeURIComponent(hook)}`)
}

const programs: Record<string, () => Promise<void>> = {
  async 'a module evaluated anew'() {
    await close(await edits())
  },

  async 'a module evaluated anew, without sharing'() {
    await close(await edits('&shared=no'))
  },

  async 'everything evaluated anew'() {
    evaluateAllAnew()
    await close(await edits())
  },

  async 'a module edited'() {
    const before = await evaluate('v=1')
    await filled(before.pool)
    // A request that the edit overtakes.
    const underWay = before.db.transaction(async (tx) => {
      const [row] = await tx.execute('select pg_sleep(0.3)::text, 7 as n')
      return row?.n
    })
    await until(() => before.pool.stats().leased === 1)
    const after = await evaluate('v=2&max=3')
    note('closed', [before.pool.closed, after.pool.closed])
    note('max', after.pool.stats().max)
    note('late', await ended(before.page()))
    note('under way', await underWay)
    await before.pool.close()
    note('answers', await after.page())
    note('backends', await filled(after.pool))
    note('found again', (await evaluate('v=3&max=3')).pool === after.pool)
    await close([after])
  },
}

await programs[program]?.()
await server.end()
await report()
