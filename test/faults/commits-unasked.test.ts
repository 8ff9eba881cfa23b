// Moorings without what it does about a lost answer, in the naive loop that the stock drivers are put in: the checker finds
// duplicates there as well, so it is that which keeps them away.

import { afterAll, beforeAll, expect, it } from '@jest/globals'
import { type FaultProxy, startProxy, targetOf } from '../support/proxy.js'
import { useDatabase } from '../support/use-database.js'
import { oursUnasked } from './ours.js'
import { run } from './run.js'
import { cut } from './scenarios.js'
import { counted } from './verdict.js'

const database = useDatabase()
let proxy: FaultProxy

beforeAll(async () => {
  proxy = await startProxy({ target: targetOf(database.url) })
})
afterAll(() => proxy.close())

const seed = Math.floor(Math.random() * 2 ** 31)

it(`${oursUnasked.name}: what was acknowledged is there twice`, async () => {
  const place = { url: database.url, admin: database.admin, proxy }
  const { verdict } = await run(place, { ...cut, subject: oursUnasked, seed, transfers: 100 })
  expect({ seed, found: counted(verdict.findings) }).toMatchObject({ seed, found: { duplicate: expect.any(Number) } })
})
