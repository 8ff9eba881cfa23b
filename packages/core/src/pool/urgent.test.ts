// Whoever waits before all others: for what they may be waiting for themselves.

import { expect, it } from '@jest/globals'
import { settled } from '../testing/fake-clock.js'
import { ask, fixture, takeOne } from '../testing/fixture.js'
import { watch } from '../testing/watch.js'

it('an urgent caller is served before those who wait already', async () => {
  const { pool } = fixture({ max: 1, overflow: 0 })
  const lease = await takeOne(pool)
  const [first, second] = await ask(pool, 2)
  const urgent = watch(pool.acquire({ urgent: true }))
  await settled()
  lease.release()
  await settled()
  expect([first?.state, second?.state, urgent.state]).toEqual(['pending', 'pending', 'resolved'])
  urgent.value.release()
  await settled()
  expect([first?.state, second?.state]).toEqual(['resolved', 'pending'])
})

it('an urgent caller takes the place of the lease that was lost, although others wait', async () => {
  const { pool, driver, clock } = fixture({ max: 1, overflow: 0 })
  await takeOne(pool)
  await clock.advance(200)
  const [waiting] = await ask(pool, 1)
  driver.connects = 'deaf'
  driver.connection(1).lose()
  await settled()
  const urgent = watch(pool.acquire({ urgent: true }))
  driver.attempt(2).succeed()
  await settled()
  expect([waiting?.state, urgent.state]).toEqual(['pending', 'resolved'])
})
