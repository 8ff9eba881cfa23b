// Options that are wrong, through each way in; and that a password is never shown, whatever fails. Other ways to a server:
// TLS, several hosts, a Unix socket.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, AuthenticationError, ConnectError, InvalidOptionsError } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { type ConnectionInput, createPool } from '@moorings/postgres'
import { type Cluster, startCluster } from '../support/cluster.js'
import { freePort } from '../support/free-port.js'
import type { ResilienceOptions } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()

const secret = 'hunter2-is-secret'

/** What a logger could make of it, the cause included. */
function shown(value: unknown): string {
  const cause = value instanceof Error ? shown(value.cause) : ''
  const own = value instanceof Error ? `${value.message}\n${value.stack}` : ''
  return `${own}\n${JSON.stringify(value)}\n${inspect(value, { depth: 10, showHidden: true })}\n${cause}`
}

const ways: Record<string, (connection: unknown, resilience?: unknown) => unknown> = {
  drizzle: (connection, resilience) => Reflect.apply(drizzle, undefined, [{ connection, resilience }]),
  createPool: (connection, resilience) => Reflect.apply(createPool, undefined, [connection, { resilience }]),
  ResilientPostgresDialect: (connection, resilience) =>
    Reflect.construct(ResilientPostgresDialect, [{ connection, resilience }]),
}

const good = { host: 'localhost', user: 'app', password: secret }
const pool = (options: Record<string, unknown>) => ({ pool: options })

