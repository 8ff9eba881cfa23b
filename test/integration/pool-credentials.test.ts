// P13: as whom to connect, when that is asked anew each time: providers that fail or hang, credentials that are changed
// under a running pool, and that nobody gets to read them.

import { inspect } from 'node:util'
import { afterAll, afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { AcquireTimeoutError, AuthenticationError, ConnectError, type EventName } from '@moorings/core'
import { refusesWrongPasswords } from '../support/passwords.js'
import { until } from '../support/until.js'
import { eventsOf } from './events.js'
import { hold } from './held.js'
import { type Db, type Orm, orms, type ResilienceOptions } from './orms.js'
import { errorOf, gate, useScene, within } from './scene.js'

// Roles belong to the whole server; they go before the database through which they are dropped.
const rotated = `rotated_${process.pid}`
const successor = `successor_${process.pid}`
afterAll(async () => {
  for (const role of [rotated, successor]) {
    await scene.admin.query(`do $$ begin
      if exists (select from pg_roles where rolname = '${role}') then drop owned by ${role}; drop role ${role}; end if;
    end $$`)
  }
})
const scene = useScene()
const patience = 5_000
const three = { min: 0, max: 3, overflow: 0 }
const firstPassword = 'first pa$$/w:rd@%'
const overridden = 'overridden-by-the-provider'
const secondPassword = 'second "pass\\word'

async function setPassword(role: string, password: string): Promise<void> {
  const literal = `'${password.replaceAll("'", "''")}'`
  await scene.admin.query(`do $$ begin
    if not exists (select from pg_roles where rolname = '${role}') then
      create role ${role} login;
      grant all on marks to ${role};
    end if;
  end $$`)
  // Whatever standard_conforming_strings says, as a backslash is one of the characters.
  await scene.admin.query(`alter role ${role} password ${literal}`)
}

/** Leads to the proxy as that user, with a password that is certainly not the right one. */
function urlOf(role: string): string {
  const url = new URL(scene.url)
  url.username = role
  url.password = overridden
  return url.href
}

async function userOf(db: Pick<Db, 'query'>): Promise<unknown> {
  const [row] = await db.query('select current_user::text as name')
  return row?.name
}

const withPassword = (orm: Orm, password: () => string | Promise<string>, pool: ResilienceOptions['pool']): Db =>
  scene.closing(orm.open({ url: urlOf(rotated), password }, { pool: { ...three, ...pool } }))

/** The two ways a provider is asked: postgres.js's own, and the hook, which may change the user, too. */
const providers = [
  {
    provider: 'password function',
    open: (orm: Orm, current: () => string | Promise<string>, pool: ResilienceOptions['pool'] = {}) =>
      withPassword(orm, current, pool),
  },
  {
    provider: 'beforeConnect',
    open: (orm: Orm, current: () => string | Promise<string>, pool: ResilienceOptions['pool'] = {}) =>
      scene.open(
        orm,
        {
          pool: { ...three, ...pool },
          hooks: { beforeConnect: async () => ({ password: await current() }), timeoutMs: 200 },
        },
        urlOf(rotated),
      ),
  },
]

let judges = true
beforeEach(async () => {
  judges = await refusesWrongPasswords(scene.directUrl)
  await setPassword(rotated, firstPassword)
})

/** Collected by the tests, and looked through after each. */
const told: unknown[] = []
afterEach(() => {
  const secrets = [firstPassword, secondPassword, overridden]
  const spellings = secrets.flatMap((secret) => [secret, encodeURIComponent(secret), JSON.stringify(secret)])
  for (const one of told.splice(0)) {
    const text = `${inspect(one, { depth: 20 })} ${String(one)} ${JSON.stringify(one)}`
    for (const secret of spellings) expect(text).not.toContain(secret)
  }
})

function listenToAll(db: Db): void {
  const names: EventName[] = [
    'moorings:connect:failed',
    'moorings:hook:failed',
    'moorings:acquire:failed',
    'moorings:connection:opened',
    'moorings:connection:closed',
  ]
  for (const name of names) told.push(eventsOf(scene, db.pool, name))
  told.push(db.pool.resilience, db.pool)
}

describe.each(orms)('$name', (orm: Orm) => {
  it('P13: a password function that rejects: at once an AuthenticationError, no backend, the slot free, and later success', async () => {
    let fails = true
    const db = withPassword(orm, () => (fails ? Promise.reject(new Error('the vault is sealed')) : firstPassword), {
      min: 2,
    })
    listenToAll(db)
    const errors = await within(patience, Promise.all([errorOf(db.query('select 1')), errorOf(db.insert('lost'))]))
    for (const error of errors) {
      expect(error).toBeInstanceOf(AuthenticationError)
      expect(error).toMatchObject({ cause: { message: 'the vault is sealed' } })
    }
    told.push(...errors)
    expect(scene.proxy.accepted).toBe(0)
    await until(() => db.pool.stats().connecting === 0, { what: 'the last attempt to end' })
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0, created: 0 })
    fails = false
    expect(await within(patience, userOf(db))).toBe(rotated)
    await until(async () => (await scene.backends()).length === 2, { what: 'min to be filled' })
    expect(await scene.marks()).toEqual([])
  })

  it('P13: beforeConnect that rejects: a ConnectError, no backend, the slot free, and later success for who still waits', async () => {
    let fails = true
    const db = scene.open(
      orm,
      {
        // Longer than the longest back-off, for the one who still waits.
        pool: { ...three, acquireTimeoutMs: 2_000 },
        hooks: {
          beforeConnect: async () => {
            if (fails) throw new Error('the vault is sealed')
            return { password: firstPassword }
          },
        },
      },
      urlOf(rotated),
    )
    listenToAll(db)
    const failed = eventsOf(scene, db.pool, 'moorings:hook:failed')
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toBeInstanceOf(AcquireTimeoutError)
    expect(error).toMatchObject({ cause: { name: 'ConnectError' } })
    expect((error as AcquireTimeoutError).cause).toBeInstanceOf(ConnectError)
    expect(String(error)).toContain('the vault is sealed')
    expect(failed[0]).toMatchObject({ hook: 'beforeConnect', error: { name: 'HookError' } })
    told.push(error, failed)
    expect(scene.proxy.accepted).toBe(0)
    expect(db.pool.stats()).toMatchObject({ leased: 0, waiting: 0, created: 0 })

    const waiting = userOf(db)
    await until(() => db.pool.stats().waiting === 1, { what: 'a caller to wait' })
    fails = false
    expect(await within(patience, waiting)).toBe(rotated)
  })

  it('P13: beforeConnect that hangs is given up after its time, the slot is free, and a later connect succeeds', async () => {
    let hangs = true
    const signals: AbortSignal[] = []
    const db = scene.open(
      orm,
      {
        pool: { ...three, acquireTimeoutMs: 600 },
        hooks: {
          beforeConnect: ({ signal }) => {
            signals.push(signal)
            return hangs ? new Promise<never>(() => {}) : { password: firstPassword }
          },
          timeoutMs: 100,
        },
      },
      urlOf(rotated),
    )
    const error = await within(patience, errorOf(db.query('select 1')))
    expect(error).toMatchObject({ name: 'AcquireTimeoutError', cause: { name: 'ConnectError' } })
    expect(String(error)).toMatch(/beforeConnect .*took longer than 100 ms/)
    expect(signals.length).toBeGreaterThan(1)
    expect(signals[0]?.aborted).toBe(true)
    hangs = false
    expect(await within(patience, userOf(db))).toBe(rotated)
    told.push(error)
  })

  describe.each(providers)('$provider', ({ open }) => {
    it('P13: a password changed under a running pool: new connections use the new one, old ones go on', async () => {
      let current = firstPassword
      const db = open(orm, async () => current)
      listenToAll(db)
      const old = await hold(db)
      await setPassword(rotated, secondPassword)
      current = secondPassword
      const fresh = await within(patience, hold(db))
      expect(fresh.pid).not.toBe(old.pid)
      await Promise.all([old.giveBack(), fresh.giveBack()])
      expect(await userOf(db)).toBe(rotated)
      expect(db.pool.stats()).toMatchObject({ created: 2, connectFailures: 0, lost: 0, idle: 2 })
      expect((await scene.backends()).map(({ pid }) => pid).sort()).toEqual([old.pid, fresh.pid].sort())
    })

    it('P13: changed before the provider knows it: who needs a new connection is served once it does', async () => {
      if (!judges) return
      let current = firstPassword
      const db = open(orm, async () => current, { acquireTimeoutMs: 20_000 })
      listenToAll(db)
      const failures = eventsOf(scene, db.pool, 'moorings:connect:failed')
      const old = await hold(db)
      await setPassword(rotated, secondPassword)
      const waiting = hold(db)
      await until(() => failures.length > 0, { what: 'the old password to be refused' })
      expect(failures[0]?.error).toBeInstanceOf(AuthenticationError)
      expect(failures[0]?.error).toMatchObject({ code: '28P01' })
      current = secondPassword
      const fresh = await within(patience, waiting)
      expect(fresh.pid).not.toBe(old.pid)
      await Promise.all([old.giveBack(), fresh.giveBack()])
      expect(db.pool.stats()).toMatchObject({ created: 2, lost: 0, idle: 2 })
    })

    it('P13: an old connection that ends after the change is replaced without anybody noticing', async () => {
      let current = firstPassword
      const db = open(orm, async () => current, { min: 2 })
      await db.pool.start()
      await setPassword(rotated, secondPassword)
      current = secondPassword
      await scene.killAll()
      await until(async () => (await scene.backends()).length === 2, { what: 'min to be filled again' })
      expect(await userOf(db)).toBe(rotated)
      expect(db.pool.stats()).toMatchObject({ connectFailures: 0 })
    })

    it('P13: asked once for each connect, and never for a statement', async () => {
      let asked = 0
      const db = open(orm, () => {
        asked++
        return firstPassword
      })
      for (let i = 0; i < 5; i++) await db.query('select 1')
      expect(asked).toBe(1)
      const held = [await hold(db), await hold(db)]
      expect(asked).toBe(2)
      await Promise.all(held.map((one) => one.giveBack()))
    })
  })

  it('P13: beforeConnect may change the user as well: new connections are the new one’s, old ones go on', async () => {
    let current = { user: rotated, password: firstPassword }
    const hooks = { beforeConnect: async () => current }
    const db = scene.open(orm, { pool: three, hooks }, urlOf('nobody'))
    listenToAll(db)
    const end = gate()
    const seen: unknown[] = []
    const old = db.transaction(async (tx) => {
      seen.push(await userOf(tx))
      await end.opened
      seen.push(await userOf(tx))
    })
    await until(() => seen.length === 1, { what: 'the transaction to be under way' })
    await setPassword(successor, secondPassword)
    current = { user: successor, password: secondPassword }
    expect(await within(patience, userOf(db))).toBe(successor)
    end.open()
    await old
    expect(seen).toEqual([rotated, rotated])
    db.pool.invalidate()
    expect(await userOf(db)).toBe(successor)
  })

  it('P13: what beforeConnect returns is checked, and never shown', async () => {
    for (const credentials of [{ user: '' }, { user: `a\0${firstPassword}` }, { password: [firstPassword] as never }]) {
      const hooks = { beforeConnect: () => credentials }
      const db = scene.open(orm, { pool: { ...three, acquireTimeoutMs: 300 }, hooks })
      listenToAll(db)
      const error = await within(patience, errorOf(db.query('select 1')))
      expect(String(error)).toMatch(/credentials\.(user|password)/)
      told.push(error)
      await db.close()
    }
    expect(scene.proxy.accepted).toBe(0)
  })
})
