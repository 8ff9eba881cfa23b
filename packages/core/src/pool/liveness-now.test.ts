// A fail-over was noticed: what is under way at an endpoint is asked about at once.

import { describe, expect, it } from '@jest/globals'
import { Deadlines } from '../deadlines.js'
import { resolveResilience } from '../options.js'
import { FakeClock, settled } from '../testing/fake-clock.js'
import { FakeDriver } from '../testing/fake-driver.js'
import { under } from '../testing/in-flight.js'
import { watch } from '../testing/watch.js'
import { Lending } from './lending.js'

const here = { host: 'db.test', port: 5432 }
const there = { host: 'other.test', port: 5432 }

/** The rooms of a pool, with one statement under way at each of two endpoints. */
async function setup(livenessAfterMs = 10_000) {
  const clock = new FakeClock()
  const driver = new FakeDriver(() => clock.now())
  const deadlines = new Deadlines(clock)
  const resilience = resolveResilience({ pool: { min: 0, scaling: false }, statement: { livenessAfterMs } })
  const lending = new Lending({ pool: 'test', poolId: 0 }, { driver, resilience, deadlines }, () => {})
  const borrow = async () => {
    const lease = watch(lending.acquire({}, setup))
    await settled()
    return under(lease.value)
  }
  const first = await borrow()
  driver.endpoint = there
  const second = await borrow()
  return { lending, driver, clock, first, second }
}

describe('checkNow', () => {
  it('asks about all that is under way, at once and of each endpoint', async () => {
    const { lending, driver, first, second } = await setup()
    await lending.liveness.checkNow()
    expect(driver.questions.map(({ ids }) => ids)).toEqual([[1], [2]])
    expect([first.statement.state, second.statement.state]).toEqual(['pending', 'pending'])
  })

  it('asks about those at the endpoint that is given, and ends what is not there any more', async () => {
    const { lending, driver, first, second } = await setup()
    driver.works = () => 'gone'
    await lending.liveness.checkNow(here)
    expect([first.statement.state, second.statement.state]).toEqual(['rejected', 'pending'])
  })

  it('gives a server out of reach no second chance', async () => {
    const { lending, driver, first, second } = await setup()
    driver.works = () => 'unreachable'
    await lending.liveness.checkNow(there)
    expect([first.statement.state, second.statement.state]).toEqual(['pending', 'rejected'])
  })

  it('asks once more about what is idle: its answer may be on its way', async () => {
    const { lending, driver, clock, first, second } = await setup()
    driver.works = ({ id }) => (id === 1 ? 'idle' : 'working')
    const done = watch(lending.liveness.checkNow())
    await settled()
    expect([first.statement.state, done.state]).toEqual(['pending', 'pending'])
    await clock.advance(2_000)
    expect([first.statement.state, second.statement.state, done.state]).toEqual(['rejected', 'pending', 'resolved'])
    expect(driver.questions.map(({ ids, ended }) => [ids, ended])).toEqual([
      [[1], []],
      [[2], []],
      [[1], [1]],
    ])
  })

  it('asks nothing more about one that was answered meanwhile', async () => {
    const { lending, driver, clock, first } = await setup()
    driver.works = () => 'idle'
    const done = watch(lending.liveness.checkNow(here))
    await settled()
    await first.answer()
    await under(first.lease)
    await clock.advance(2_000)
    expect(done.state).toBe('resolved')
    expect(driver.questions.map(({ ids, ended }) => [ids, ended])).toEqual([[[1], []]])
  })

  it('waits for a question that is under way', async () => {
    const { lending, driver } = await setup()
    let tell = () => {}
    driver.works = () => new Promise((resolve) => (tell = () => resolve('working')))
    const [first, second] = [lending.liveness.checkNow(here), lending.liveness.checkNow(here)].map(watch)
    await settled()
    expect(driver.questions).toHaveLength(1)
    tell()
    await settled()
    expect([driver.questions.length, first?.state, second?.state]).toEqual([2, 'resolved', 'pending'])
    tell()
    await settled()
    expect(second?.state).toBe('resolved')
  })

  it('does nothing where livenessAfterMs is 0, nothing is under way, or the pool was closed', async () => {
    const off = await setup(0)
    await off.lending.liveness.checkNow()
    const idle = await setup()
    await idle.first.answer()
    await idle.second.answer()
    await idle.lending.liveness.checkNow()
    const closed = await setup()
    await closed.lending.liveness.stop()
    await closed.lending.liveness.checkNow()
    for (const { driver } of [off, idle, closed]) expect(driver.questions).toEqual([])
  })
})
