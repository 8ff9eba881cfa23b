// What a closed pool leaves behind.

import { expect } from '@jest/globals'
import { counts, empty, type Fixture } from './fixture.js'

/** No socket, no timer, no count; also after everything that could still come has come. */
export async function expectNothingLeft({ pool, driver, clock }: Fixture): Promise<void> {
  expect(driver.open).toHaveLength(0)
  expect(clock.pending).toBe(0)
  expect(counts(pool)).toEqual(empty)
  for (const attempt of driver.pending) attempt.succeed()
  await clock.advance(3_600_000)
  expect(driver.open).toHaveLength(0)
  expect(clock.pending).toBe(0)
  expect(counts(pool)).toEqual(empty)
}