describe.each(Object.keys(ways))('%s', (name) => {
  const refusal = (connection: unknown, resilience?: unknown): InvalidOptionsError => {
    try {
      ways[name]?.(connection, resilience)
    } catch (error) {
      if (error instanceof InvalidOptionsError) return error
      throw error
    }
    throw new Error('it was accepted')
  }

  it.each([
    ['an unknown option', { ...good, hots: 'x' }, undefined, 'connection.hots', /did you mean host/],
    ['an unknown option of the pool', good, pool({ maxx: 3 }), 'resilience.pool.maxx', /did you mean max/],
    ['a wrong type', good, pool({ max: '20' }), 'resilience.pool.max', /integer/],
    ['max below min', good, pool({ min: 5, max: 2 }), 'resilience.pool.min', /max/],
    ['an option the pool owns', { ...good, max: 20 }, undefined, 'connection.max', /resilience\.pool\.max/],
    ['a URL that is none', `app:${secret}@localhost`, undefined, 'connection', /postgres:\/\//],
    ['another URL', `mysql://app:${secret}@localhost/x`, undefined, 'connection', /postgres:\/\//],
    ['a badly escaped URL', `postgres://app:${secret}%@localhost/x`, undefined, 'connection', /hexadecimal/],
    ['no URL', undefined, undefined, 'connection', /postgres:\/\//],
    ['an empty URL', '', undefined, 'connection', /postgres:\/\//],
  ] as const)('%s is refused, naming where, what and what instead', (_, connection, resilience, path, allowed) => {
    const error = refusal(connection, resilience)
    expect(error.problems).toEqual([{ path, given: expect.any(String), allowed: expect.stringMatching(allowed) }])
    expect(error.message).toContain(path)
    expect(shown(error)).not.toContain(secret)
  })

  it('several at once are all listed', () => {
    const error = refusal({ ...good, idle_timeout: 3, sll: secret, port: 'x' }, { pool: { max: -1 }, statment: {} })
    const paths = error.problems.map(({ path }) => path)
    expect(paths.toSorted()).toEqual(
      [
        'connection.idle_timeout',
        'connection.port',
        'connection.sll',
        'resilience.pool.max',
        'resilience.statment',
      ].toSorted(),
    )
    for (const path of paths) expect(error.message).toContain(path)
    expect(shown(error)).not.toContain(secret)
  })
})

// --- a password is never shown ---

const channels = ['moorings:connection:opened', 'moorings:connection:closed', 'moorings:connect:failed']
const events: unknown[] = []
const note = (message: unknown) => events.push(message)
beforeEach(() => {
  events.length = 0
  for (const name of channels) subscribe(name, note)
})
afterEach(() => {
  for (const name of channels) unsubscribe(name, note)
})

const once: ResilienceOptions = { pool: { min: 0, max: 1, overflow: 0, acquireTimeoutMs: 500 } }

function withSecret(url: string, change: (url: URL) => void): string {
  const changed = new URL(url)
  changed.password = secret
  change(changed)
  return changed.href
}

async function failure(connection: ConnectionInput, resilience = once): Promise<unknown> {
  const made = scene.closing(createPool(connection, { resilience }))
  return within(20_000, errorOf(made.acquire()))
}

describe('a password is shown by no error and no event', () => {
  it('refused', async () => {
    const port = await freePort('127.0.0.1')
    const error = await failure(withSecret(scene.url, (url) => (url.port = String(port))))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ cause: { name: 'ConnectError', code: 'ECONNREFUSED' } })
    expect(events.length).toBeGreaterThan(0)
    expect(shown([error, events])).not.toContain(secret)
    expect(shown(error)).not.toContain(secret)
  })

  it('unknown host', async () => {
    const error = await failure(withSecret(scene.url, (url) => (url.hostname = 'no-such-host.invalid')))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(shown([error, events])).not.toContain(secret)
    expect(shown(error)).not.toContain(secret)
  })
})

describe('on a server of its own', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(() => cluster.stop(), 60_000)

  async function sees(connection: ConnectionInput): Promise<unknown> {
    const db = drizzle({ connection, resilience: { pool: { min: 0, max: 1 } } })
    try {
      const [row] = await db.execute(`select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false)
        as ssl, inet_server_addr() is null as local`)
      return row
    } finally {
      await db.$client.end()
    }
  }

  it('P11: a wrong password is an AuthenticationError at once, and shown nowhere', async () => {
    const error = await failure(
      withSecret(cluster.url, () => {}),
      { pool: { acquireTimeoutMs: 30_000 } },
    )
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ code: '28P01', retry: 'never' })
    expect(events.length).toBeGreaterThan(0)
    expect(shown([error, events])).not.toContain(secret)
    expect(shown(error)).not.toContain(secret)
  })

  it('a Unix socket works, as host and in a URL', async () => {
    const { socketDir, port, user, password } = cluster
    expect(await sees({ host: socketDir, port, user, password, database: 'postgres' })).toEqual({
      ssl: false,
      local: true,
    })
    const url = `postgres://${user}:${password}@${encodeURIComponent(socketDir)}:${port}/postgres`
    expect(await sees(url)).toEqual({ ssl: false, local: true })
  })

  it('of several hosts the first that answers is taken', async () => {
    const { user, password, host, port } = cluster
    const dead = await freePort(host)
    const url = `postgres://${user}:${password}@${host}:${dead},${host}:${port}/postgres`
    expect(await sees(url)).toEqual({ ssl: false, local: false })
  })

  it('target_session_attrs: a primary will do for primary, and is named when it will not do for standby', async () => {
    expect(await sees(`${cluster.url}?target_session_attrs=primary`)).toMatchObject({ local: false })
    const error = await failure(`${cluster.url}?target_session_attrs=standby`)
    const { cause } = error instanceof Error ? error : {}
    expect(cause).toBeInstanceOf(ConnectError)
    expect(String(cause)).toMatch(/is a primary.*target_session_attrs asks for standby/)
  })

  it('TLS: prefer does without it where there is none, require does not; with it, both and a CA do', async () => {
    expect(await sees(`${cluster.url}?sslmode=prefer`)).toMatchObject({ ssl: false })
    const error = await failure(`${cluster.url}?sslmode=require`)
    expect(error).toMatchObject({ retry: 'never', message: expect.stringMatching(/does not support TLS/) })
    const { ca } = await cluster.enableTls()
    const { host, port, user, password } = cluster
    const server = { host, port, user, password, database: 'postgres' }
    for (const ssl of ['require', 'prefer', { ca }] as const) {
      expect(await sees({ ...server, ssl })).toEqual({ ssl: true, local: false })
    }
    // Self-signed, and nobody said that it is to be trusted.
    const untrusted = await failure({ ...server, ssl: true })
    expect(untrusted).toMatchObject({
      cause: { name: 'ConnectError', message: expect.stringMatching(/self-signed/) },
    })
  })
})
