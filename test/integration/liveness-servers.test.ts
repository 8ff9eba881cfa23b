// F2: which server is asked, and as whom: the one that the connection leads to, also when it was restarted, stands still or
// its name means another one by now; and what is not known of a session, behind a pooler or of another user, is not guessed.

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import { ConnectionLostError } from '@moorings/core'
import { type Cluster, startCluster } from '../support/cluster.js'
import { replaceNames, startOnOnePort } from '../support/names.js'
import { startProxy, targetOf } from '../support/proxy.js'
import { until } from '../support/until.js'
import { describeBehindPgbouncer } from '../support/use-pgbouncer.js'
import { type Db, type Orm, orms } from './orms.js'
import { errorOf, outcome, useScene, within } from './scene.js'

// Roles belong to the whole server; they go before the database through which they are dropped.
const login = `liveness_${process.pid}`
const group = `liveness_group_${process.pid}`
afterAll(() => scene.admin.query(`drop role if exists ${login}; drop role if exists ${group}`))

const scene = useScene()
const endless = {
  pool: { min: 0, max: 1, overflow: 0, validationTimeoutMs: 500, validateAfterIdleMs: 60_000, closeTimeoutMs: 500 },
  statement: { livenessAfterMs: 200 },
}
const patience = 20_000

async function asked(db: Db, times: number): Promise<void> {
  const enough = () => db.pool.stats().liveness.asks >= times
  await until(enough, { what: `${times} questions`, timeoutMs: patience })
}

async function sleeper(): Promise<number | undefined> {
  const sleeping = (await scene.backends()).find(({ wait_event }) => wait_event === 'PgSleep')
  return sleeping?.pid
}

describe.each(orms)('$name, on a server of its own', (orm: Orm) => {
  let cluster: Cluster
  const closing: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    cluster = await startCluster()
  }, 60_000)
  afterAll(() => cluster?.stop(), 60_000)
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  async function open() {
    const proxy = await startProxy({ target: targetOf(cluster.url) })
    closing.push(() => proxy.close())
    const db = orm.open(proxy.through(cluster.url), { ...endless, transaction: { retry: false } })
    closing.push(() => db.close())
    await db.query('select 1')
    return { db, proxy }
  }

  it.each(['fast', 'immediate'] as const)(
    'F2: a server that was restarted (%s) behind a black hole has no such session any more',
    async (mode) => {
      const { db, proxy } = await open()
      // In a transaction: what has rested for a while is asked for a sign of life before it is lent.
      const asked = db.transaction(async (tx) => {
        await tx.query('select 1')
        for (const wire of proxy.connections) wire.swallow('both')
        await cluster.restart(mode)
        await tx.query('select 2')
      })
      const error = await within(patience, errorOf(asked))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(String(error)).toContain('no longer knew it')
      expect(await db.query('select 3 as n')).toEqual([{ n: 3 }])
    },
  )

  it('F2: of a server that stands still nothing is heard', async () => {
    const { db } = await open()
    await cluster.freeze()
    try {
      const error = await within(patience, errorOf(db.query('select 2')))
      expect(error).toBeInstanceOf(ConnectionLostError)
      expect(String(error)).toContain('nothing was heard')
    } finally {
      await cluster.thaw()
    }
    expect(await within(patience, db.query('select 3 as n'))).toEqual([{ n: 3 }])
  })
})

describe.each(orms)('$name', (orm: Orm) => {
  it('F2: asked is at the address that the connection leads to, whatever its name means by now', async () => {
    const target = targetOf(scene.directUrl)
    const names = replaceNames()
    const { port, proxies } = await startOnOnePort([target, target])
    const url = new URL(scene.directUrl)
    url.host = `db.test:${port}`
    try {
      names.set('db.test', '127.0.0.2')
      const db = scene.open(orm, endless, url.href)
      await db.query('select 1')
      names.set('db.test', '127.0.0.3')
      const report = outcome(db.query('select pg_sleep(60)'))
      await asked(db, 3)
      expect(proxies.map(({ accepted }) => accepted > 0)).toEqual([true, false])
      expect(db.pool.stats()).toMatchObject({ liveness: { lost: 0 } })
      for (const wire of proxies[0]?.connections ?? []) wire.swallow('both')
      proxies[0]?.refuse()
      expect(await within(patience, report)).toMatchObject({ error: { name: 'ConnectionLostError' } })
      expect(await db.query('select 2 as n')).toEqual([{ n: 2 }])
    } finally {
      for (const proxy of proxies) proxy.resetAll()
      await Promise.all(proxies.map((proxy) => proxy.close()))
      names.restore()
    }
  })

  it('F2: of another user’s session nothing is known, and it is waited for', async () => {
    await scene.admin.query(`drop role if exists ${login}; create role ${login} login password 'x'`)
    let asTheOther = 0
    let made = false
    const beforeConnect = () => {
      if (!made) return {}
      asTheOther++
      return { user: login, password: 'x' }
    }
    const db = scene.open(orm, { ...endless, hooks: { beforeConnect } })
    await db.query('select 1')
    made = true
    for (const wire of scene.proxy.connections) wire.swallow('to-client')
    const waiting = errorOf(db.query('select 2'))
    await asked(db, 4)
    expect(asTheOther).toBeGreaterThanOrEqual(4)
    expect(db.pool.stats()).toMatchObject({ leased: 1, liveness: { lost: 0 } })
    scene.proxy.resetAll()
    expect(await within(patience, waiting)).toBeInstanceOf(ConnectionLostError)
  })

  it('F2: a role put on at the start hides a user’s sessions from itself: it is taken off to ask', async () => {
    await scene.admin.query(
      `drop role if exists ${login}; drop role if exists ${group};
       create role ${group}; create role ${login} login password 'x' in role ${group};
       alter role ${login} set role = ${group}`,
    )
    const url = new URL(scene.url)
    url.username = login
    url.password = 'x'
    const db = scene.open(orm, endless, url.href)
    expect(await db.query('select current_user::text as me')).toEqual([{ me: group }])
    for (const wire of scene.proxy.connections) wire.swallow('to-client')
    const error = await within(patience, errorOf(db.query('select 2')))
    expect(String(error)).toContain('had nothing to do for it')
  })
})

describeBehindPgbouncer('behind PgBouncer', (pooler) => {
  it.each(orms)('F2: $name: a statement that takes long lives on, and a black hole does not last', async (orm) => {
    const proxy = await startProxy({ target: targetOf(pooler().through(scene.directUrl)) })
    const url = proxy.through(pooler().through(scene.directUrl))
    const db = scene.open(orm, endless, url)
    try {
      const report = errorOf(db.query('select pg_sleep(60)'))
      await until(async () => (await sleeper()) !== undefined, { what: 'it to run' })
      await asked(db, 4)
      expect(db.pool.stats()).toMatchObject({ liveness: { lost: 0 } })
      proxy.swallow()
      expect(String(await within(patience, report))).toContain('nothing was heard')
    } finally {
      proxy.resetAll()
      await db.close()
      await proxy.close()
    }
  })
})
