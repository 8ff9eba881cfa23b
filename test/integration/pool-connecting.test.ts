// P9 to P11: connecting, when the server, the network or what is asked before it does not play along.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, AuthenticationError, ConnectError } from '@moorings/core'
import { refusesWrongPasswords } from '../support/passwords.js'
import { until } from '../support/until.js'
import { giveBackAll, holdSeveral } from './held.js'
import { backendOf, type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, useScene, within } from './scene.js'

const scene = useScene()
const three = { pool: { min: 0, max: 3, overflow: 0 } }
const patience = 5_000

/** What the pool says of itself on `moorings:connect:failed`. */
const failures = { count: 0 }
const countFailure = () => {
  failures.count++
}

async function failuresDuring(body: () => Promise<unknown>): Promise<number> {
  failures.count = 0
  subscribe('moorings:connect:failed', countFailure)
  try {
    await body()
  } finally {
    unsubscribe('moorings:connect:failed', countFailure)
  }
  return failures.count
}

async function allThreeServe(db: Db): Promise<void> {
  const held = await within(patience, holdSeveral(db, 3))
  expect(db.pool.stats()).toMatchObject({ leased: 3, connecting: 0, waiting: 0 })
  await giveBackAll(held)
  expect(db.pool.stats()).toMatchObject({ leased: 0, idle: 3 })
}

const servers = new Set<{ server: Server; sockets: Set<Socket> }>()

afterEach(() => {
  for (const { server, sockets } of servers) {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  servers.clear()
})

/** A server that answers every start-up with this error. */
async function refusing(code: string, message: string): Promise<{ url: string; readonly accepted: number }> {
  const counts = { accepted: 0 }
  const sockets = new Set<Socket>()
  const fields = `SFATAL\0VFATAL\0C${code}\0M${message}\0\0`
  const answer = Buffer.concat([Buffer.from('E'), Buffer.alloc(4), Buffer.from(fields)])
  answer.writeInt32BE(answer.length - 1, 1)
  const server = createServer((socket) => {
    counts.accepted++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answer))
    socket.once('close', () => sockets.delete(socket))
  })
  servers.add({ server, sockets })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `postgres://nobody:secret@127.0.0.1:${port}/nowhere`,
    get accepted() {
      return counts.accepted
    },
  }
}

function changed(change: (url: URL) => void): string {
  const url = new URL(scene.url)
  change(url)
  return url.href
}

const wrongPassword = () =>
  changed((url) => {
    url.password = 'not-the-password'
  })
const unknownDatabase = () =>
  changed((url) => {
    url.pathname = '/no_such_database'
  })

