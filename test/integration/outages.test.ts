// F1, F2, F4: the server is down, slow to start, full, or not to be reached, in each phase of connecting. Callers wait and
// are served when it is back, or are told why not, within their limits; after some seconds whoever comes is refused at once.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, breakers, CircuitOpenError, ConnectError } from '@moorings/core'
import { type Cluster, startCluster } from '../support/cluster.js'
import { gatherCrowd } from '../support/crowd.js'
import { replaceNames } from '../support/names.js'
import { type FaultProxy, type Refusal, startProxy, targetOf } from '../support/proxy.js'
import { until } from '../support/until.js'
import { createMarks, type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, within } from './scene.js'

const pool = { min: 0, max: 3, overflow: 0, validationTimeoutMs: 500, closeTimeoutMs: 500 }
const retry = { maxRetries: 30, maxDelayMs: 300 }
/** Whatever happens, nobody waits for longer, on however busy a machine. */
const patience = 20_000

let server: Cluster
let proxy: FaultProxy
const opened: Db[] = []

beforeAll(async () => {
  // Few enough that a crowd is soon gathered.
  server = await startCluster({ settings: { max_connections: '20' } })
  await withAdmin((db) => db.query(createMarks))
}, 60_000)

beforeEach(async () => {
  proxy = await startProxy({ target: targetOf(server.url) })
  await withAdmin((db) => db.query('truncate marks'))
})

afterEach(async () => {
  proxy.resetAll()
  await Promise.all(opened.splice(0).map((db) => db.close()))
  await proxy.close()
})

afterAll(() => server.stop(), 60_000)

async function withAdmin<T>(ask: (db: Db) => Promise<T>): Promise<T> {
  const [orm] = orms
  if (orm === undefined) throw new Error('there is no ORM')
  const db = orm.open(server.url, { pool })
  try {
    return await ask(db)
  } finally {
    await db.close()
  }
}

async function marks(): Promise<unknown[]> {
  const rows = await withAdmin((db) => db.query('select mark from marks order by mark'))
  return rows.map(({ mark }) => mark)
}

function open(orm: Orm, resilience: ResilienceOptions = {}, url = proxy.through(server.url)): Db {
  const db = orm.open(url, { ...resilience, pool: { ...pool, ...resilience.pool }, transaction: { retry } })
  opened.push(db)
  return db
}

const write = (db: Db, mark: string) => db.withTransaction((tx) => tx.insert(mark))

