// Which server a connect goes to, on a fake driver with several of them.

import { describe, expect, it } from '@jest/globals'
import type { Endpoint, Target } from '../driver.js'
import { ConnectError, type MooringsError } from '../errors.js'
import { settled } from '../testing/fake-clock.js'
import type { FakeAttempt, FakeDriver } from '../testing/fake-driver.js'
import { refusal } from '../testing/fake-driver.js'
import { type Fixture, fixture, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

const [a, b, c] = ['a', 'b', 'c'].map((host) => ({ host, port: 5432 })) as [Endpoint, Endpoint, Endpoint]

type Answers = Record<string, 'ok' | 'hangs' | MooringsError>

/** Servers that answer as the table says at the moment they are asked. */
function servers(target: Target, endpoints: readonly Endpoint[], answers: Answers, options = {}): Fixture {
  return fixture(
    { max: 3, overflow: 0, ...options },
    () => 0.5,
    {},
    (driver) => {
      driver.endpoints = endpoints
      driver.target = target
      driver.connects = (attempt) => answer(attempt, answers)
    },
  )
}

function answer(attempt: FakeAttempt, answers: Answers): void {
  const { signal, endpoint } = attempt.request
  const how = answers[endpoint.host] ?? 'ok'
  if (how === 'ok') attempt.succeed()
  else if (how === 'hangs') signal.addEventListener('abort', () => attempt.fail(refusal('aborted')), { once: true })
  else attempt.fail(how)
}

function asked(driver: FakeDriver): string {
  return driver.attempts.map(({ request }) => request.endpoint.host).join('')
}

describe('several endpoints', () => {
  it('F3: the first is asked alone while it answers, and goes on being asked', async () => {
    const { pool, driver } = servers('any', [a, b, c], {})
    await takeOne(pool)
    await takeOne(pool)
    expect(asked(driver)).toBe('aa')
  })

  it('F3: when the first refuses, all others are asked at once, and the one that answered goes before from then on', async () => {
    const { pool, driver } = servers('any', [a, b, c], { a: refusal(), b: 'hangs' })
    const lease = await takeOne(pool)
    expect(lease.connection.endpoint).toEqual(c)
    expect(asked(driver)).toBe('abc')
    await takeOne(pool)
    expect(asked(driver)).toBe('abcc')
  })

  it('F2: one that hangs is not waited for alone', async () => {
    const { pool, driver, clock } = servers('any', [a, b, c], { a: 'hangs' })
    const lease = watch(pool.acquire())
    await settled()
    expect(asked(driver)).toBe('a')
    await clock.advance(300)
    expect(lease.value.connection.endpoint).not.toEqual(a)
    expect(asked(driver)).toBe('abc')
    // Whoever lost the race is not left open.
    expect(driver.pending).toEqual([])
    expect(driver.open).toHaveLength(1)
  })

  it('F3: a standby that is promoted while the old primary hangs is found without waiting for that', async () => {
    const { pool, driver, clock } = servers('read-write', [a, b], { a: 'hangs' })
    driver.roles.set('b', 'standby')
    const lease = watch(pool.acquire())
    await clock.advance(1_500)
    expect(lease.state).toBe('pending')
    driver.roles.set('b', 'primary')
    await clock.advance(500)
    expect(lease.value.connection.endpoint).toEqual(b)
    for (const { endpoint } of driver.open) expect(endpoint).toEqual(b)
  })

  it.each<[Target, string]>([
    ['any', 'a'],
    ['standby', 'a'],
    ['prefer-standby', 'a'],
    ['primary', 'b'],
    ['read-write', 'b'],
    ['read-only', 'a'],
  ])('%s takes the first that will do', async (target, host) => {
    const { pool, driver } = servers(target, [a, b], {})
    driver.roles.set('a', 'standby')
    expect((await takeOne(pool)).connection.endpoint.host).toBe(host)
    await settled()
    expect(driver.open).toHaveLength(1)
  })

  it.each<[Target, 'fits' | 'not']>([
    ['primary', 'fits'],
    ['read-only', 'fits'],
    ['read-write', 'not'],
    ['standby', 'not'],
  ])('a primary that is read-only, for %s: %s', async (target, expected) => {
    const { pool, driver, clock } = servers(target, [a], {})
    driver.roles.set('a', 'read-only')
    const lease = watch(pool.acquire({ timeoutMs: 100 }))
    await clock.advance(100)
    expect(lease.state).toBe(expected === 'fits' ? 'resolved' : 'rejected')
    if (expected === 'not')
      expect(lease.error).toMatchObject({ message: expect.stringContaining('a:5432 is read-only') })
  })

  it('prefer-standby makes do with a primary when there is no standby, after having looked', async () => {
    const { pool, driver, clock } = servers('prefer-standby', [a, b, c], { b: refusal(), c: 'hangs' })
    const lease = watch(pool.acquire())
    await clock.advance(499)
    expect(lease.state).toBe('pending')
    await clock.advance(1)
    expect(lease.value.connection.endpoint).toEqual(a)
    expect(driver.open).toHaveLength(1)
  })

  it('F1: when none will do, the error says what each of them said', async () => {
    const { pool, driver, clock } = servers('primary', [a, b], { a: refusal('connect ECONNREFUSED a') })
    driver.roles.set('b', 'standby')
    const lease = watch(pool.acquire({ timeoutMs: 50 }))
    await clock.advance(50)
    expect(lease.error).toMatchObject({
      message: expect.stringMatching(
        /connect ECONNREFUSED a; b:5432 is a standby; target_session_attrs asks for primary/,
      ),
    })
    expect(driver.open).toEqual([])
  })

  it('a refused password of one of them does not end the search; of all of them it does', async () => {
    const hopeless = new ConnectError('no such database', { retry: 'never' })
    const one = servers('any', [a, b], { a: hopeless })
    expect((await takeOne(one.pool)).connection.endpoint).toEqual(b)
    const { pool } = servers('any', [a, b], { a: hopeless, b: hopeless })
    const lease = watch(pool.acquire())
    await settled()
    expect(lease.error).toBe(hopeless)
  })

  it('a second search beside one that hangs is one, too', async () => {
    const answers: Answers = { a: refusal(), b: 'hangs' }
    const { pool, clock } = servers('any', [a, b], answers)
    const [first, second] = [watch(pool.acquire()), watch(pool.acquire())]
    await clock.advance(30)
    answers.b = 'ok'
    await clock.advance(1_000)
    expect([first.state, second.state]).toEqual(['resolved', 'resolved'])
    expect(pool.stats().lastConnectError?.message ?? '').not.toMatch(/will do: $/)
  })

  it('while nobody knows whether one answers, one attempt looks for all', async () => {
    const answers: Answers = { a: refusal(), b: refusal() }
    const { pool, driver, clock } = servers('any', [a, b], answers)
    const leases = [watch(pool.acquire()), watch(pool.acquire()), watch(pool.acquire())]
    await settled()
    const first = driver.attempts.length
    await clock.advance(100)
    // Later rounds: one connect for each of the two, whoever waits.
    const rounds = (driver.attempts.length - first) / 2
    expect(rounds).toBeLessThanOrEqual(4)
    answers.b = 'ok'
    await clock.advance(1_000)
    expect(leases.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved'])
  })
})

describe('a fail-over', () => {
  it('F3: a primary found elsewhere retires what leads to the old one', async () => {
    const answers: Answers = {}
    const { pool, driver } = servers('primary', [a, b], answers)
    const held = await takeOne(pool)
    answers.a = refusal()
    const lease = await takeOne(pool)
    expect(lease.connection.endpoint).toEqual(b)
    expect(held.connection.endpoint).toEqual(a)
    held.release()
    await settled()
    expect(driver.connection(1).ended).toBe('closed')
    expect(pool.stats().endpoints).toMatchObject({
      'a:5432': { connections: 0, role: undefined },
      'b:5432': { role: 'primary' },
    })
  })

  it('any server will do: another one that answers retires nothing', async () => {
    const answers: Answers = {}
    const { pool, driver } = servers('any', [a, b], answers)
    const held = await takeOne(pool)
    answers.a = refusal()
    await takeOne(pool)
    held.release()
    await settled()
    expect(driver.connection(1).open).toBe(true)
  })

  it('F3: a connection that comes back read-only retires those that lead there, and the next goes elsewhere', async () => {
    const { pool, driver } = servers('read-write', [a, b], {})
    const [first, second] = [await takeOne(pool), await takeOne(pool)]
    second.release()
    driver.roles.set('a', 'read-only')
    driver.connection(1).role = 'read-only'
    first.release()
    await settled()
    expect(driver.open).toEqual([])
    expect((await takeOne(pool)).connection.endpoint).toEqual(b)
  })

  it('F3: behind one name that leads to another server, too', async () => {
    const { pool, driver } = servers('any', [a], {})
    const lease = await takeOne(pool)
    driver.connection(1).role = 'read-only'
    lease.release()
    await settled()
    expect(driver.open).toEqual([])
    expect((await takeOne(pool)).connection).toBe(driver.connection(2))
  })

  it('F3: what was made behind the same name since is not retired by older ones that come back later', async () => {
    const { pool, driver } = servers('any', [a], {})
    const [first, second] = [await takeOne(pool), await takeOne(pool)]
    for (const id of [1, 2]) driver.connection(id).role = 'read-only'
    first.release()
    const third = await takeOne(pool)
    second.release()
    third.release()
    await settled()
    expect(driver.open).toEqual([driver.connection(3)])
  })

  it('a standby that is promoted goes on being used where any will do', async () => {
    const { pool, driver } = servers('any', [a], {})
    driver.roles.set('a', 'standby')
    const lease = await takeOne(pool)
    driver.connection(1).role = 'primary'
    lease.release()
    await settled()
    expect(driver.connection(1).open).toBe(true)
    expect((await takeOne(pool)).connection).toBe(driver.connection(1))
  })
})
