// A connection of the tests' own, for looking at the server behind the back of the pool under test.

import pg from 'pg'
import { until } from './until.js'

export const adminApplicationName = 'moorings-admin'

export interface Admin {
  /** Runs one statement and returns its rows. One at a time; reconnects when the server took the connection away. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, params?: readonly unknown[]): Promise<Row[]>
  end(): Promise<void>
}

export function connectAdmin(url: string): Admin {
  return new ServerAdmin(url)
}

class ServerAdmin implements Admin {
  readonly #url: string
  #client: pg.Client | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(url: string) {
    this.#url = url
  }

  query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []): Promise<Row[]> {
    const rows = this.#last.then(async () => {
      const client = await this.#connected()
      return (await client.query<Row>(sql, [...params])).rows
    })
    this.#last = rows.catch(() => {})
    return rows
  }

  async end(): Promise<void> {
    await this.#last
    await this.#client?.end()
    this.#client = undefined
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: adminApplicationName,
      connectionTimeoutMillis: 10_000,
      query_timeout: 60_000,
    })
    const forget = () => {
      if (this.#client === client) this.#client = undefined
    }
    client.on('error', forget)
    client.on('end', forget)
    await client.connect()
    this.#client = client
    return client
  }
}

export interface Backend {
  pid: number
  application_name: string
  /** `idle`, `active`, `idle in transaction`, … */
  state: string | null
  query: string
  backend_start: Date
  xact_start: Date | null
  wait_event: string | null
}

/** The client backends in the admin's database that call themselves `applicationName`, oldest first. */
export function backends(admin: Admin, applicationName: string): Promise<Backend[]> {
  return admin.query<Backend & pg.QueryResultRow>(
    `select pid, application_name, state, query, backend_start, xact_start, wait_event
       from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and application_name = $1
      order by backend_start, pid`,
    [applicationName],
  )
}

/**
 * Terminates the client backends in the admin's database (never the admin's own) for which the SQL condition on
 * pg_stat_activity holds, and resolves with their pids once they are gone:
 * `killBackends(admin, 'application_name = $1', ['pool'])`.
 */
export async function killBackends(admin: Admin, where: string, params: readonly unknown[] = []): Promise<number[]> {
  const killed = await admin.query<{ pid: number; backend_start: string }>(
    `select pid, backend_start::text, pg_terminate_backend(pid)
       from pg_stat_activity
      where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid() and (${where})`,
    params,
  )
  const pids = killed.map(({ pid }) => pid)
  // With its start time, as the process id alone could be a newcomer's.
  const starts = killed.map(({ backend_start }) => backend_start)
  const remaining = `select pid from pg_stat_activity
                      where (pid, backend_start) in (select * from unnest($1::int[], $2::timestamptz[]))`
  await until(async () => (await admin.query(remaining, [pids, starts])).length === 0, {
    what: `the backends ${pids.join(', ')} to be gone`,
  })
  return pids
}