describe.each(orms)('$name', (orm: Orm) => {
  it.each(['SIGINT', 'SIGKILL'] as const)(
    'F1: a server that is restarted after %s: everybody is served, once',
    async (signal) => {
      const db = open(orm)
      await write(db, 'a')
      const sleeping = db.withTransaction(async (tx) => {
        await tx.insert('b')
        await tx.query('select pg_sleep(0.2)')
      })
      await until(() => db.pool.stats().leased === 1, { what: 'the transaction to begin' })
      await server.kill(signal)
      const waiting = write(db, 'c')
      await server.restart()
      await within(patience, Promise.all([sleeping, waiting]))
      expect(await marks()).toEqual(['a', 'b', 'c'])
    },
  )

  it('F1: a server that is slow to start (57P03): callers wait for it', async () => {
    const db = open(orm)
    await write(db, 'a')
    const start = await server.restartSlowly()
    const waiting = write(db, 'b')
    const failing = () => db.pool.stats().lastConnectError?.code === '57P03'
    await until(failing, { what: 'a connect to be refused' })
    await start.finish()
    await within(patience, waiting)
    expect(await marks()).toEqual(['a', 'b'])
  })

  it.each<Refusal>(['closed', 'reset', 'fin', 'silent'])(
    'F1: connects that meet a server that is %s: callers wait for it',
    async (how) => {
      const db = open(orm, { pool: { connectTimeoutMs: 5_000 } })
      await write(db, 'a')
      proxy.refuse(how)
      proxy.resetAll()
      const waiting = Promise.all([write(db, 'b'), write(db, 'c'), db.insert('d')])
      await until(() => proxy.accepted > 2 || db.pool.stats().connectFailures > 2, { what: 'some connects' })
      await proxy.restore()
      await within(patience, waiting)
      expect(await marks()).toEqual(['a', 'b', 'c', 'd'])
    },
  )

  it('F1: too many connections: callers wait for a place, and no breaker opens', async () => {
    const db = open(orm, { breaker: { volumeThreshold: 1 } })
    const crowd = await gatherCrowd(server.url)
    const waiting = write(db, 'a')
    await until(() => db.pool.stats().connectFailures > 3, { what: 'some connects to be refused' })
    expect(db.pool.stats().lastConnectError).toMatchObject({ code: '53300' })
    expect(Object.values(db.pool.stats().endpoints)).toMatchObject([{ breaker: 'closed' }])
    await crowd.disperse()
    await within(patience, waiting)
  })

  it('F1: a server of the wrong role: the error says which it is, and which was asked for', async () => {
    const db = open(
      orm,
      { pool: { acquireTimeoutMs: 500 } },
      `${proxy.through(server.url)}?target_session_attrs=standby`,
    )
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({
      message: expect.stringMatching(/is a primary; target_session_attrs asks for standby/),
    })
  })

  it('F1: a server without TLS, where it was asked for: told at once', async () => {
    const db = open(orm, {}, `${proxy.through(server.url)}?sslmode=require`)
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ retry: 'never', message: expect.stringMatching(/TLS/) })
  })

  it.each(['DNS', 'startup', 'TLS'])(
    'F2: a black hole in the phase of %s ends by the limit, and heals',
    async (phase) => {
      const names = replaceNames()
      try {
        const url = new URL(proxy.through(server.url))
        url.hostname = 'db.example'
        names.set('db.example', proxy.host)
        if (phase === 'DNS') names.hang('db.example')
        else proxy.refuse('silent')
        if (phase === 'TLS') url.searchParams.set('sslmode', 'prefer')
        const db = open(orm, { pool: { acquireTimeoutMs: 700, connectTimeoutMs: 60_000 } }, url.href)
        expect(await within(patience, errorOf(db.query('select 1')))).toBeInstanceOf(AcquireTimeoutError)
        names.set('db.example', proxy.host)
        await proxy.restore()
        // The connects that hang have 60 s: they do not hold up the next.
        const rows = await within(
          patience,
          repeated(() => db.query('select 1 as n')),
        )
        expect(rows).toEqual([{ n: 1 }])
      } finally {
        names.restore()
      }
    },
  )

  it('F2: a black hole while the pool is closed ends by closeTimeoutMs', async () => {
    const db = open(orm)
    await db.query('select 1')
    proxy.swallow()
    await within(patience, db.close())
    opened.pop()
    expect(db.pool.stats()).toMatchObject({ idle: 0, leased: 0, state: 'closed' })
  })

  it('F4: opens after some seconds, refuses who comes, and closes by itself when the server is back', async () => {
    const db = open(orm, { breaker: { volumeThreshold: 2, resetTimeoutMs: 100 } })
    await write(db, 'a')
    proxy.refuse()
    proxy.resetAll()
    const waiting = write(db, 'b')
    await until(() => breakerOf(db) === 'open', { what: 'the breaker to open' })
    const error = await within(patience, errorOf(repeatedly(db)))
    expect(error).toBeInstanceOf(CircuitOpenError)
    expect(error).toMatchObject({ cause: { name: 'ConnectError' }, message: expect.stringContaining('ECONNREFUSED') })
    await proxy.restore()
    await within(patience, waiting)
    expect(breakerOf(db)).toBe('closed')
    expect(await marks()).toEqual(['a', 'b'])
  })

  it('F4: by hand: forced open it refuses, forced closed it lets through, and its state is to be seen', async () => {
    const db = open(orm)
    const name = `${proxy.host}:${proxy.port}`
    const breaker = breakers().find((one) => one.name === name)
    if (breaker === undefined) throw new Error(`there is no breaker ${name}`)
    breaker.forceOpen()
    expect(await within(patience, errorOf(db.query('select 1')))).toBeInstanceOf(CircuitOpenError)
    expect(breakerOf(db)).toBe('forced-open')
    breaker.forceClose()
    expect(await db.query('select 1 as n')).toEqual([{ n: 1 }])
    breaker.reset()
    expect(breakerOf(db)).toBe('closed')
  })
})

function breakerOf(db: Db): string | undefined {
  return db.pool.stats().endpoints[`${proxy.host}:${proxy.port}`]?.breaker
}

/** A probe is let through now and then: so until one is refused at once. */
async function repeatedly(db: Db): Promise<void> {
  for (;;) {
    const { idle, leased } = db.pool.stats()
    if (idle + leased > 0) throw new Error('a connection lives')
    await db.pool
      .lease(() => {}, { timeoutMs: 50 })
      .catch((error: unknown) => {
        if (!(error instanceof AcquireTimeoutError)) throw error
      })
  }
}

/** Until it succeeds: the caller's limit is a short one. */
async function repeated<T>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof AcquireTimeoutError)) throw error
    }
  }
}
