import { describe, expect, it } from '@jest/globals'
import type { NamedConstraint } from '../driver.js'
import { StatementError, UniqueViolationError } from '../errors.js'
import { eventsOf } from '../testing/events.js'
import { settled } from '../testing/fake-clock.js'
import { type Fixture, fixture } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'
import type { ErrorOptions } from './errors-options.js'

const users = { schema: 'public', table: 'users', domain: undefined, isPartition: false } as const
const emailKey: NamedConstraint = { kind: 'unique', name: 'users_email_key', ...users }
const name: NamedConstraint = { kind: 'not-null', name: 'name', ...users }
const elsewhere: NamedConstraint = { kind: 'check', name: 'is_long', ...users, schema: 'tenant' }
const positive: NamedConstraint = { ...users, kind: 'check', name: 'is_positive', table: undefined, domain: 'amount' }
const owner: NamedConstraint = { kind: 'foreign-key', name: 'users_owner_fkey', ...users }
const partitions: NamedConstraint = { kind: 'unique', name: 'users_1_email_key', ...users, isPartition: true }
const all = [emailKey, name, elsewhere, positive, owner, partitions]

function said(errors: ErrorOptions, found: readonly NamedConstraint[] = all): Fixture {
  const scene = fixture({}, undefined, { errors })
  scene.driver.usualSchema = 'public'
  scene.driver.named.push(...found)
  return scene
}

async function checked(errors: ErrorOptions) {
  const checking = watch(said(errors).pool.constraints.check())
  await settled()
  return checking.value
}

describe('check()', () => {
  it('knows every name that a constraint is found by, with its table and its schema or without', async () => {
    const of = (names: readonly string[]) => Object.fromEntries(names.map((one) => [one, { code: 'X' }]))
    const names = ['users_email_key', 'users.users_email_key', 'public.users.users_email_key', 'users.name']
    const others = ['public.users.name', 'is_positive', 'amount.is_positive', 'public.amount.is_positive']
    expect((await checked({ constraints: of([...names, ...others, 'users_1_email_key']) })).unknown).toEqual([])
  })

  it('tells the names that no constraint has: a slip, another schema, a column without its table', async () => {
    const constraints = { users_emial_key: { code: 'A' }, name: { code: 'B' }, 'audit.users.name': { code: 'C' } }
    const columns = { users_email_key: ['email'], users_nick_key: ['nick'] }
    const unknown = ['users_emial_key', 'name', 'audit.users.name', 'users_nick_key']
    expect((await checked({ constraints, columns })).unknown).toEqual(unknown)
  })

  it('tells the constraints of which nothing is said, but not of partitions, nor what may not be null', async () => {
    const silent = ['users.users_email_key', 'tenant.users.is_long', 'amount.is_positive', 'users.users_owner_fkey']
    expect((await checked({})).withoutWords).toEqual(silent)
    const constraints = { users_email_key: { path: 'email' }, [silent[1] ?? '']: { code: 'LONG' } }
    expect((await checked({ constraints })).withoutWords).toEqual(silent.slice(2))
    const messages = { unique: 'a', check: 'b', 'still-referenced': 'c' }
    expect((await checked({ messages })).withoutWords).toEqual([])
  })

  it('fails where the catalogue cannot be asked', async () => {
    const scene = said({})
    scene.driver.always('statement', new StatementError('no'))
    await expect(scene.pool.constraints.check()).rejects.toThrow('no')
  })
})

describe('moorings:constraints:unknown', () => {
  const slip: ErrorOptions = { constraints: { users_emial_key: { code: 'A' }, users_email_key: { code: 'B' } } }

  async function violate({ pool }: Fixture): Promise<void> {
    pool.constraints.complete(new UniqueViolationError('taken', { constraint: 'users_email_key' }))
    await settled()
  }

  it('is published once, after the first violation, when only the names in question were asked for', async () => {
    const scene = said(slip)
    const seen = await eventsOf('moorings:constraints:unknown', async () => {
      await violate(scene)
      await violate(scene)
    })
    expect(seen).toMatchObject([{ names: ['users_emial_key'] }])
    expect(scene.driver.namesAsked).toEqual([['users_emial_key', 'users_email_key']])
    expect(scene.pool.stats()).toMatchObject({ leased: 0, waiting: 0 })
  })

  it('asks for a name behind each dot, as the name itself may have some', async () => {
    const scene = said({ columns: { 'public.users.a.b': ['x'] } })
    await eventsOf('moorings:constraints:unknown', () => violate(scene))
    expect(scene.driver.namesAsked).toEqual([['public.users.a.b', 'users.a.b', 'a.b', 'b']])
  })

  it('is not published where all is well, nor when it could not be asked', async () => {
    const well = said({ constraints: { users_email_key: { code: 'B' } } })
    const broken = said(slip)
    broken.driver.always('statement', new StatementError('no'))
    const seen = await eventsOf('moorings:constraints:unknown', async () => {
      await violate(well)
      await violate(broken)
    })
    expect(seen).toEqual([])
  })

  it.each<[string, ErrorOptions]>([
    ['no name is spoken of', { messages: { unique: 'taken' } }],
    ['nothing is to be looked up', { ...slip, lookupTimeoutMs: 0 }],
  ])('asks for nothing where %s', async (_why, errors) => {
    const scene = said(errors)
    await eventsOf('moorings:constraints:unknown', () => violate(scene))
    expect(scene.driver.connections).toEqual([])
  })

  it('asks for nothing while nobody listens, nor once the pool is closed', async () => {
    const unheard = said(slip)
    await violate(unheard)
    const closed = said(slip)
    await closed.pool.close()
    const refused = await eventsOf('moorings:acquire:failed', async () => {
      await eventsOf('moorings:constraints:unknown', () => violate(closed))
    })
    expect(refused).toEqual([])
    expect([...unheard.driver.connections, ...closed.driver.connections]).toEqual([])
  })
})
