// The `logger` option, with an object of pino's shape: what is written of a pool's life on a real server, and that no
// password is in any of it.

import { afterAll, describe, expect, it } from '@jest/globals'
import type { Logger } from '@moorings/core'
import { drizzle } from '@moorings/drizzle/postgres-js'
import { ResilientPostgresDialect } from '@moorings/kysely'
import { createPool, type PostgresPool } from '@moorings/postgres'
import { sql as drizzleSql } from 'drizzle-orm'
import { Kysely } from 'kysely'
import { refusesWrongPasswords } from '../support/passwords.js'
import { until } from '../support/until.js'
import { hold } from './held.js'
import { type Orm, orms, type ResilienceOptions, type Schema } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

// A role belongs to the whole server; it goes before the database through which it is dropped.
const role = `logged_${process.pid}`
afterAll(() => scene.admin.query(`drop role if exists ${role}`))
const scene = useScene()
const patience = 5_000
const secret = `s3cret:p@ss/w%rd'"`

type Level = 'debug' | 'info' | 'warn' | 'error'

interface Line {
  readonly level: Level
  readonly fields: Readonly<Record<string, unknown>>
  readonly message: string
}

/** As pino: methods that need their `this`, and a level that can be asked for. */
class Memory implements Logger {
  readonly lines: Line[] = []
  readonly #level: Level

  constructor(level: Level = 'debug') {
    this.#level = level
  }

  debug(fields: object, message: string): void {
    this.#write('debug', fields, message)
  }
  info(fields: object, message: string): void {
    this.#write('info', fields, message)
  }
  warn(fields: object, message: string): void {
    this.#write('warn', fields, message)
  }
  error(fields: object, message: string): void {
    this.#write('error', fields, message)
  }
  isLevelEnabled(level: string): boolean {
    return order.indexOf(level) >= order.indexOf(this.#level)
  }

  of(event: string): Line[] {
    return this.lines.filter(({ fields }) => fields.event === `moorings:${event}`)
  }

  #write(level: Level, fields: object, message: string): void {
    // What pino would make of it is JSON: what does not survive that is no line.
    if (this.isLevelEnabled(level)) this.lines.push({ level, fields: JSON.parse(JSON.stringify(fields)), message })
  }
}

const order = ['debug', 'info', 'warn', 'error']

function expectNoSecret(logger: Memory): void {
  const written = JSON.stringify(logger.lines)
  for (const spelling of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) {
    expect(written).not.toContain(spelling)
  }
}

function urlWith(password: string, user?: string): string {
  const url = new URL(scene.url)
  if (user !== undefined) url.username = user
  url.password = encodeURIComponent(password)
  return url.href
}

