import { describe, expect, it } from '@jest/globals'
import {
  CheckViolationError,
  type ConstraintSite,
  type ConstraintViolationError,
  ExclusionViolationError,
  ForeignKeyViolationError,
  NotNullViolationError,
  StatementError,
  UniqueViolationError,
} from '../errors.js'
import type { PoolOptions } from '../options.js'
import { settled } from '../testing/fake-clock.js'
import { type Fixture, fixture, take } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'
import type { ErrorOptions } from './errors-options.js'
import type { ConstraintFacts } from './facts.js'

const onUsers = { schema: 'public', table: 'users', constraint: 'users_email_key' }
const emailKey: ConstraintFacts = { kind: 'unique', ...named(onUsers), columns: ['email'] }

function named({ schema, table, constraint = '' }: ConstraintSite) {
  return { schema, table, name: constraint }
}

function violated(site: ConstraintSite = onUsers): UniqueViolationError {
  return new UniqueViolationError('duplicate key value', site, { code: '23505' })
}

function pooled(errors: ErrorOptions = {}, options: PoolOptions = {}): Fixture {
  return fixture(options, undefined, { errors })
}

/** What there is to be waited for has come, without time going on. */
async function completed({ pool }: Fixture, error: ConstraintViolationError) {
  const waits = pool.constraints.complete(error)
  if (waits !== undefined) {
    const watched = watch(waits)
    await settled()
    void watched.value
  }
  return error
}