describe.each(orms)('$name', (orm: Orm) => {
  it.each(['closed', 'reset', 'fin', 'silent'] as const)('P9: a failed connect frees its slot (%s)', async (how) => {
    const db = scene.open(orm, { pool: { ...three.pool, acquireTimeoutMs: 600, connectTimeoutMs: 200 } })
    scene.proxy.refuse(how)
    const errors = await Promise.all(Array.from({ length: 6 }, () => errorOf(db.query('select 1'))))
    for (const error of errors) {
      expect(error).toBeInstanceOf(AcquireTimeoutError)
      expect(error).toMatchObject({ cause: { kind: 'connection' } })
    }
    await until(() => db.pool.stats().connecting === 0, { what: 'the last connect to be given up' })
    await scene.proxy.restore()
    await allThreeServe(db)
  })

  it('P9: one hanging connect does not block others', async () => {
    const db = scene.open(orm, three)
    scene.proxy.refuse('silent')
    const first = backendOf(db)
    await until(() => scene.proxy.accepted === 1, { what: 'the connect that will hang' })
    await scene.proxy.restore()
    const others = Array.from({ length: 5 }, () => backendOf(db))
    await within(patience, Promise.all([first, ...others]))
    // Another connect, for a caller whom a returned connection has served meanwhile, may still be on its way.
    await until(() => db.pool.stats().connecting === 1, { what: 'only the one that hangs to be left' })
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0 })
  })

  it('P9: a password function that hangs is given up at the deadline of the connect', async () => {
    let asked = 0
    let hang = true
    const url = new URL(scene.url)
    const correct = decodeURIComponent(url.password)
    const password = () => {
      asked++
      return hang ? new Promise<string>(() => {}) : correct
    }
    const resilience = { pool: { ...three.pool, connectTimeoutMs: 150, acquireTimeoutMs: 600 } }
    const db = scene.closing(orm.open({ url: withoutPassword(url), password }, resilience))
    expect(await within(patience, errorOf(db.query('select 1')))).toMatchObject({
      name: 'AcquireTimeoutError',
      cause: { name: 'ConnectError' },
    })
    expect(asked).toBeGreaterThan(1)
    hang = false
    await until(() => db.pool.stats().connecting === 0, { what: 'the last connect to be given up' })
    await allThreeServe(db)
  })

  it('P9: a socket factory that hangs, or rejects, is given up too', async () => {
    for (const socket of [
      () => new Promise<never>(() => {}),
      () => Promise.reject(new Error('no tunnel')),
      () => {
        throw new Error('no tunnel')
      },
    ]) {
      const resilience = { pool: { ...three.pool, connectTimeoutMs: 150, acquireTimeoutMs: 400 } }
      const db = scene.closing(orm.open({ url: scene.url, ...{ socket } }, resilience))
      expect(await within(patience, errorOf(db.query('select 1')))).toMatchObject({
        name: 'AcquireTimeoutError',
        cause: { name: 'ConnectError' },
      })
      await until(() => db.pool.stats().connecting === 0, { what: 'the connect to be given up' })
      expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0 })
    }
  })

  it.each(['closed', 'reset', 'fin'] as const)('P11: a database back within the timeout serves (%s)', async (how) => {
    const db = scene.open(orm, three)
    scene.proxy.refuse(how)
    await failuresDuring(async () => {
      const waiting = Array.from({ length: 6 }, (_, i) => db.query(`select ${i} as n`))
      await until(() => failures.count >= 6, { what: 'some connects to fail' })
      await scene.proxy.restore()
      expect((await within(patience, Promise.all(waiting))).flat()).toHaveLength(6)
    })
    expect(db.pool.stats()).toMatchObject({ waiting: 0, leased: 0, lost: 0 })
  })

  it('P11: a wrong password is an AuthenticationError at once, for all who wait', async () => {
    if (!(await refusesWrongPasswords(scene.url))) return
    const db = scene.open(orm, { pool: { ...three.pool, min: 3 } }, wrongPassword())
    const calls = Array.from({ length: 8 }, (_, i) =>
      errorOf(i % 2 === 0 ? db.query('select 1') : db.transaction((tx) => tx.insert('x'))),
    )
    for (const error of await within(patience, Promise.all(calls))) {
      expect(error).toBeInstanceOf(AuthenticationError)
      expect(error).toMatchObject({ code: '28P01', retry: 'never' })
      expect(JSON.stringify(error)).not.toContain('not-the-password')
    }
    expect(db.pool.stats()).toMatchObject({ waiting: 0, leased: 0, idle: 0 })
  })

  it('P11: an unknown database is a ConnectError at once', async () => {
    const db = scene.open(orm, three, unknownDatabase())
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toBeInstanceOf(ConnectError)
    expect(error).toMatchObject({ code: '3D000', retry: 'never' })
  })

  it('P11: a password function that rejects is an AuthenticationError at once, and is asked anew by the next', async () => {
    const url = new URL(scene.url)
    const correct = decodeURIComponent(url.password)
    const reason = new Error('the vault is sealed')
    let sealed = true
    const password = () => (sealed ? Promise.reject(reason) : correct)
    const db = scene.closing(orm.open({ url: withoutPassword(url), password }, three))
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ cause: reason })
    sealed = false
    await allThreeServe(db)
  })
})

describe('drizzle and kysely, side by side', () => {
  const openBoth = (resilience: ResilienceOptions, url?: string) => orms.map((orm) => scene.open(orm, resilience, url))
  const timing = { pool: { ...three.pool, acquireTimeoutMs: 1_000 } }
  // With a first delay of at least 12.5 ms that doubles up to at least 250 ms, a second holds seven rounds of three, for each.
  const atMost = 2 * 3 * 8

  /** The callers of both are many more than the connections. */
  const callers = (dbs: readonly Db[]) =>
    Promise.all(dbs.flatMap((db) => Array.from({ length: 20 }, () => errorOf(db.query('select 1')))))

  it.each(['closed', 'reset', 'fin'] as const)('P10: no hot loop while the server is away (%s)', async (how) => {
    const dbs = openBoth({ pool: { ...timing.pool, min: 3 } })
    scene.proxy.refuse(how)
    const failed = await failuresDuring(() => callers(dbs))
    expect(failed).toBeGreaterThan(6)
    expect(failed).toBeLessThanOrEqual(atMost)
    expect(scene.proxy.accepted).toBeLessThanOrEqual(atMost)
  })

  it('P10: no hot loop while the server is starting up (57P03)', async () => {
    const server = await refusing('57P03', 'the database system is starting up')
    for (const error of await callers(openBoth(timing, server.url))) {
      expect(error).toMatchObject({ name: 'AcquireTimeoutError', cause: { name: 'ConnectError', code: '57P03' } })
    }
    expect(server.accepted).toBeGreaterThan(6)
    expect(server.accepted).toBeLessThanOrEqual(atMost)
  })

  it('P10: no hot loop on a wrong password, though every caller tries again at once', async () => {
    if (!(await refusesWrongPasswords(scene.url))) return
    const end = performance.now() + 1_000
    const persistent = async (db: Db) => {
      while (performance.now() < end) await errorOf(db.query('select 1'))
    }
    const dbs = openBoth(three, wrongPassword())
    const all = dbs.flatMap((db) => Array.from({ length: 10 }, () => persistent(db)))
    const failed = await failuresDuring(() => Promise.all(all))
    expect(failed).toBeGreaterThan(6)
    expect(failed).toBeLessThanOrEqual(atMost)
    const { accepted } = scene.proxy
    await scene.admin.query('select pg_sleep(0.6)')
    // Nobody asks any more.
    expect(scene.proxy.accepted).toBe(accepted)
  })
})

function withoutPassword(url: URL): string {
  const bare = new URL(url)
  bare.password = ''
  return bare.href
}