describe.each(orms)('$name', (orm: Orm) => {
  const open = (logger: Logger, pool: ResilienceOptions['pool'] = {}, url = scene.url) =>
    scene.open(orm, { pool: { min: 0, max: 2, overflow: 0, ...pool }, logger }, url)

  it('writes a line for each step of a pool’s life', async () => {
    const logger = new Memory()
    const db = open(logger)
    expect(logger.lines).toEqual([])
    await db.query('select 1')
    const held = await hold(db)
    await scene.killAll()
    await until(() => db.pool.stats().lost === 1, { what: 'the loss' })
    await errorOf(held.giveBack())
    await db.insert('mark')
    await db.close()
    expect(logger.of('pool:started')).toMatchObject([{ level: 'info', fields: { min: 0, max: 2, overflow: 0 } }])
    const { host } = new URL(scene.url)
    expect(logger.of('connection:opened')).toMatchObject([
      { level: 'debug', fields: { connection: 1, endpoint: host, tookMs: expect.any(Number) } },
      { level: 'debug', fields: { connection: 2, endpoint: host } },
    ])
    const [lost, last] = logger.of('connection:closed')
    expect(lost).toMatchObject({
      level: 'warn',
      message: 'A connection was lost',
      fields: { connection: 1, reason: 'lost', error: { name: 'ConnectionLostError', code: '57P01' } },
    })
    expect(last).toMatchObject({ level: 'debug', fields: { connection: 2, reason: 'closing' } })
    expect(logger.of('pool:closed')).toMatchObject([{ level: 'info' }])
    expect(logger.of('lease:taken').length).toBe(db.pool.stats().acquired)
    expect(logger.of('lease:returned').length).toBe(db.pool.stats().acquired)
    for (const { fields } of logger.lines) expect(fields).toMatchObject(db.pool.identity)
  })

  it('writes no more than its level asks for', async () => {
    const logger = new Memory('info')
    const db = open(logger)
    await db.query('select 1')
    await db.close()
    const events = logger.lines.map(({ fields }) => fields.event)
    expect(events).toEqual(['moorings:pool:started', 'moorings:pool:closing', 'moorings:pool:closed'])
  })

  it('writes why a connection could not be made, and what its caller was told', async () => {
    const logger = new Memory()
    scene.proxy.refuse()
    const db = open(logger, { acquireTimeoutMs: 300 }, urlWith(secret))
    await within(patience, errorOf(db.query('select 1')))
    const failed = logger.of('connect:failed')
    expect(failed.length).toBeGreaterThan(1)
    expect(failed[0]).toMatchObject({
      level: 'warn',
      fields: { retryInMs: expect.any(Number), error: { name: 'ConnectError', code: 'ECONNREFUSED' } },
    })
    expect(logger.of('acquire:failed')).toMatchObject([
      { level: 'warn', fields: { waitedMs: expect.any(Number), error: { name: 'AcquireTimeoutError' } } },
    ])
    expectNoSecret(logger)
  })

  it('writes of a wrong password without the password', async () => {
    if (!(await refusesWrongPasswords(scene.directUrl))) return
    const logger = new Memory()
    const db = open(logger, {}, urlWith(secret))
    await within(patience, errorOf(db.query('select 1')))
    expect(logger.of('connect:failed')[0]).toMatchObject({
      level: 'warn',
      fields: { error: { name: 'AuthenticationError', code: '28P01', retry: 'never' } },
    })
    expect(logger.of('acquire:failed')).toHaveLength(1)
    expectNoSecret(logger)
  })

  it('writes of everything else that may go wrong without the password of the URL', async () => {
    await scene.admin.query(`drop role if exists ${role}`)
    await scene.admin.query(`create role ${role} login password '${secret.replaceAll("'", "''")}'`)
    const logger = new Memory()
    const url = urlWith(secret, role)
    const leaky = new Error(`could not reach ${url} with ${secret}`)
    const db = scene.open(
      orm,
      {
        logger,
        pool: { min: 0, max: 1, overflow: 0, leakAfterMs: 100, reclaimLeaks: true, acquireTimeoutMs: 300 },
        hooks: {
          afterRelease: () => {
            throw leaky
          },
          beforeClose: () => Promise.reject(leaky),
        },
        health: { everyMs: 50 },
      },
      url,
    )
    await db.query('select 1')
    await until(() => logger.of('hook:failed').length === 1, { what: 'the hook to fail' })
    await errorOf(
      db.transaction(async () => {
        await until(() => logger.of('leak:reclaimed').length === 1, { what: 'the lease to be taken back' })
      }),
    )
    scene.proxy.resetAll()
    scene.proxy.refuse()
    await errorOf(db.query('select 1'))
    await scene.proxy.restore()
    await db.close()
    expect(logger.of('leak:found')).toMatchObject([{ level: 'error', fields: { stack: expect.any(String) } }])
    expect(logger.of('hook:failed')[0]).toMatchObject({ level: 'warn', fields: { hook: 'afterRelease' } })
    // What a hook throws is the application's own; a password in a URL is hidden all the same.
    const written = JSON.stringify(logger.lines)
    expect(written).not.toContain(`:${encodeURIComponent(secret)}@`)
  })

  it('a logger that throws or rejects disturbs nobody', async () => {
    const throwing = () => {
      throw new Error('disk full')
    }
    const rejecting = () => Promise.reject(new Error('disk full'))
    for (const write of [throwing, rejecting]) {
      const db = open({ debug: write, info: write, warn: write, error: write })
      expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
      await scene.killAll()
      await until(() => db.pool.stats().lost === 1, { what: 'the loss' })
      await db.insert('mark')
      await db.close()
    }
    expect(await scene.marks()).toEqual(['mark', 'mark'])
  })
})

it('is an option of each factory, and each pool writes to its own', async () => {
  const loggers = [new Memory(), new Memory(), new Memory()]
  const [a, b, c] = loggers.map((logger) => ({ pool: { min: 0 }, logger }))
  const kept: PostgresPool[] = [createPool(scene.url, { resilience: a, name: 'first' })]
  const db = drizzle(scene.url, { resilience: b })
  kept.push(db.$client.pool)
  const dialect = new ResilientPostgresDialect({ connection: scene.url, resilience: c })
  const kysely = new Kysely<Schema>({ dialect })
  await kept[0]?.lease(() => {})
  await db.execute(drizzleSql`select 1`)
  await kysely.selectFrom('marks').selectAll().execute()
  await Promise.all([...kept.map((pool) => pool.close()), kysely.destroy()])
  for (const { lines } of loggers) {
    expect(new Set(lines.map(({ fields }) => fields.poolId)).size).toBe(1)
    expect(lines.at(-1)?.fields.event).toBe('moorings:pool:closed')
  }
  expect(loggers[0]?.lines[0]?.fields.pool).toBe('first')
})