describe('what an ORM’s schema tells', () => {
  it('completes a violation at once, and nothing is looked up', () => {
    const { pool, driver } = pooled()
    pool.constraints.register([{ ...emailKey, keys: ['mail'] }])
    const error = violated()
    expect(pool.constraints.complete(error)).toBeUndefined()
    expect(error).toMatchObject({ columns: ['email'], keys: ['mail'] })
    expect(driver.lookups).toEqual([])
  })

  it('is gone through at the first violation, once, when modules that refer to each other are all there', () => {
    const { pool } = pooled()
    let times = 0
    pool.constraints.register({
      *[Symbol.iterator]() {
        times++
        yield { ...emailKey, keys: ['mail'] }
      },
    })
    expect(times).toBe(0)
    const errors = [violated(), violated()]
    for (const error of errors) pool.constraints.complete(error)
    expect(errors.map(({ keys }) => keys)).toEqual([['mail'], ['mail']])
    expect(times).toBe(1)
  })

  it('holds for a table in whatever schema, unless one of that schema was told of as well', () => {
    const { pool } = pooled()
    pool.constraints.register([
      { ...emailKey, schema: undefined, keys: ['anywhere'] },
      { ...emailKey, schema: 'tenant', keys: ['there'] },
    ])
    const [here, there] = [violated(), violated({ ...onUsers, schema: 'tenant' })]
    pool.constraints.complete(here)
    pool.constraints.complete(there)
    expect([here.keys, there.keys]).toEqual([['anywhere'], ['there']])
  })

  it('is read at once of more schemas than are kept', () => {
    const { pool } = pooled()
    let times = 0
    const schema = {
      *[Symbol.iterator]() {
        times++
        yield { ...emailKey, keys: ['mail'] }
      },
    }
    for (let count = 0; count < 100; count++) pool.constraints.register(schema)
    expect(times).toBe(0)
    pool.constraints.register(schema)
    expect(times).toBe(101)
  })

  it('of a table in no schema in particular is held against the catalogue where it may be another one', async () => {
    const scene = pooled()
    scene.driver.usualSchema = 'public'
    scene.pool.constraints.register([{ ...emailKey, schema: undefined, keys: ['mail'] }])
    expect(await completed(scene, violated())).toMatchObject({ keys: ['mail'] })
    expect(scene.driver.lookups).toEqual([])
    const audit = { ...onUsers, schema: 'audit' }
    scene.driver.catalogue.set('users_email_key', { ...emailKey, schema: 'audit', columns: ['at'] })
    expect(await completed(scene, violated(audit))).toMatchObject({ columns: ['at'], keys: undefined })
    scene.driver.catalogue.set('users_email_key', { ...emailKey, schema: 'tenant' })
    const tenant = { ...onUsers, schema: 'tenant' }
    expect(await completed(scene, violated(tenant))).toMatchObject({ columns: ['email'], keys: ['mail'] })
    // Better than nothing.
    scene.driver.catalogue.clear()
    expect(await completed(scene, violated({ ...onUsers, schema: 'other' }))).toMatchObject({ keys: ['mail'] })
  })

  it('without columns leaves them to the catalogue, and has none where that has none', async () => {
    const scene = pooled()
    scene.pool.constraints.register([{ ...emailKey, columns: [], references: { table: 'others' } }])
    expect(await completed(scene, violated())).toMatchObject({ columns: undefined, keys: undefined })
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('is not taken for what it tells of another table, or another schema', async () => {
    const scene = pooled()
    scene.pool.constraints.register([
      { ...emailKey, table: 'admins', keys: ['a'] },
      { ...emailKey, schema: 'tenant', keys: ['b'] },
    ])
    const error = await completed(scene, violated())
    expect(error).toMatchObject({ columns: undefined, keys: undefined })
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('counts as it was said last', () => {
    const { pool } = pooled()
    pool.constraints.register([{ ...emailKey, keys: ['old'] }])
    pool.constraints.register([{ ...emailKey, columns: ['e_mail'], keys: ['new'] }])
    const error = violated()
    pool.constraints.complete(error)
    expect(error).toMatchObject({ columns: ['e_mail'], keys: ['new'] })
  })

  it('gives the key of a column that may not be null', () => {
    const { pool, driver } = pooled()
    const column = { kind: 'not-null', schema: undefined, table: 'users', name: '' } as const
    pool.constraints.register([
      { ...column, columns: ['born_on'], keys: ['bornOn'] },
      { ...column, columns: ['name'], keys: ['fullName'] },
    ])
    const error = new NotNullViolationError('null value', { schema: 'public', table: 'users', columns: ['born_on'] })
    expect(pool.constraints.complete(error)).toBeUndefined()
    expect(error.keys).toEqual(['bornOn'])
    expect(driver.lookups).toEqual([])
  })

  it('gives keys to the columns of a constraint that it does not know itself', async () => {
    const scene = pooled()
    scene.pool.constraints.register([{ ...emailKey, name: 'another', columns: ['email', 'a'], keys: ['mail', 'aa'] }])
    scene.driver.catalogue.set('users_email_key', emailKey)
    expect(await completed(scene, violated())).toMatchObject({ columns: ['email'], keys: ['mail'] })
    // Not of some of them only.
    scene.driver.catalogue.set('pair', { ...emailKey, name: 'pair', columns: ['email', 'unknown'] })
    const pair = await completed(scene, violated({ ...onUsers, constraint: 'pair' }))
    expect(pair).toMatchObject({ columns: ['email', 'unknown'], keys: undefined })
  })

  it('holds for a partition of what it tells of', async () => {
    const scene = pooled({ constraints: { events_at_key: { message: 'twice' } } })
    scene.pool.constraints.register([
      { kind: 'unique', table: 'events', name: 'events_at_key', columns: ['at'], keys: ['happenedAt'] },
    ])
    scene.driver.catalogue.set('events_1_at_key', {
      ...{ kind: 'unique', schema: 'public', table: 'events_1', name: 'events_1_at_key', columns: ['at'] },
      partitionOf: { schema: 'public', table: 'events', name: 'events_at_key' },
    })
    const site = { schema: 'public', table: 'events_1', constraint: 'events_1_at_key' }
    expect(await completed(scene, violated(site))).toMatchObject({
      ...{ table: 'events_1', columns: ['at'], keys: ['happenedAt'], userMessage: 'twice' },
      partitionOf: { schema: 'public', table: 'events', name: 'events_at_key' },
    })
  })

  it('holds for what a trigger raises by a name that there is once', () => {
    const { pool } = pooled()
    pool.constraints.register([emailKey])
    const [once, twice] = [violated({ constraint: 'users_email_key' }), violated({ constraint: 'users_email_key' })]
    pool.constraints.complete(once)
    pool.constraints.register([{ ...emailKey, table: 'admins' }])
    pool.constraints.complete(twice)
    expect([once.columns, twice.columns]).toEqual([['email'], undefined])
  })

  it('gives a foreign key what it leads to', () => {
    const { pool } = pooled()
    const references = { table: 'users', columns: ['id'] }
    pool.constraints.register([{ kind: 'foreign-key', table: 'books', name: 'fk', columns: ['author'], references }])
    const error = new ForeignKeyViolationError('fk', { schema: 'public', table: 'books', constraint: 'fk' })
    pool.constraints.complete(error)
    expect(error).toMatchObject({ columns: ['author'], references })
  })
})

describe('what the user says', () => {
  it('gives columns by a constraint’s name, or with its table’s before it, and nothing is looked up', () => {
    const { pool, driver } = pooled({ columns: { users_email_key: ['a'], 'admins.users_email_key': ['b'] } })
    const [users, admins] = [violated(), violated({ ...onUsers, table: 'admins' })]
    expect([pool.constraints.complete(users), pool.constraints.complete(admins)]).toEqual([undefined, undefined])
    expect([users.columns, admins.columns]).toEqual([['a'], ['b']])
    expect(driver.lookups).toEqual([])
  })

  it('gives keys in camel case, as Kysely’s plugin has them, where no schema tells any', () => {
    const columns = ['display_name', 'born__on_2', '_home', 'zip_', 'URL', 'x']
    const { pool } = pooled({ casing: 'camelCase', columns: { users_email_key: columns } })
    const error = violated()
    pool.constraints.complete(error)
    expect(error.keys).toEqual(['displayName', 'bornOn2', '_home', 'zip', 'URL', 'x'])
    pool.constraints.register([{ ...emailKey, columns: ['e_mail'], keys: ['mail'] }])
    const told = violated()
    pool.constraints.complete(told)
    expect(told.keys).toEqual(['mail'])
  })

  it('gives the key of a column that may not be null in camel case, its partitioned table looked up all the same', async () => {
    const scene = pooled({ casing: 'camelCase' })
    const error = new NotNullViolationError('null', { schema: 'public', table: 'users', columns: ['first_name'] })
    expect(await completed(scene, error)).toMatchObject({ keys: ['firstName'] })
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('goes behind what a schema tells', () => {
    const { pool } = pooled({ columns: { users_email_key: ['a'] } })
    pool.constraints.register([emailKey])
    const error = violated()
    pool.constraints.complete(error)
    expect(error.columns).toEqual(['email'])
  })

  it('gives words to a constraint, or to all of a kind', () => {
    const { pool } = pooled({
      lookupTimeoutMs: 0,
      constraints: {
        users_email_key: { message: 'taken', path: 'email', code: 'TAKEN' },
        'admins.users_email_key': { code: 'ADMIN' },
        'users.name': { message: 'needed' },
        positive: { path: ['order', 'amount'] },
      },
      messages: { unique: 'already there', check: 'not allowed', exclusion: 'overlaps' },
    })
    const told = (error: ConstraintViolationError) => {
      pool.constraints.complete(error)
      return [error.userMessage, error.path, error.userCode]
    }
    expect(told(violated())).toEqual(['taken', ['email'], 'TAKEN'])
    expect(told(violated({ ...onUsers, table: 'admins' }))).toEqual(['already there', undefined, 'ADMIN'])
    expect(told(violated({ ...onUsers, constraint: 'x' }))).toEqual(['already there', undefined, undefined])
    const name = { schema: 'public', table: 'users', columns: ['name'] }
    expect(told(new NotNullViolationError('null', name))).toEqual(['needed', undefined, undefined])
    const domain = { schema: 'public', domain: 'amount', constraint: 'positive' }
    expect(told(new CheckViolationError('check', domain))).toEqual(['not allowed', ['order', 'amount'], undefined])
    expect(told(new ExclusionViolationError('overlap', onUsers))[0]).toBe('taken')
    expect(told(new ForeignKeyViolationError('fk', { constraint: 'y' }))[0]).toBeUndefined()
  })

  it('is found by a name with its schema, which goes before one with the table alone', () => {
    const { pool } = pooled({
      lookupTimeoutMs: 0,
      constraints: {
        'public.users.users_email_key': { code: 'HERE' },
        'users.users_email_key': { code: 'ANYWHERE' },
        'public.users.name': { code: 'NAME' },
        'public.amount.positive': { code: 'AMOUNT' },
      },
      columns: { 'public.users.users_email_key': ['mail'] },
    })
    const code = (error: ConstraintViolationError) => {
      pool.constraints.complete(error)
      return error.userCode
    }
    const here = violated()
    expect([code(here), here.columns]).toEqual(['HERE', ['mail']])
    expect(code(violated({ ...onUsers, schema: 'tenant' }))).toBe('ANYWHERE')
    const name = { schema: 'public', table: 'users', columns: ['name'] }
    expect(code(new NotNullViolationError('null', name))).toBe('NAME')
    const domain = { schema: 'public', domain: 'amount', constraint: 'positive' }
    expect(code(new CheckViolationError('check', domain))).toBe('AMOUNT')
  })

  it('says of a row that is still referred to only what is meant for that', () => {
    const { pool } = pooled({
      lookupTimeoutMs: 0,
      constraints: {
        orders_user_fk: { message: 'no such user', path: 'user', code: 'UNKNOWN' },
        orders_item_fk: {
          message: 'no such item',
          stillReferenced: { message: 'ordered', code: 'IN_USE', path: 'id' },
        },
      },
      messages: { 'foreign-key': 'is not there', 'still-referenced': 'is in use' },
    })
    const told = (constraint: string, direction: 'missing-parent' | 'still-referenced') => {
      const error = new ForeignKeyViolationError('fk', { constraint, direction })
      pool.constraints.complete(error)
      return [error.userMessage, error.path, error.userCode]
    }
    expect(told('orders_user_fk', 'missing-parent')).toEqual(['no such user', ['user'], 'UNKNOWN'])
    expect(told('orders_user_fk', 'still-referenced')).toEqual(['is in use', undefined, undefined])
    expect(told('orders_item_fk', 'still-referenced')).toEqual(['ordered', ['id'], 'IN_USE'])
    expect(told('another', 'missing-parent')).toEqual(['is not there', undefined, undefined])
    expect(told('another', 'still-referenced')).toEqual(['is in use', undefined, undefined])
  })
})

describe('what the catalogue tells', () => {
  it('is waited for once, and known from then on', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    expect(await completed(scene, violated())).toMatchObject({ columns: ['email'] })
    const again = violated()
    expect(scene.pool.constraints.complete(again)).toBeUndefined()
    expect(again.columns).toEqual(['email'])
    expect(scene.driver.lookups.map(({ site }) => site)).toMatchObject([onUsers])
  })

  it('is asked once, however many wait for it', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    scene.driver.always('statement', 'held')
    const errors = [violated(), violated(), violated()]
    const waits = errors.map((error) => watch(scene.pool.constraints.complete(error) ?? Promise.reject()))
    await settled()
    expect(scene.driver.lookups).toHaveLength(1)
    expect(waits.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending'])
    scene.driver.connection(1).held('statement').ok()
    await settled()
    expect(waits.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved'])
    expect(errors.map(({ columns }) => columns)).toEqual([['email'], ['email'], ['email']])
  })

  it('tells constraints of one name on several tables apart', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    await completed(scene, violated())
    await completed(scene, violated({ ...onUsers, table: 'admins' }))
    await completed(scene, violated({ ...onUsers, schema: 'tenant' }))
    expect(scene.driver.lookups).toHaveLength(3)
  })

  it('is given up at the limit, the caller told without it, and the error left as it was told', async () => {
    const scene = pooled({ lookupTimeoutMs: 100 })
    scene.driver.catalogue.set('users_email_key', emailKey)
    const [other] = await take(scene.pool, 1)
    other?.release()
    scene.driver.connection(1).always('statement', 'held')
    const error = violated()
    const waits = watch(scene.pool.constraints.complete(error) ?? Promise.reject())
    await scene.clock.advance(99)
    expect(waits.state).toBe('pending')
    await scene.clock.advance(1)
    expect([waits.state, error.columns]).toEqual(['resolved', undefined])
    for (const held of scene.driver.connection(1).waiting) held.ok()
    await settled()
    expect(error.columns).toBeUndefined()
  })

  it('goes on for the next one, who does not wait for what has kept others waiting', async () => {
    const scene = pooled({ lookupTimeoutMs: 100 }, { max: 1, overflow: 0 })
    scene.driver.catalogue.set('users_email_key', emailKey)
    const [lease] = await take(scene.pool, 1)
    const waits = watch(scene.pool.constraints.complete(violated()) ?? Promise.reject())
    await scene.clock.advance(100)
    expect(waits.state).toBe('resolved')
    expect(scene.pool.constraints.complete(violated())).toBeUndefined()
    lease?.release()
    await settled()
    const later = violated()
    expect(scene.pool.constraints.complete(later)).toBeUndefined()
    expect([later.columns, scene.driver.lookups.length]).toEqual([['email'], 1])
  })

  it('is had before those who wait for a connection', async () => {
    const scene = pooled({}, { max: 1, overflow: 0 })
    scene.driver.catalogue.set('users_email_key', emailKey)
    const [lease] = await take(scene.pool, 1)
    const other = watch(scene.pool.acquire())
    const error = violated()
    const waits = watch(scene.pool.constraints.complete(error) ?? Promise.reject())
    await settled()
    scene.driver.connection(1).always('statement', 'held')
    lease?.release()
    await settled()
    expect([scene.driver.lookups.length, other.state]).toEqual([1, 'pending'])
    scene.driver.connection(1).held('statement').ok()
    await settled()
    expect([waits.state, error.columns, other.state]).toEqual(['resolved', ['email'], 'resolved'])
  })

  it('is not waited for by the last of those who hold every connection there is', async () => {
    const scene = pooled({}, { max: 2, overflow: 0 })
    scene.driver.catalogue.set('users_email_key', emailKey)
    const leases = await take(scene.pool, 2)
    const [first, last] = [violated(), violated()]
    const waits = watch(scene.pool.constraints.complete(first, { holds: true }) ?? Promise.reject())
    expect(scene.pool.constraints.complete(last, { holds: true })).toBeUndefined()
    await settled()
    expect(waits.state).toBe('pending')
    leases[1]?.release()
    await settled()
    expect([waits.state, first.columns, last.columns]).toEqual(['resolved', ['email'], undefined])
  })

  it('is left out for who cannot wait, and there for the next', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    const error = violated()
    expect(scene.pool.constraints.complete(error, { wait: false })).toBeUndefined()
    await settled()
    expect(error.columns).toBeUndefined()
    expect(await completed(scene, violated())).toMatchObject({ columns: ['email'] })
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('is asked again for a constraint that it did not know after a minute', async () => {
    const scene = pooled()
    await completed(scene, violated())
    scene.driver.catalogue.set('users_email_key', emailKey)
    await scene.clock.advance(59_999)
    expect(scene.pool.constraints.complete(violated())).toBeUndefined()
    await scene.clock.advance(1)
    expect(await completed(scene, violated())).toMatchObject({ columns: ['email'] })
    expect(scene.driver.lookups).toHaveLength(2)
  })

  it('fails without anybody hearing of it, and is left alone for five seconds', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', new StatementError('permission denied', { code: '42501' }))
    expect(await completed(scene, violated())).toMatchObject({ columns: undefined })
    scene.driver.catalogue.set('users_email_key', emailKey)
    expect(scene.pool.constraints.complete(violated())).toBeUndefined()
    await scene.clock.advance(5_000)
    expect(await completed(scene, violated())).toMatchObject({ columns: ['email'] })
  })

  it('is asked again by itself after it failed, so that the next violation does not go without', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', new StatementError('cancelled', { code: '57014' }))
    await completed(scene, violated())
    scene.driver.catalogue.set('users_email_key', emailKey)
    await scene.clock.advance(5_000)
    const next = violated()
    expect(scene.pool.constraints.complete(next)).toBeUndefined()
    expect(next.columns).toEqual(['email'])
    expect(scene.driver.lookups).toHaveLength(2)
  })

  it('is asked again by itself three times, one table after the other, and keeps no process alive', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('any', new StatementError('cancelled', { code: '57014' }))
    await completed(scene, violated())
    await completed(scene, violated({ ...onUsers, table: 'admins' }))
    expect(scene.clock.holding).toBe(0)
    for (const lookups of [3, 4, 5, 6, 7, 8, 8, 8]) {
      await scene.clock.advance(5_000)
      expect(scene.driver.lookups).toHaveLength(lookups)
    }
  })

  it('is asked again by itself for twenty tables at most', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('any', new StatementError('cancelled', { code: '57014' }))
    for (let i = 0; i < 25; i++) await completed(scene, violated({ ...onUsers, table: `t${i}` }))
    for (let i = 0; i < 70; i++) await scene.clock.advance(5_000)
    expect(scene.driver.lookups).toHaveLength(25 + 20 * 3)
  })

  it('is not asked again by itself for what it has told meanwhile', async () => {
    const scene = pooled()
    const admins = { ...onUsers, table: 'admins' }
    scene.driver.catalogue.set('any', new StatementError('cancelled', { code: '57014' }))
    for (const site of [onUsers, admins]) await completed(scene, violated(site))
    scene.driver.catalogue.clear()
    await scene.clock.advance(5_000)
    expect(scene.driver.lookups.map(({ site }) => site.table)).toEqual(['users', 'admins', 'users'])
    await completed(scene, violated(admins))
    await scene.clock.advance(60_000)
    expect(scene.driver.lookups).toHaveLength(4)
  })

  it('is not asked again by itself while it is being asked', async () => {
    const scene = pooled({ lookupTimeoutMs: 60_000 })
    const tables = () => scene.driver.lookups.map(({ site }) => site.table)
    scene.driver.catalogue.set('any', new StatementError('cancelled', { code: '57014' }))
    await completed(scene, violated())
    scene.driver.catalogue.clear()
    scene.driver.connection(1).always('statement', 'held')
    scene.pool.constraints.complete(violated({ ...onUsers, table: 'held' }))
    await scene.clock.advance(10_000)
    expect(tables()).toEqual(['users', 'held'])
    scene.driver.connection(1).held('statement').ok()
    await scene.clock.advance(5_000)
    expect(tables()).toEqual(['users', 'held', 'users'])
  })

  it('is not asked again once the pool closes', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('any', new StatementError('cancelled', { code: '57014' }))
    await completed(scene, violated())
    await scene.pool.close()
    expect(scene.clock.pending).toBe(0)
    await scene.clock.advance(60_000)
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('is asked once for all constraints of a table', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    scene.driver.catalogue.set('users_name_key', { ...emailKey, name: 'users_name_key', columns: ['name'] })
    await completed(scene, violated())
    const other = violated({ ...onUsers, constraint: 'users_name_key' })
    expect(scene.pool.constraints.complete(other)).toBeUndefined()
    expect(other.columns).toEqual(['name'])
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('is asked for one that a table did not have when it was asked about', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    await completed(scene, violated())
    scene.driver.catalogue.set('new', { ...emailKey, name: 'new', columns: ['name'] })
    expect(await completed(scene, violated({ ...onUsers, constraint: 'new' }))).toMatchObject({ columns: ['name'] })
    expect(await completed(scene, violated())).toMatchObject({ columns: ['email'] })
    expect(scene.driver.lookups).toHaveLength(2)
  })

  it('keeps a thousand tables, and forgets what was not needed for longest', async () => {
    const scene = pooled()
    const of = (table: string) => violated({ ...onUsers, table })
    const put = (table: string) => scene.driver.catalogue.set(table, { ...emailKey, table })
    const named = Array.from({ length: 1_000 }, (_, i) => `t${i}`)
    for (const table of named) {
      scene.driver.catalogue.clear()
      put(table)
      await completed(scene, of(table))
    }
    await completed(scene, of('t0'))
    put('one more')
    await completed(scene, of('one more'))
    expect(scene.driver.lookups).toHaveLength(1_001)
    expect(await completed(scene, of('t0'))).toMatchObject({ columns: ['email'] })
    expect(scene.driver.lookups).toHaveLength(1_001)
    await completed(scene, of('t1'))
    expect(scene.driver.lookups).toHaveLength(1_002)
  })

  it('is not asked with a limit of 0, nor of what has no table', async () => {
    const never = pooled({ lookupTimeoutMs: 0 })
    expect(never.pool.constraints.complete(violated())).toBeUndefined()
    const scene = pooled()
    expect(scene.pool.constraints.complete(violated({ constraint: 'raised' }))).toBeUndefined()
    const domain = new CheckViolationError('check', { schema: 'public', domain: 'amount', constraint: 'positive' })
    expect(scene.pool.constraints.complete(domain)).toBeUndefined()
    await settled()
    expect([...never.driver.connections, ...scene.driver.connections]).toEqual([])
  })

  it('is asked for the partitioned table of a column that may not be null', async () => {
    const scene = pooled()
    const partitionOf = { schema: 'public', table: 'events' }
    const site = { schema: 'public', table: 'events_1' }
    scene.driver.catalogue.set('', { kind: 'not-null', name: '', ...site, columns: [], partitionOf })
    const of = (column: string) => new NotNullViolationError('null', { ...site, columns: [column] })
    for (const column of ['at', 'kind']) {
      const told = { columns: [column], partitionOf: { ...partitionOf, columns: [column] } }
      expect(await completed(scene, of(column))).toMatchObject(told)
    }
    expect(scene.driver.lookups).toHaveLength(1)
  })

  it('gives its connection back, and leaves no timer', async () => {
    const scene = pooled()
    await completed(scene, violated())
    expect(scene.pool.stats()).toMatchObject({ leased: 0, waiting: 0 })
    expect(scene.clock.holding).toBe(0)
    await scene.pool.close()
    expect(scene.clock.pending).toBe(0)
  })
})

describe('when the pool closes', () => {
  it('tells at once who waits, and closes as it would', async () => {
    const scene = pooled()
    scene.driver.always('statement', 'held')
    const waits = watch(scene.pool.constraints.complete(violated()) ?? Promise.reject())
    await settled()
    const closed = watch(scene.pool.close({ timeoutMs: 50 }))
    await settled()
    expect(waits.state).toBe('resolved')
    await scene.clock.advance(50)
    expect(closed.state).toBe('resolved')
    expect(scene.clock.pending).toBe(0)
  })

  it('looks nothing up any more, and tells what it knows', async () => {
    const scene = pooled({ messages: { unique: 'there' } })
    await scene.pool.close()
    const error = violated()
    expect(scene.pool.constraints.complete(error)).toBeUndefined()
    expect(error.userMessage).toBe('there')
    expect(scene.driver.lookups).toEqual([])
  })
})

describe('the server’s own words', () => {
  const detail = { columns: ['told'], values: { told: 'secret' } }

  it('tell columns where nothing better does', async () => {
    const scene = pooled()
    scene.driver.detail = detail
    const unknown = await completed(scene, violated())
    scene.driver.catalogue.set('known', { ...emailKey, name: 'known' })
    const known = await completed(scene, violated({ ...onUsers, constraint: 'known' }))
    expect([unknown.columns, known.columns]).toEqual([['told'], ['email']])
  })

  it('go behind what the user says', async () => {
    const scene = pooled({ columns: { users_email_key: ['a'] } })
    scene.driver.detail = detail
    expect((await completed(scene, violated())).columns).toEqual(['a'])
  })

  it('tell values only when asked for, where no log shows them', async () => {
    const hidden = pooled()
    hidden.driver.detail = detail
    expect((await completed(hidden, violated())).values).toBeUndefined()
    const exposed = pooled({ exposeValues: true })
    exposed.driver.detail = detail
    const error = await completed(exposed, violated())
    expect(error.values).toEqual({ told: 'secret' })
    expect(JSON.stringify(error)).not.toContain('secret')
    expect(Object.keys(error)).not.toContain('values')
  })
})

describe('complete', () => {
  it('has a violation told whatever goes wrong with it', async () => {
    const scene = pooled()
    scene.pool.constraints.register(unreadable())
    scene.pool.constraints.register([{ ...emailKey, table: 'admins', keys: ['mail'] }])
    const admins = violated({ ...onUsers, table: 'admins' })
    expect(scene.pool.constraints.complete(admins)).toBeUndefined()
    expect(admins.keys).toEqual(['mail'])
    scene.driver.detailOf = () => {
      throw new Error('no')
    }
    expect(scene.pool.constraints.complete(violated({ ...onUsers, table: 'admins' }))).toBeUndefined()
    await completed(scene, violated())
  })

  it('leaves alone what is no violation, and what it was given before', async () => {
    const { pool, driver } = pooled()
    for (const one of [undefined, 'text', new Error('x'), new StatementError('x')]) {
      expect(pool.constraints.complete(one)).toBeUndefined()
    }
    const error = violated()
    pool.constraints.complete(error, { wait: false })
    pool.constraints.register([emailKey])
    expect(pool.constraints.complete(error)).toBeUndefined()
    expect(error.columns).toBeUndefined()
    await settled()
    expect(driver.lookups).toHaveLength(1)
  })
})

describe('violations', () => {
  it('are counted once each, when all is known of them', async () => {
    const scene = pooled()
    scene.driver.catalogue.set('users_email_key', emailKey)
    const errors = [violated(), violated()]
    await completed(scene, errors[0] ?? violated())
    for (const error of errors) scene.pool.constraints.complete(error)
    const { total, constraints } = scene.pool.violationStats()
    expect([total, constraints.map(({ columns, count }) => [columns, count])]).toEqual([2, [[['email'], 2]]])
  })
})

function* unreadable(): Generator<ConstraintFacts> {
  yield { ...emailKey, name: 'another' }
  throw new Error('a schema that cannot be evaluated')
}
